"""The writer of RecordIO files."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from elasticdl_like.data_readers.files.replacing import replacing
from elasticdl_like.data_readers.recordio.format import (
    Compressor,
    Dialect,
    encode_chunk,
    encoded_size,
)
from elasticdl_like.errors import ConfigError, DataError

# A task in random order decodes whole chunks for a part of their records: small ones waste less.
# Snappy compresses blocks of this size anyway.
DEFAULT_MAX_CHUNK_BYTES = 1 << 16


class RecordIOWriter:
    """Writes records to a RecordIO file; used as a context manager.

    A file named by its path appears whole or not at all: it is written under a hidden name in the
    same directory and renamed when the `with` block ends well, replacing what had the name before.
    An exception in the block removes it. A file object is written to from where it stands, and
    stays open.

    Args:
        path_or_fileobj: a path, or a buffered binary file object.
        dialect: which implementation of RecordIO the file is laid out for.
        compressor: how chunks are compressed.
        max_chunk_bytes: a chunk ends before it would exceed this size, counted before compression
            and with 4 bytes for the length of each record. A longer record has a chunk to itself.
        max_chunk_records: a chunk ends at this number of records; None for no such limit.

    Raises:
        ConfigError: a limit is below 1.
    """

    def __init__(
        self,
        path_or_fileobj: str | os.PathLike[str] | BinaryIO,
        *,
        dialect: Dialect = Dialect.GO,
        compressor: Compressor = Compressor.SNAPPY,
        max_chunk_bytes: int = DEFAULT_MAX_CHUNK_BYTES,
        max_chunk_records: int | None = None,
    ) -> None:
        if max_chunk_bytes < 1 or (max_chunk_records is not None and max_chunk_records < 1):
            raise ConfigError(
                f"max_chunk_bytes={max_chunk_bytes}, max_chunk_records={max_chunk_records}: "
                "no record fits in such a chunk; give numbers of at least 1"
            )
        self._target = path_or_fileobj
        self._dialect = dialect
        self._compressor = compressor
        self._max_chunk_bytes = max_chunk_bytes
        self._max_chunk_records = max_chunk_records
        self._records: list[bytes] = []
        self._chunk_bytes = 0
        self._opened: AbstractContextManager[BinaryIO] | None = None
        self._file: BinaryIO | None = None
        self._failed = False

    def __enter__(self) -> Self:
        """Opens the file.

        Raises:
            OSError: no file can be made in that directory.
        """
        if isinstance(self._target, str | os.PathLike):
            self._opened = replacing(Path(self._target))
        else:
            self._opened = nullcontext(self._target)
        self._file = self._opened.__enter__()
        return self

    def write(self, record: bytes) -> None:
        """Adds a record, which may be empty.

        Raises:
            TypeError: the record is not bytes.
            ValueError: the writer is not within its `with` block.
            DataError: the format cannot count a chunk of this size, or an earlier write failed.
            OSError: the file cannot be written.
        """
        if not isinstance(record, bytes):
            raise TypeError(f"a record must be bytes, not {type(record).__name__}; encode it first")
        if self._file is None:
            raise ValueError("this RecordIOWriter is not open; write within its 'with' block")
        size_bytes = encoded_size(record)
        if self._chunk_bytes + size_bytes > self._max_chunk_bytes:
            self._end_chunk(self._file)
        self._records.append(record)
        self._chunk_bytes += size_bytes
        if len(self._records) == self._max_chunk_records:
            self._end_chunk(self._file)

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Writes what is left and gives the file its name, or removes it after an exception.

        Raises:
            DataError: the format cannot count a chunk of this size, or an earlier write failed.
            OSError: the file cannot be written or renamed.
        """
        file, opened = self._file, self._opened
        self._file = self._opened = None
        if file is None or opened is None:
            return
        if error is not None:
            opened.__exit__(error_type, error, traceback)
            return
        with ExitStack() as stack:
            stack.push(opened)
            self._end_chunk(file)

    def _end_chunk(self, file: BinaryIO) -> None:
        if self._failed:
            raise DataError(
                f"{self._target}: an earlier write failed, and part of a chunk may be in the file; "
                "write the file again from its first record"
            )
        if self._records:
            self._failed = True  # until it is known that the chunk is whole
            file.write(encode_chunk(self._records, self._dialect, self._compressor))
            self._failed = False
            self._records = []
            self._chunk_bytes = 0
