"""Rows of csv data as columns of fixed types, parsed by pyarrow."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.arrow_columns import ArrowColumns
from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.text.csv_lines import UNQUOTED, CsvDialect
from elasticdl_like.data_readers.text.line_index import Block
from elasticdl_like.data_readers.text.line_scan import UTF8_BOM
from elasticdl_like.errors import ConfigError, CorruptDataError
from elasticdl_like.sparse_index import Stretch

pyarrow = import_extra("pyarrow", "arrow", "reading csv files")
csv = import_extra("pyarrow.csv", "arrow", "reading csv files")
compute = import_extra("pyarrow.compute", "arrow", "reading csv files")

# Those of pyarrow 26, named here so that master and workers agree whatever version they have.
DEFAULT_NULL_VALUES = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "n/a",
    "nan",
    "null",
)

_TYPES: Mapping[str, Any] = {
    **{
        f"{kind}{bits}": getattr(pyarrow, f"{kind}{bits}")()
        for kind in ("int", "uint")
        for bits in (8, 16, 32, 64)
    },
    "float32": pyarrow.float32(),
    "float64": pyarrow.float64(),
    "bool": pyarrow.bool_(),
    "string": pyarrow.binary(),
    "date": pyarrow.date32(),
    **{f"timestamp[{unit}]": pyarrow.timestamp(unit) for unit in ("s", "ms", "us", "ns")},
    **{
        f"timestamp[{unit}, UTC]": pyarrow.timestamp(unit, "UTC")
        for unit in ("s", "ms", "us", "ns")
    },
}

# The most that pyarrow can be given in one piece.
_MAX_PARSED_BYTES = 2**31 - 2

_ROW_ERROR = re.compile(r"(?:In CSV column #(\d+): )?(?:CSV parse error: )?Row #(\d+): (.*)", re.S)


def checked_types(column_types: Mapping[str, str]) -> dict[str, Any]:
    """Returns the Arrow types of the reader parameter `column_types`.

    Raises:
        ConfigError: there is no such type.
    """
    for column, name in column_types.items():
        if name not in _TYPES:
            raise ConfigError(
                f"the reader parameter column_types has {name!r} for column {column!r}; "
                f"there is {', '.join(_TYPES)}"
            )
    return {column: _TYPES[name] for column, name in column_types.items()}


@dataclass(frozen=True)
class CsvParser:
    """Parses whole rows of csv data.

    Attributes:
        dialect: what separates and quotes fields.
        column_names: all of them, in the order of the file.
        null_values: which fields are nulls, but for strings.
    """

    dialect: CsvDialect
    column_names: Sequence[str]
    null_values: Sequence[str]

    def parse(
        self,
        file_name: str,
        stretch: Stretch,
        data: bytes,
        types: Mapping[str, Any],
        columns: Sequence[str] = (),
    ) -> Any:
        """Returns the rows of a stretch as a `pyarrow.Table`.

        Args:
            file_name: for error messages.
            stretch: which rows of the file these are, and where.
            data: the bytes of the stretch.
            types: the Arrow types of columns; pyarrow guesses the others.
            columns: those that are wanted, in this order; all when empty.

        Raises:
            CorruptDataError: a row has too many or too few fields, or a value is not of the type
                of its column.
        """
        if len(data) > _MAX_PARSED_BYTES:
            raise CorruptDataError(
                file_name,
                stretch.start_byte,
                f"a row of {len(data)} bytes, more than pyarrow can parse; "
                "is the quote missing that should close one of its fields?",
            )
        if data.startswith(UTF8_BOM):
            data = b"\n" + data  # or pyarrow would drop the mark, which begins a field here
        read_options = csv.ReadOptions(
            column_names=self.column_names, use_threads=False, block_size=_MAX_PARSED_BYTES + 1
        )
        parse_options = csv.ParseOptions(
            delimiter=self.dialect.delimiter,
            quote_char=self.dialect.quote_char or False,
            newlines_in_values=True,
        )
        convert_options = csv.ConvertOptions(
            column_types=types, include_columns=columns, null_values=self.null_values
        )
        try:
            return csv.read_csv(
                pyarrow.BufferReader(data), read_options, parse_options, convert_options
            )
        except pyarrow.ArrowInvalid as error:
            raise self._corrupt(file_name, stretch, data, str(error)) from error

    def corrupt_row(
        self, file_name: str, stretch: Stretch, data: bytes, row: int, problem: str
    ) -> CorruptDataError:
        """Returns the error for row `row`, counted from 0, of a stretch."""
        ends = self.dialect.find_line_ends(Block(0, b"", data, b""), UNQUOTED).positions
        edges = np.concatenate([[-1], ends, [len(data)]])
        starts = edges[:-1][np.diff(edges) > 1] + 1
        offset_bytes = stretch.start_byte + (int(starts[row]) if row < len(starts) else 0)
        return CorruptDataError(file_name, offset_bytes, f"record {stretch.start + row}: {problem}")

    def _corrupt(
        self, file_name: str, stretch: Stretch, data: bytes, message: str
    ) -> CorruptDataError:
        found = _ROW_ERROR.fullmatch(message)
        if found is None:
            return CorruptDataError(file_name, stretch.start_byte, message)
        column, row, problem = found.groups()
        problem = problem.replace("\r", "\\r").replace("\n", "\\n")
        if column is not None:
            name = self.column_names[int(column)]
            problem = (
                f"column {name!r}: {problem}; if the value is right, give the column another type "
                f"in the reader parameter column_types={{{name!r}: …}}, such as 'string'"
            )
        else:
            problem = f"{problem}; correct the row, or the reader parameters delimiter, quote_char"
        return self.corrupt_row(file_name, stretch, data, int(row) - 1, problem)


class CsvColumns:
    """The columns that are wanted of csv data, and their types.

    Args:
        parser: parses rows.
        columns: the wanted columns, in this order.
        types: their Arrow types.
        defaults: what stands for null, by column.
        source: where the types come from, for error messages.

    Attributes:
        dtypes: their NumPy types, in the same order; strings are objects.
        type_names: the names of these types; "string" for strings.

    Raises:
        ConfigError: a default is not of the type of its column.
    """

    def __init__(
        self,
        parser: CsvParser,
        columns: Sequence[str],
        types: Mapping[str, Any],
        defaults: Mapping[str, Any],
        source: str,
    ) -> None:
        schema = pyarrow.schema([(name, types[name]) for name in columns])
        self._parser = parser
        self._columns = tuple(columns)
        self._types = {name: types[name] for name in columns}
        self._arrays = ArrowColumns(schema, defaults, source)
        self.dtypes = self._arrays.dtypes
        self.type_names = {
            name: "string" if dtype.hasobject else dtype.name for name, dtype in self.dtypes.items()
        }
        strings = {name for name in columns if types[name] == pyarrow.binary()}
        self._string_defaults = {
            name: pyarrow.scalar(defaults[name], pyarrow.binary())
            for name in strings
            if name in defaults
        }
        self._null_strings = pyarrow.array(parser.null_values, pyarrow.binary())
        self._never_null = {
            name
            for name in columns
            if name in strings or name in defaults or pyarrow.types.is_floating(types[name])
        }

    def decode(self, file_name: str, stretch: Stretch, data: bytes) -> dict[str, NDArray[Any]]:
        """Returns the rows of a stretch as arrays.

        Args:
            file_name: for error messages.
            stretch: which rows of the file these are, and where.
            data: the bytes of the stretch.

        Raises:
            CorruptDataError: there are more or fewer rows than were indexed, a row has too many or
                too few fields, a value is not of the type of its column, or a null has no default.
        """
        table = self._parser.parse(file_name, stretch, data, self._types, self._columns)
        if table.num_rows != stretch.count:
            raise CorruptDataError(
                file_name,
                stretch.start_byte,
                f"there are {table.num_rows} rows where {stretch.count} were indexed; "
                "leave data files alone while a job reads them, and start the job again",
            )
        for number, name in enumerate(self._columns):
            column = table.column(number)
            if name in self._string_defaults:
                is_null = compute.is_in(column, value_set=self._null_strings)
                column = compute.if_else(is_null, self._string_defaults[name], column)
                table = table.set_column(number, name, column)
            elif column.null_count and name not in self._never_null:
                row = compute.index(column.is_null(), True).as_py()
                raise self._parser.corrupt_row(
                    file_name,
                    stretch,
                    data,
                    row,
                    f"column {name!r}: no value, and only floats have a NaN; say what stands for "
                    f"it in the reader parameter defaults={{{name!r}: …}}, or give the column the "
                    f"type 'float64' in column_types",
                )
        return self._arrays.arrays(table, file_name)


def infer_types(sample: Any, columns: Collection[str], defaults: Collection[str]) -> dict[str, Any]:
    """Returns the types of columns, by what pyarrow made of some rows.

    Integers stay integers when each row has one or there is a default, and are floats otherwise.
    Numbers and truth values stay what they are; anything else is a string.

    Args:
        sample: a `pyarrow.Table` of these rows.
        columns: the columns.
        defaults: those that have a default.
    """
    types: dict[str, Any] = {}
    for name in columns:
        column = sample.column(name)
        if column.type == pyarrow.int64() and column.null_count and name not in defaults:
            types[name] = pyarrow.float64()
        elif column.type in (pyarrow.int64(), pyarrow.float64(), pyarrow.bool_()):
            types[name] = column.type
        else:
            types[name] = pyarrow.binary()
    return types
