"""Parts of JSON objects, one for each row: on lines of text, or as records of RecordIO."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.recordio import RecordIOWriter
from elasticdl_like.errors import DataError
from elasticdl_like.prediction_outputs.part_formats import Columns


def encode_json_lines(columns: Columns) -> bytes:
    """Returns a file with a JSON object on each line, in UTF-8.

    Bytes that are no text in UTF-8 are `{"base64": "…"}`; numbers that JSON does not have are the
    strings "NaN", "Infinity" and "-Infinity".

    Raises:
        DataError: a column is of a type that JSON does not have.
    """
    return "".join(f"{row}\n" for row in _objects(columns)).encode()


def encode_recordio(columns: Columns) -> bytes:
    """Returns a RecordIO file, of which each record is what a line of a JSON file would be.

    Raises:
        DataError: a column is of a type that JSON does not have.
    """
    file = io.BytesIO()
    with RecordIOWriter(file) as writer:
        for row in _objects(columns):
            writer.write(row.encode())
    return file.getvalue()


def _objects(columns: Columns) -> Iterator[str]:
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    names = list(columns)
    lists = [_plain(name, column) for name, column in columns.items()]
    for values in zip(*lists, strict=True):
        yield encoder.encode(dict(zip(names, values, strict=True)))


def _plain(name: str, column: NDArray[Any]) -> list[Any]:
    """Returns a column as values that JSON has."""
    if column.dtype.kind == "f":
        if not np.isfinite(column).all():
            column = _mapped(column, _number)
    elif column.dtype.kind in "OSU":
        column = _mapped(column, lambda value: _value(name, value))
    elif column.dtype.kind not in "biu":
        raise DataError(f"the column {name!r} is of type {column.dtype}, which JSON does not have")
    plain: list[Any] = column.tolist()
    return plain


def _mapped(column: NDArray[Any], function: Any) -> NDArray[Any]:
    mapped = np.empty(column.size, object)
    for number, value in enumerate(column.reshape(-1).tolist()):
        mapped[number] = function(value)
    return mapped.reshape(column.shape)


def _number(value: float) -> float | str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, np.generic | np.ndarray):
        return _plain(name, np.asarray(value).reshape(1, *np.shape(value)))[0]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return [_value(name, each) for each in value]
    raise DataError(f"the column {name!r} holds a {type(value).__name__}, which JSON does not have")
