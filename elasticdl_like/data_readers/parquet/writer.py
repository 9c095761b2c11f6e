"""The writer of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.arrow_columns import pyarrow
from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.files.replacing import replacing
from elasticdl_like.data_readers.reading import batch_size
from elasticdl_like.errors import ConfigError, DataError

parquet = import_extra("pyarrow.parquet", "arrow", "Parquet files")

RECORD_COLUMN = "record"
"""The column of records that are bytes."""

# Records are shuffled inside a row group, and a worker holds a few decoded ones.
DEFAULT_MAX_GROUP_ROWS = 1 << 16
DEFAULT_MAX_GROUP_BYTES = 1 << 26


class ParquetWriter:
    """Writes batches of records to a Parquet file; used as a context manager.

    The file appears whole or not at all: it is written under a hidden name in the same directory
    and renamed when the `with` block ends well, replacing what had the name before. An exception
    in the block removes it. Pages have checksums, so that a reader notices damage.

    Args:
        path: the file.
        compression: `zstd`, `snappy`, `lz4`, `gzip`, `brotli` or `none`.
        max_group_rows: a row group ends at this number of rows.
        max_group_bytes: a row group ends when its rows take this much memory, and is larger by
            less than a batch.

    Raises:
        ConfigError: there is no such compression, or a limit is below 1.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        compression: str = "zstd",
        max_group_rows: int = DEFAULT_MAX_GROUP_ROWS,
        max_group_bytes: int = DEFAULT_MAX_GROUP_BYTES,
    ) -> None:
        if max_group_rows < 1 or max_group_bytes < 1:
            raise ConfigError(
                f"max_group_rows={max_group_rows}, max_group_bytes={max_group_bytes}: "
                "no row fits in such a row group; give numbers of at least 1"
            )
        if compression != "none" and not _is_codec(compression):
            raise ConfigError(
                f"no Parquet compression {compression!r} here; there is "
                f"{', '.join(filter(_is_codec, ('zstd', 'snappy', 'lz4', 'gzip', 'brotli')))}, none"
            )
        self._path = Path(path)
        self._compression = compression
        self._max_group_rows = max_group_rows
        self._max_group_bytes = max_group_bytes
        self._opened: AbstractContextManager[BinaryIO] | None = None
        self._file: BinaryIO | None = None
        self._writer: Any = None
        self._schema: Any = None
        self._held: list[Any] = []

    def __enter__(self) -> Self:
        """Opens the file.

        Raises:
            OSError: no file can be made in that directory.
        """
        self._opened = replacing(self._path)
        self._file = self._opened.__enter__()
        return self

    @property
    def size_bytes(self) -> int:
        """What is in the file, and, before compression, what is held for the next row group."""
        written = self._file.tell() if self._file else 0
        held: int = sum(table.nbytes for table in self._held)
        return written + held

    def write_batch(self, batch: RecordBatch) -> None:
        """Adds records.

        Args:
            batch: columns, all batches the same ones: arrays of numbers or of `bytes` or `str`, or
                of shape (records, size); or a list of `bytes`, which become a column `record`.

        Raises:
            DataError: the batch is of another kind, or not like the first one.
            ValueError: the writer is not within its `with` block.
            OSError: the file cannot be written.
        """
        if self._file is None:
            raise ValueError("this ParquetWriter is not open; write within its 'with' block")
        if not batch_size(batch):
            return  # of which the types are not known
        table = self._table(batch)
        if self._schema is None:
            self._begin(table.schema, self._file)
        self._held.append(table)
        while self._is_group():
            self._end_group()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Writes what is left and gives the file its name, or removes it after an exception.

        Raises:
            OSError: the file cannot be written or renamed.
        """
        file, opened = self._file, self._opened
        self._file = self._opened = None
        if file is None or opened is None:
            return
        if error is not None:
            if self._writer is not None:
                # Else it would try when it is collected, and the file is closed by then.
                with suppress(pyarrow.ArrowException, OSError):
                    self._writer.close()
            opened.__exit__(error_type, error, traceback)
            return
        with ExitStack() as stack:
            stack.push(opened)
            if self._schema is None:
                self._begin(pyarrow.schema([(RECORD_COLUMN, pyarrow.binary())]), file)
            try:
                while self._held:
                    self._end_group()
            finally:
                self._writer.close()

    def _begin(self, schema: Any, file: BinaryIO) -> None:
        self._schema = schema
        self._writer = parquet.ParquetWriter(
            file, schema, compression=self._compression, write_page_checksum=True
        )

    def _table(self, batch: RecordBatch) -> Any:
        columns = batch if isinstance(batch, dict) else {RECORD_COLUMN: _objects(batch)}
        if self._schema is not None and list(columns) != self._schema.names:
            raise DataError(
                f"{self._path}: a batch of the columns {', '.join(columns)} after one of "
                f"{', '.join(self._schema.names)}; a file has the same ones throughout"
            )
        arrays = {}
        for name, column in columns.items():
            expected = None if self._schema is None else self._schema.field(name).type
            try:
                arrays[name] = _arrow_array(np.asarray(column), expected)
            except (pyarrow.ArrowException, TypeError, ValueError) as error:
                raise DataError(
                    f"{self._path}: column {name!r} cannot be written to Parquet: {error}"
                ) from error
        return pyarrow.table(arrays)

    def _is_group(self) -> bool:
        rows: int = sum(table.num_rows for table in self._held)
        size_bytes: int = sum(table.nbytes for table in self._held)
        return rows >= self._max_group_rows or size_bytes >= self._max_group_bytes

    def _end_group(self) -> None:
        table = pyarrow.concat_tables(self._held)
        rows = min(table.num_rows, self._max_group_rows)
        self._writer.write_table(table.slice(0, rows), row_group_size=rows)
        self._held = [table.slice(rows)] if rows < table.num_rows else []


def _is_codec(compression: str) -> bool:
    try:
        return bool(pyarrow.Codec.is_available(compression))
    except (ValueError, TypeError):
        return False


def _objects(records: Sequence[Any]) -> NDArray[Any]:
    for found in set(map(type, records)):
        if not issubclass(found, bytes):
            raise DataError(
                f"records of type {found.__name__} cannot be written to Parquet; only bytes, or "
                "batches of columns"
            )
    array = np.empty(len(records), object)
    array[:] = list(records)
    return array


def _arrow_array(column: NDArray[Any], expected: Any) -> Any:
    if column.ndim == 1:
        return pyarrow.array(column, expected)
    if column.ndim > 2:
        raise ValueError(f"its records are arrays of shape {column.shape[1:]}; flatten them")
    values = pyarrow.array(column.reshape(-1), expected and expected.value_type)
    lists = pyarrow.FixedSizeListArray.from_arrays(values, column.shape[1])
    if expected is not None and lists.type != expected:
        raise ValueError(f"{lists.type} after {expected}")
    return lists
