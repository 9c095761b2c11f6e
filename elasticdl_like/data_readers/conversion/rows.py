"""Brings what readers yield into one of two forms: columns, or serialised records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.conversion.example import encode_examples
from elasticdl_like.errors import DataError


def column_names_of(reader: object) -> tuple[str, ...]:
    """Returns the names of the columns that a reader tells, or ()."""
    return tuple(getattr(getattr(reader, "metadata", None), "column_names", ()))


def as_records(batch: RecordBatch, column_names: Sequence[str]) -> Sequence[bytes]:
    """Returns records as bytes: as they are, or columns as `tf.train.Example`.

    Args:
        batch: a batch of a reader.
        column_names: of records that are tuples; empty when they are not known.

    Raises:
        DataError: the records are neither bytes nor have columns, or a column fits no feature.
    """
    if not isinstance(batch, dict) and _are_bytes(batch):
        return batch
    return encode_examples(_columns(batch, column_names))


def as_bytes_or_columns(batch: RecordBatch, column_names: Sequence[str]) -> RecordBatch:
    """Returns records that are bytes as they are, and any other as columns.

    Raises:
        DataError: the records are neither bytes nor have columns.
    """
    if not isinstance(batch, dict) and _are_bytes(batch):
        return batch
    return _columns(batch, column_names)


def column_values(batch: RecordBatch, column_names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Returns records that have columns as columns, and an empty dict for any other."""
    try:
        return _columns(batch, column_names)
    except DataError:
        return {}


def _are_bytes(records: Sequence[Any]) -> bool:
    return all(isinstance(record, bytes) for record in records)


def _columns(batch: RecordBatch, column_names: Sequence[str]) -> dict[str, NDArray[Any]]:
    if isinstance(batch, dict):
        return batch
    first = batch[0] if batch else None
    if isinstance(first, Mapping):
        names = list(first)
        if any(not isinstance(each, Mapping) or each.keys() != first.keys() for each in batch):
            raise DataError(
                f"the records are dicts that differ in their keys; the first has {names}"
            )
        return {name: _column([record[name] for record in batch]) for name in names}
    if isinstance(first, tuple) and len(first) == len(column_names):
        return {
            name: _column([record[number] for record in batch])
            for number, name in enumerate(column_names)
        }
    raise DataError(
        f"the records are of type {type(first).__name__}, which has no names for columns; "
        "write a reader that yields bytes, dicts or columns, or tuples with the names of their "
        "columns in its `metadata`"
    )


def _column(values: list[Any]) -> NDArray[Any]:
    """Returns values as an array: of objects unless all are numbers, or arrays of one shape."""
    if not isinstance(values[0], bytes | str | None):
        try:
            array = np.asarray(values)
        except ValueError:  # lists of different lengths
            array = np.empty(0, object)
        if array.dtype.kind in "fbiu":
            return array
    column = np.empty(len(values), object)
    for number, value in enumerate(values):
        column[number] = value
    return column
