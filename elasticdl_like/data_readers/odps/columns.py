"""The columns of a table that are read, and how they become arrays."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.arrow_columns import ArrowColumns, pyarrow
from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.odps.json_values import json_array
from elasticdl_like.errors import ConfigError, DataError

odps_types = import_extra("odps.types", "odps", "MaxCompute tables")
_arrow_types = import_extra("odps.tunnel.io.types", "odps", "MaxCompute tables")

Columns = dict[str, NDArray[Any]]
"""Arrays of one length, by the names of their columns."""

_MASK_SUFFIX = "_is_null"


@dataclass(frozen=True)
class ColumnChoice:
    """What the reader parameters say of columns.

    Attributes:
        names: the columns to read, in the order they are to have; None for all but those that the
            table is partitioned by.
        defaults: what stands for null, by column.
        null_masks: the columns that have a column NAME_is_null beside them.
        array_sizes: of columns of arrays that all have that many numbers.
    """

    names: Sequence[str] | None = None
    defaults: Mapping[str, Any] | None = None
    null_masks: Sequence[str] = ()
    array_sizes: Mapping[str, int] | None = None


class OdpsColumns:
    """The columns of a table that are read, and how they become arrays.

    | MaxCompute | NumPy |
    | --- | --- |
    | tinyint, smallint, int, bigint, float, double, boolean | the same, of that size |
    | string, char, varchar, binary | object: `bytes`, text in UTF-8 |
    | datetime | int64: milliseconds since 1970, UTC |
    | timestamp, timestamp_ntz | int64: nanoseconds since 1970, UTC |
    | date | int32: days since 1970 |
    | decimal | float64 |
    | vector, arrays with an array size | their numbers, of shape (records, size) |
    | other arrays, map, struct, json | object: `bytes`, JSON |

    Args:
        schema: the `odps.models.TableSchema` of the table.
        choice: what is wanted of it.
        table: its name, for messages.

    Attributes:
        requested: the columns that the service is asked for, in the order of the table.
        types: the names of their types.
        dtypes: of the columns that are returned, in their order.

    Raises:
        ConfigError: a column is not there, or a parameter does not fit its column.
        DataError: there is no array for a type.
    """

    def __init__(self, schema: Any, choice: ColumnChoice, table: str) -> None:
        self._table = table
        self._schema = schema
        data_columns = {column.name: column for column in schema.simple_columns}
        partition_columns = {column.name: column for column in schema.partitions or ()}
        names = list(choice.names or data_columns)
        _check_names("columns", names, [*data_columns, *partition_columns], table)
        self.requested = tuple(name for name in data_columns if name in names)
        if not self.requested:
            raise ConfigError(
                f"the reader parameter columns names only columns that {table} is partitioned by; "
                f"name one of its other columns too: {', '.join(data_columns)}"
            )
        self.types = tuple(str(data_columns[name].type).lower() for name in self.requested)
        defaults, sizes = dict(choice.defaults or {}), dict(choice.array_sizes or {})
        for parameter, chosen in (
            ("defaults", defaults),
            ("null_masks", choice.null_masks),
            ("array_sizes", sizes),
        ):
            _check_names(parameter, chosen, self.requested, table)
        self._masked = frozenset(choice.null_masks)
        self._plans = {
            name: _plan(data_columns[name], sizes.get(name), table) for name in self.requested
        }
        for name in self._masked:
            defaults.setdefault(name, _nothing(self._plans[name].arrow_type))
        self._arrow_columns = ArrowColumns(
            pyarrow.schema([(name, self._plans[name].arrow_type) for name in self.requested]),
            defaults,
            table,
        )
        self._partition_dtypes = {
            name: np.dtype(np.int64 if _is_integer(column.type) else object)
            for name, column in partition_columns.items()
        }
        self.dtypes: dict[str, np.dtype[Any]] = {}
        for name in names:
            self.dtypes[name] = self._partition_dtypes.get(name) or self._arrow_columns.dtypes[name]
            if name in self._masked:
                self.dtypes[name + _MASK_SUFFIX] = np.dtype(bool)

    def check_schema(self, schema: Any) -> None:
        """Checks that a session has the columns, with the types that they had in the table.

        Raises:
            DataError: it has not.
        """
        there = {column.name: str(column.type).lower() for column in schema.simple_columns}
        for name, type_name in zip(self.requested, self.types, strict=True):
            if there.get(name) != type_name:
                raise DataError(
                    f"{self._table}: column {name!r} is {type_name} now, and "
                    f"{there.get(name, 'not there')} in the snapshot that the job reads; the "
                    "table has changed since the job began, start it again"
                )

    def check_as_arrow(self) -> None:
        """Checks that pyodps can read Arrow streams of the table.

        Raises:
            ConfigError: it cannot, because of some column, read or not.
        """
        for column in self._schema.simple_columns:
            try:
                _arrow_types.odps_type_to_arrow_type(column.type)
            except TypeError:
                raise ConfigError(
                    f"{self._table}: column {column.name!r} is {str(column.type).lower()}, and a "
                    "table with such a column can only be read with the reader parameter "
                    "mode='record'"
                ) from None

    def check_as_records(self) -> None:
        """Checks that pyodps can make records of the columns.

        Raises:
            ConfigError: it needs a package that is not installed.
        """
        if any(name.startswith(("timestamp", "interval_day_time")) for name in self.types):
            try:
                importlib.import_module("pandas")
            except ImportError as error:
                raise ConfigError(
                    "the reader parameter mode='record' needs pandas for columns of timestamps; "
                    "mode='arrow' does not"
                ) from error

    def arrays(self, table: Any, partition: Mapping[str, str], source: str) -> Columns:
        """Returns the columns of a `pyarrow.Table` as arrays of `dtypes`.

        Args:
            table: has the columns `requested`.
            partition: the partition that it is of.
            source: where it comes from, for messages.

        Raises:
            DataError: a column has nulls and no default, or an array another size.
        """
        prepared = pyarrow.table(
            {
                name: plan.prepared(table.column(name), name, source)
                for name, plan in self._plans.items()
            }
        )
        found = self._arrow_columns.arrays(prepared, source)
        for name in self._masked:
            mask = table.column(name).is_null()
            found[name + _MASK_SUFFIX] = mask.to_numpy(zero_copy_only=False)
        for name in self.dtypes:
            if name in self._partition_dtypes:
                found[name] = self._constant(name, partition[name], table.num_rows)
        return {name: found[name] for name in self.dtypes}

    def from_objects(self, name: str, values: Sequence[Any]) -> Any:
        """Returns the values of a requested column, as records hold them, as a `pyarrow.Array`."""
        return self._plans[name].from_objects(values)

    def _constant(self, name: str, value: str, count: int) -> NDArray[Any]:
        dtype = self._partition_dtypes[name]
        array = np.empty(count, dtype)
        array[:] = value.encode() if dtype.kind == "O" else int(value)
        return array


@dataclass(frozen=True)
class _Plan:
    """Of what type a column comes over the wire, and of what type its array is made."""

    odps_type: Any
    wire_type: Any
    arrow_type: Any

    def prepared(self, column: Any, name: str, source: str) -> Any:
        if column.type == self.arrow_type or self.arrow_type == self.wire_type:
            return column
        if not pyarrow.types.is_fixed_size_list(self.arrow_type):
            return json_array(column.to_pylist(), self.odps_type)
        try:
            return column.cast(self.arrow_type)
        except pyarrow.ArrowInvalid as error:
            size = self.arrow_type.list_size
            raise DataError(
                f"{source}: column {name!r} has an array that is not of {size} numbers: {error}"
            ) from error

    def from_objects(self, values: Sequence[Any]) -> Any:
        if pyarrow.types.is_string(self.wire_type):
            return pyarrow.array(values, pyarrow.binary())
        if self.arrow_type != self.wire_type and pyarrow.types.is_binary(self.arrow_type):
            return json_array(values, self.odps_type)
        return pyarrow.array(values, self.wire_type)


def _plan(column: Any, size: int | None, table: str) -> _Plan:
    kind = column.type
    type_name = str(kind).lower()
    if isinstance(kind, odps_types.Vector):
        size = kind.dimension
    elif size is not None and not isinstance(kind, odps_types.Array):
        raise ConfigError(
            f"the reader parameter array_sizes has column {column.name!r}, but that is {type_name}"
        )
    if size is not None:
        wire = _arrow_types.odps_type_to_arrow_type(kind)
        return _Plan(kind, wire, pyarrow.list_(wire.value_type, size))
    if isinstance(kind, odps_types.Json):
        return _Plan(kind, pyarrow.null(), pyarrow.binary())
    try:
        wire = _arrow_types.odps_type_to_arrow_type(kind)
    except TypeError:
        raise DataError(
            f"{table}: column {column.name!r} is {type_name}, of which no array can be made; "
            "leave it out by naming the others in the reader parameter columns=[…]"
        ) from None
    as_json = isinstance(kind, odps_types.Array | odps_types.Map | odps_types.Struct)
    return _Plan(kind, wire, pyarrow.binary() if as_json else wire)


def _nothing(arrow_type: Any) -> Any:
    """Returns what stands for null where a mask tells it."""
    if pyarrow.types.is_string(arrow_type) or pyarrow.types.is_binary(arrow_type):
        return b""
    return False if pyarrow.types.is_boolean(arrow_type) else 0


def _is_integer(kind: Any) -> bool:
    return kind in (
        odps_types.tinyint,
        odps_types.smallint,
        odps_types.int_,
        odps_types.bigint,
    )


def _check_names(parameter: str, names: Any, there: Sequence[str], table: str) -> None:
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(str(name), there, 3) or list(there)[:10]
            raise ConfigError(
                f"the reader parameter {parameter} names {name!r}, which is no column of {table}"
                + (" that is read" if parameter != "columns" else "")
                + f"; there is {', '.join(near)}"
            )
