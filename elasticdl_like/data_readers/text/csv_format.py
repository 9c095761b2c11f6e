"""csv files as a format: which columns they have, where their rows are, what a stretch holds."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.files import RandomAccessFile, list_files, open_file
from elasticdl_like.data_readers.files.indexed_reader import FileFormat
from elasticdl_like.data_readers.text.csv_columns import (
    DEFAULT_NULL_VALUES,
    CsvColumns,
    CsvParser,
    checked_types,
    infer_types,
)
from elasticdl_like.data_readers.text.csv_head import CsvHead, read_head
from elasticdl_like.data_readers.text.csv_lines import QUOTED, CsvDialect
from elasticdl_like.data_readers.text.line_scan import scan_lines
from elasticdl_like.errors import ConfigError, CorruptDataError, DataError
from elasticdl_like.sparse_index import SparseIndex, Stretch

# A call of pyarrow costs as much as parsing 30 KiB.
_SPACING_BYTES = 1 << 18

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class CsvSettings:
    """The reader parameters of csv files; see `CsvDataReader`.

    Raises:
        ConfigError: some of them contradict each other, or name a type that there is not.
    """

    header: bool = True
    column_names: Sequence[str] = ()
    delimiter: str = ""
    quote_char: str = '"'
    column_types: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()
    null_values: Sequence[str] = DEFAULT_NULL_VALUES
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("column_names", "columns", "null_values"):
            values = getattr(self, name)
            if isinstance(values, str) or not all(isinstance(value, str) for value in values):
                raise ConfigError(
                    f"the reader parameter {name} is {values!r}; it is a list of text"
                )
            if len(set(values)) < len(values):
                raise ConfigError(f"the reader parameter {name} has a value twice: {values!r}")
        if bool(self.column_names) == self.header:
            raise ConfigError(
                "the reader parameter column_names is for files without a header, which need it: "
                f"header is {self.header} and column_names is {list(self.column_names)}"
            )
        checked_types(self.column_types)

    def check_names(self, names: Sequence[str], source: str) -> None:
        """Checks that each column that a parameter speaks of is one of these.

        Raises:
            ConfigError: one is not.
        """
        for parameter in ("columns", "column_types", "defaults"):
            for name in getattr(self, parameter):
                if name not in names:
                    raise ConfigError(
                        f"the reader parameter {parameter} names {name!r}, which is no column of "
                        f"{source}: {', '.join(map(repr, names))}"
                    )


@dataclass(frozen=True)
class CsvLayout:
    """What all files of a data set have in common.

    Attributes:
        dialect: what separates and quotes fields.
        names: of all columns, in the order of the files.
        names_from: the file that has these names in its header, or "" for none.
        columns: those that are wanted.
    """

    dialect: CsvDialect
    names: tuple[str, ...]
    names_from: str
    columns: CsvColumns


class CsvFormat(FileFormat):
    """The csv files of one data set.

    Args:
        data_origin: the data set.
        settings: the reader parameters.
    """

    suffixes = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

    def __init__(self, data_origin: str, settings: CsvSettings) -> None:
        self._data_origin = data_origin
        self._settings = settings
        self._lock = threading.Lock()
        self._layout: CsvLayout | None = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """The names of the columns are part of it: files are compared with them when indexed."""
        return f"csv/1 {self.layout.dialect} {self.layout.names if self._settings.header else ()}"

    @property
    def layout(self) -> CsvLayout:
        """What all files have in common, by the first of them; looked at once.

        Raises:
            ConfigError: the reader parameters do not fit the files.
            DataError: there are no files, they cannot be read, or none has a header.
            CorruptDataError: what the first file begins with is no csv.
        """
        with self._lock:
            if self._layout is None:
                self._layout = self._look()
            return self._layout

    def scan(self, file: RandomAccessFile) -> SparseIndex:
        """Returns where the rows of a file are.

        Raises:
            CorruptDataError: a quote is never closed.
            DataError: the file cannot be read, or has other columns than the first.
        """
        layout = self.layout
        head = read_head(file, layout.dialect, self._settings.header)
        _check_header(file.name, head, layout.names, layout.names_from)
        found = scan_lines(
            file, head.stretch.start_byte, layout.dialect.find_line_ends, _SPACING_BYTES
        )
        if found.state == QUOTED:
            raise CorruptDataError(
                file.name,
                found.last_start,
                "the row that begins here has a quote that is never closed; correct it, or give "
                "the reader parameter quote_char='' if quotes are ordinary characters",
            )
        return found.lines

    def natural_splits(self, index: SparseIndex) -> Sequence[int]:
        """Returns the edges of the stretches: each is parsed by one call that has its price."""
        return index.records[1:-1]

    def decode(self, file_name: str, stretch: Stretch, data: bytes) -> RecordBatch:
        """Returns the wanted columns of a stretch.

        Raises:
            CorruptDataError: as `CsvColumns.decode`.
            ConfigError, DataError: as `layout`.
        """
        return self.layout.columns.decode(file_name, stretch, data)

    def describe(self, file: RandomAccessFile, index: SparseIndex) -> Mapping[str, str]:
        """Returns the columns with their types, for `elasticdl data inspect`."""
        types = self.layout.columns.type_names.items()
        return {
            "delimiter": repr(self.layout.dialect.delimiter),
            "columns": ", ".join(f"{name} ({type_name})" for name, type_name in types),
        }

    def _look(self) -> CsvLayout:
        settings = self._settings
        files = [file.name for file in list_files(self._data_origin, self.suffixes)]
        dialect = CsvDialect(settings.delimiter or _delimiter(files[0]), settings.quote_char)
        names = tuple(settings.column_names)
        names_from = ""
        types = checked_types(settings.column_types)
        wanted: Sequence[str] = ()
        for file_name in files:
            with open_file(file_name) as file:
                head = read_head(file, dialect, settings.header)
            if head.header and not names:
                names, names_from = head.header, file_name
            _check_header(file_name, head, names, names_from)
            wanted = settings.columns or names
            if names:
                settings.check_names(names, names_from or "column_names")
            unknown = [name for name in wanted if name not in types]
            if names and not unknown:
                break
            if head.stretch.count:
                parser = CsvParser(dialect, names, settings.null_values)
                sample = parser.parse(file_name, head.stretch, head.data, types, wanted)
                types |= infer_types(sample, unknown, settings.defaults)
                break
        if not names:
            raise DataError(
                f"{self._data_origin}: no record in it ({len(files)} files, all of them empty); "
                "check the path of the data"
            )
        strings = checked_types(dict.fromkeys(wanted, "string"))
        columns = CsvColumns(
            CsvParser(dialect, names, settings.null_values),
            wanted,
            strings | types,
            settings.defaults,
            names_from or self._data_origin,
        )
        return CsvLayout(dialect, names, names_from, columns)


def _delimiter(file_name: str) -> str:
    name = file_name.partition("?")[0] if "://" in file_name else file_name
    name = name.lower().removesuffix(".gz")
    return next((each for suffix, each in _DELIMITERS.items() if name.endswith(suffix)), ",")


def _check_header(file_name: str, head: CsvHead, names: tuple[str, ...], names_from: str) -> None:
    if head.header and head.header != names:
        raise DataError(
            f"{file_name}: the header names the columns {', '.join(map(repr, head.header))}, but "
            f"that of {names_from} names {', '.join(map(repr, names))}; read them as two data "
            "sets, or write one of them with the columns of the other"
        )
