"""Columns of Arrow tables as NumPy arrays, without a Python object for each number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.errors import ConfigError, DataError

pyarrow = import_extra("pyarrow", "arrow", "Parquet and csv files")

# What NumPy allows for.
_MAX_LIST_BYTES = (1 << 31) - 1


def same_meaning(left: Any, right: Any) -> bool:
    """Returns whether columns of two Arrow types become arrays that can follow one another."""
    return bool(_meaning(left) == _meaning(right))


class ArrowColumns:
    """How the columns of one Arrow schema become NumPy arrays.

    | Arrow | NumPy |
    | --- | --- |
    | integers, floats, bool | the same |
    | string, binary, in all their variants | object: `bytes`, strings in UTF-8 |
    | date32 | int32: days since 1970 |
    | other dates, times, timestamp, duration | int32 or int64, in the unit of the column |
    | decimal | float64 |
    | dictionary | as its values |
    | fixed-size list of numbers | the same, of shape (records, size) |

    A null is NaN in a column of floats or decimals, unless there is a default for the column; in
    any other column it takes a default.

    Args:
        schema: a `pyarrow.Schema` of the columns that are wanted.
        defaults: what stands for null, by column; numbers for dates and times. Those of columns
            that are not in the schema are left alone.
        source: what has this schema, for the error messages.

    Attributes:
        dtypes: by column, in the order of the schema. One with a shape, such as
            `np.dtype((np.float32, (3,)))`, is that of a fixed-size list.

    Raises:
        DataError: a column is of a type that has no array, or two columns have one name.
        ConfigError: a default is not of the type of its column.
    """

    def __init__(self, schema: Any, defaults: Mapping[str, Any], source: str) -> None:
        self._columns: dict[str, _Column] = {}
        for field in schema:
            if field.name in self._columns:
                raise DataError(
                    f"{source}: two columns named {field.name!r}; write the data with other names"
                )
            self._columns[field.name] = _Column(field, defaults.get(field.name), source)
        self.dtypes = {name: column.dtype for name, column in self._columns.items()}

    def arrays(self, table: Any, source: str) -> dict[str, NDArray[Any]]:
        """Returns the columns of a table as arrays of `dtypes`.

        Columns of numbers without nulls are views of Arrow's memory where it is in one piece, and
        cannot be written to.

        Args:
            table: a `pyarrow.Table` or `RecordBatch` that has the columns of the schema.
            source: where it comes from, for the error messages.

        Raises:
            DataError: a column has nulls and no default.
        """
        return {
            name: column.array(table.column(name), source) for name, column in self._columns.items()
        }


class _Column:
    def __init__(self, field: Any, default: Any, source: str) -> None:
        self.name = field.name
        self._size: int | None = None
        value_type = field.type
        if pyarrow.types.is_fixed_size_list(value_type):
            self._size = value_type.list_size
            value_type = value_type.value_type
        self._type = _plain_type(value_type)
        if self._type is None or (
            self._size is not None and not _fits_in_list(self._type, self._size)
        ):
            raise DataError(
                f"{source}: column {self.name!r} is {field.type}, of which no array can be made; "
                "leave it out by naming the others in the reader parameter columns=[…]"
            )
        dtype = np.dtype(object if _is_bytes(self._type) else self._type.to_pandas_dtype())
        self.dtype = dtype if self._size is None else np.dtype((dtype, (self._size,)))
        self._null: Any = None
        if default is not None:
            self._null = self._checked_default(default, field.type)
        elif pyarrow.types.is_floating(self._type):
            self._null = pyarrow.scalar(float("nan"), self._type)

    def array(self, column: Any, source: str) -> NDArray[Any]:
        parts = [self._part(chunk, source) for chunk in _chunks(column)]
        if len(parts) == 1:
            return parts[0]
        shape = (0,) if self._size is None else (0, self._size)
        return np.concatenate([np.empty(shape, self.dtype.base), *parts])

    def _part(self, chunk: Any, source: str) -> NDArray[Any]:
        if self._size is None:
            return self._values(chunk, source)
        # Not `flatten`, which leaves the lists out that are null.
        values = chunk.values.slice(chunk.offset * self._size, len(chunk) * self._size)
        lists = self._values(values, source).reshape(len(chunk), self._size)
        if chunk.null_count:
            lists = lists.copy()
            lists[chunk.is_null().to_numpy(zero_copy_only=False)] = self._checked_null(
                chunk, source
            ).as_py()
        return lists

    def _values(self, values: Any, source: str) -> NDArray[Any]:
        if pyarrow.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if values.type != self._type:
            values = values.cast(self._type)
        if values.null_count:
            values = values.fill_null(self._checked_null(values, source))
        array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return array

    def _checked_null(self, values: Any, source: str) -> Any:
        if self._null is None:
            raise DataError(
                f"{source}: {values.null_count} of {len(values)} values of column {self.name!r} "
                f"are null, and only floats have a NaN; say what stands for null in the reader "
                f"parameter defaults={{{self.name!r}: …}}"
            )
        return self._null

    def _checked_default(self, default: Any, arrow_type: Any) -> Any:
        try:
            return pyarrow.scalar(default, self._type)
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"the reader parameter defaults has {default!r} for column {self.name!r}, which is "
                f"{arrow_type}: {error}"
            ) from error


def _plain_type(arrow_type: Any) -> Any:
    """Returns the type, cast to which values can be shared with NumPy, or None."""
    types = pyarrow.types
    if types.is_dictionary(arrow_type):
        return _plain_type(arrow_type.value_type)
    if (
        types.is_boolean(arrow_type)
        or types.is_integer(arrow_type)
        or types.is_floating(arrow_type)
    ):
        return arrow_type
    if types.is_decimal(arrow_type):
        return pyarrow.float64()
    if types.is_large_string(arrow_type) or types.is_large_binary(arrow_type):
        return pyarrow.large_binary()
    if any(
        is_of(arrow_type)
        for is_of in (
            types.is_string,
            types.is_binary,
            types.is_fixed_size_binary,
            types.is_string_view,
            types.is_binary_view,
        )
    ):
        return pyarrow.binary()
    if types.is_date32(arrow_type) or types.is_time32(arrow_type):
        return pyarrow.int32()
    if (
        types.is_date64(arrow_type)
        or types.is_time64(arrow_type)
        or types.is_timestamp(arrow_type)
        or types.is_duration(arrow_type)
    ):
        return pyarrow.int64()
    return None


def _fits_in_list(plain_type: Any, size: int) -> bool:
    """Returns whether lists of so many values can be rows of an array."""
    return not _is_bytes(plain_type) and size * plain_type.bit_width <= 8 * _MAX_LIST_BYTES


def _meaning(arrow_type: Any) -> Any:
    if pyarrow.types.is_dictionary(arrow_type):
        return _meaning(arrow_type.value_type)
    plain_type = _plain_type(arrow_type)
    if plain_type is None or pyarrow.types.is_temporal(arrow_type):
        return arrow_type
    return "bytes" if _is_bytes(plain_type) else plain_type


def _is_bytes(plain_type: Any) -> bool:
    return bool(pyarrow.types.is_binary(plain_type) or pyarrow.types.is_large_binary(plain_type))


def _chunks(column: Any) -> Iterator[Any]:
    if isinstance(column, pyarrow.ChunkedArray):
        yield from column.chunks
    else:
        yield column
