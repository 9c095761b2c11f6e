"""A Parquet file: its footer, and its row groups as columns."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.arrow_columns import ArrowColumns, pyarrow
from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.files.source import RandomAccessFile
from elasticdl_like.data_readers.parquet.arrow_file import ArrowFile
from elasticdl_like.errors import ConfigError, CorruptDataError, DataError

dataset = import_extra("pyarrow.dataset", "arrow", "Parquet files")
parquet = import_extra("pyarrow.parquet", "arrow", "Parquet files")

# What an object of `bytes` takes beside its contents: the object, and the pointer to it.
_BYTES_OBJECT_BYTES = 41


Columns = dict[str, NDArray[Any]]
"""Arrays of one length, by the names of their columns."""


class ParquetSource:
    """An open Parquet file. Thread-safe.

    Args:
        file: the file.
        columns: the columns to read, in this order; None for all.
        defaults: what stands for null, by column.

    Attributes:
        name: of the file.
        version: of the file.
        edges: the number of the first record of each row group, and the number of all records.
        stored_schema: the `pyarrow.Schema` of all columns.
        schema: that of the columns to read.
        dtypes: those of the columns to read.

    Raises:
        CorruptDataError: it is not a Parquet file, or its footer is damaged.
        DataError: a column is of a type that no array can be made of.
        ConfigError: there is no such column, or a default does not fit its column.
    """

    def __init__(
        self,
        file: RandomAccessFile,
        columns: Sequence[str] | None,
        defaults: Mapping[str, Any],
    ) -> None:
        self._file = file
        self.name = file.name
        self.version = file.version
        footer = ArrowFile(file)
        with self._arrow_errors("the footer", footer):
            opened = parquet.ParquetFile(footer.for_arrow())
            self._metadata = opened.metadata
            self.stored_schema = opened.schema_arrow
            self.schema = _chosen(self.stored_schema, columns, self.name)
            counts: list[int] = [
                self._metadata.row_group(number).num_rows
                for number in range(self._metadata.num_row_groups)
            ]
        if min(counts, default=0) < 0 or sum(counts) != self._metadata.num_rows:
            raise CorruptDataError(
                self.name,
                footer.first_offset,
                f"the footer counts {self._metadata.num_rows} rows, but {sum(counts)} in the row "
                "groups; write the file again",
            )
        self.edges: list[int] = list(itertools.accumulate(counts, initial=0))
        self._arrow_columns = ArrowColumns(self.schema, defaults, self.name)
        self.dtypes = self._arrow_columns.dtypes

    @property
    def record_count(self) -> int:
        """The number of records."""
        return self.edges[-1]

    @property
    def group_count(self) -> int:
        """The number of row groups."""
        return len(self.edges) - 1

    def check_version(self, version: str) -> None:
        """Checks that the file is of this version still.

        Raises:
            DataError: it is not; the message says in what it differs.
        """
        self._file.check_version(version)

    def groups_covering(self, start: int, end: int) -> range:
        """Returns the numbers of the row groups that hold the records `[start, end)`."""
        if start >= end:
            return range(0)
        first = bisect.bisect_right(self.edges, start) - 1
        return range(first, bisect.bisect_left(self.edges, end, first + 1))

    def decoded_size_bytes(self, number: int) -> int:
        """Returns about how much memory the columns to read of a row group take, or more."""
        sizes = [_bytes_per_value(dtype) for dtype in self.dtypes.values()]
        size_bytes = sum(sizes) * (self.edges[number + 1] - self.edges[number])
        if any(dtype.hasobject for dtype in self.dtypes.values()):
            # Of all columns: asking for one can crash Arrow if the footer is damaged.
            size_bytes += self._metadata.row_group(number).total_byte_size
        return size_bytes

    def decode(self, number: int) -> tuple[Columns, int]:
        """Reads and decodes a row group.

        Returns:
            Its columns, and about how much memory they take, in bytes.

        Raises:
            CorruptDataError: its bytes are damaged.
            DataError: a column has nulls and no default, or the file has shrunk.
        """
        count = self.edges[number + 1] - self.edges[number]
        file = ArrowFile(self._file)
        with self._arrow_errors(f"row group {number}", file):
            opened = parquet.ParquetFile(
                file.for_arrow(), metadata=self._metadata, page_checksum_verification=True
            )
            table = opened.read_row_group(number, columns=self.schema.names)
            arrays = self._arrow_columns.arrays(table, f"{self.name}, row group {number}")
        for name, array in arrays.items():
            if len(array) != count:
                raise CorruptDataError(
                    self.name,
                    file.first_offset,
                    f"row group {number} has {len(array)} values of column {name!r} where the "
                    f"footer says {count}; write the file again",
                )
        objects = sum(_bytes_per_value(dtype) for dtype in self.dtypes.values() if dtype.hasobject)
        return arrays, table.nbytes + objects * count

    def groups_matching(self, expression: Any) -> list[int]:
        """Returns the numbers of the row groups that can hold rows for which an expression holds.

        Args:
            expression: a `pyarrow.compute.Expression` of stored columns.

        Raises:
            CorruptDataError: the footer is damaged.
        """
        file = ArrowFile(self._file)
        with self._arrow_errors("the footer", file):
            fragment = dataset.ParquetFileFormat().make_fragment(file.for_arrow())
            return [group.id for group in fragment.subset(filter=expression).row_groups]

    @contextmanager
    def _arrow_errors(self, what: str, file: ArrowFile) -> Iterator[None]:
        try:
            yield
        except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise CorruptDataError(
                self.name,
                file.first_offset,
                f"{what} cannot be read: {problem}; write the file again",
            ) from error


def _bytes_per_value(dtype: np.dtype[Any]) -> int:
    return _BYTES_OBJECT_BYTES if dtype.hasobject else dtype.itemsize


def _chosen(stored: Any, columns: Sequence[str] | None, source: str) -> Any:
    """Returns the schema of the columns to read."""
    missing = [name for name in columns or () if name not in stored.names]
    if missing:
        raise ConfigError(
            f"{source} has no column {missing[0]!r}; it has {', '.join(stored.names) or 'none'}"
        )
    if not stored.names:
        raise DataError(f"{source} has no columns; write the file again")
    if columns is None:
        return stored
    return pyarrow.schema(
        [stored.field(number) for name in columns for number in stored.get_all_field_indices(name)]
    )
