"""Batches of records as Arrow tables of the types that a table of MaxCompute has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.arrow_columns import pyarrow
from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.errors import DataError

odps_types = import_extra("odps.types", "odps", "MaxCompute tables")
_arrow_types = import_extra("odps.tunnel.io.types", "odps", "MaxCompute tables")

_UNFIT = (pyarrow.ArrowException, TypeError, ValueError, OverflowError, AttributeError)
_TYPES = {
    "bool": "boolean",
    "int8": "tinyint",
    "uint8": "smallint",
    "int16": "smallint",
    "uint16": "int",
    "int32": "int",
    "uint32": "bigint",
    "int64": "bigint",
    "uint64": "bigint",
    "float16": "float",
    "float32": "float",
    "float64": "double",
}


def column_types_of(columns: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Returns the types that a new table for such columns has, the way back from its reader.

    Numbers become numbers of the same size, or of the next one if they have no sign; arrays of
    shape (records, size) become arrays. Text becomes `string`, and bytes do when all of them are
    text in UTF-8, else `binary`.

    Args:
        columns: some records.

    Raises:
        DataError: a column has values that are none of these.
    """
    return {name: _type_of(name, np.asarray(column)) for name, column in columns.items()}


def _type_of(name: str, column: NDArray[Any]) -> str:
    if column.ndim == 2 and column.dtype.name in _TYPES:
        return f"array<{_TYPES[column.dtype.name]}>"
    if column.ndim == 1 and column.dtype.name in _TYPES:
        return _TYPES[column.dtype.name]
    if column.ndim == 1 and column.dtype.kind in "USO":
        values = [value for value in column.tolist() if value is not None]
        if all(isinstance(value, bytes | str) for value in values):
            return "string" if all(map(_is_text, values)) else "binary"
    raise DataError(
        f"column {name!r} has values of type {column.dtype} and shape {column.shape[1:]}, for "
        "which MaxCompute has no type; make numbers, text or bytes of them"
    )


def _is_text(value: bytes | str) -> bool:
    try:
        return isinstance(value, str) or value.decode() is not None
    except UnicodeDecodeError:
        return False


class OutputColumns:
    """The columns of a table that records are written to.

    Args:
        schema: the `odps.models.TableSchema` of the table.
        table: its name, for messages.

    Attributes:
        schema: of the columns, without those that the table is partitioned by.

    Raises:
        DataError: a column is of a type that cannot be written.
    """

    def __init__(self, schema: Any, table: str) -> None:
        self._table = table
        self.schema = odps_types.OdpsSchema(schema.simple_columns)
        self._columns: list[tuple[str, str, Callable[[NDArray[Any]], Any]]] = []
        for column in schema.simple_columns:
            try:
                arrow_type = _arrow_types.odps_type_to_arrow_type(column.type)
            except TypeError:
                raise DataError(
                    f"{table}: column {column.name!r} is {column.type}, which cannot be written"
                ) from None
            self._columns.append((column.name, str(column.type).lower(), _encoder(arrow_type)))

    def check_names(self, names: Mapping[str, Any]) -> None:
        """Checks that records have the columns of the table, in any order, in upper or lower case.

        Raises:
            DataError: they have others.
        """
        given = {name.lower() for name in names}
        there = {name.lower() for name, _, _ in self._columns}
        if given != there or len(given) < len(names):
            raise DataError(
                f"the table {self._table} has the columns {', '.join(sorted(there))}, and the "
                f"records have {', '.join(sorted(names))}; write to a table that has just these"
            )

    def arrow_table(self, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Returns records as a `pyarrow.Table` of the types that go over the wire.

        Args:
            columns: arrays of one length: those that the reader of such a table yields, or that
                can be cast to them. None is null. Arrays, maps and structs are of shape
                (records, size), or objects: JSON, or lists and dicts.

        Raises:
            DataError: the columns are not those of the table, or a value is not of its type.
        """
        self.check_names(columns)
        by_name = {name.lower(): np.asarray(column) for name, column in columns.items()}
        arrays = {}
        for name, type_name, encode in self._columns:
            column = by_name[name.lower()]
            try:
                arrays[name] = encode(column)
            except _UNFIT as error:
                problem = " ".join(str(error).split())[:200]
                raise DataError(
                    f"{self._table}: column {name!r} is {type_name}, and cannot hold what is to be "
                    f"written, of type {column.dtype} and shape {column.shape[1:]}: {problem}"
                ) from error
        return pyarrow.table(arrays)


def _encoder(arrow_type: Any) -> Callable[[NDArray[Any]], Any]:
    """Returns what makes an Arrow array of this type of a NumPy array."""
    types = pyarrow.types
    if types.is_list(arrow_type) or types.is_map(arrow_type) or types.is_struct(arrow_type):
        return lambda column: _nested(column, arrow_type)
    if types.is_string(arrow_type) or types.is_binary(arrow_type):
        # By way of bytes, so that a column may have both; the cast checks that text is UTF-8.
        return lambda column: pyarrow.array(_flat(column).tolist(), pyarrow.binary()).cast(
            arrow_type
        )
    if types.is_date32(arrow_type):
        return lambda column: _numbers(column, pyarrow.int32()).cast(arrow_type)
    if types.is_timestamp(arrow_type):
        return lambda column: _numbers(column, pyarrow.int64()).cast(arrow_type)
    return lambda column: _numbers(column, arrow_type)


def _flat(column: NDArray[Any]) -> NDArray[Any]:
    if column.ndim != 1:
        raise ValueError("each record has an array")
    return column


def _numbers(column: NDArray[Any], arrow_type: Any) -> Any:
    if _flat(column).dtype.kind == "O":
        return pyarrow.array(column.tolist(), arrow_type)
    if pyarrow.types.is_decimal(arrow_type) and column.dtype.kind == "f":
        # The shortest text that is the same number; the cast would take all of its binary digits.
        # There is no decimal that is not a number.
        texts = [None if value != value else repr(value) for value in column.tolist()]
        return pyarrow.array(texts, pyarrow.string()).cast(arrow_type)
    return pyarrow.array(column).cast(arrow_type)


def _nested(column: NDArray[Any], arrow_type: Any) -> Any:
    if column.ndim == 2 and pyarrow.types.is_list(arrow_type):
        values = pyarrow.array(column.reshape(-1)).cast(arrow_type.value_type)
        return pyarrow.FixedSizeListArray.from_arrays(values, column.shape[1]).cast(arrow_type)
    decoded = (
        json.loads(value) if isinstance(value, bytes | str) else value
        for value in _flat(column).tolist()
    )
    return pyarrow.array([_plain(value, arrow_type) for value in decoded], arrow_type)


def _plain(value: Any, arrow_type: Any) -> Any:
    """Returns a value of JSON as Arrow takes it: a map as pairs, its keys no longer text."""
    if value is None:
        return None
    if pyarrow.types.is_map(arrow_type):
        keys = value.keys()
        if pyarrow.types.is_integer(arrow_type.key_type):
            keys = map(int, keys)
        items = (_plain(item, arrow_type.item_type) for item in value.values())
        return list(zip(keys, items, strict=True))
    if pyarrow.types.is_struct(arrow_type):
        return {field.name: _plain(value.get(field.name), field.type) for field in arrow_type}
    if pyarrow.types.is_list(arrow_type):
        return [_plain(item, arrow_type.value_type) for item in value]
    return value
