"""Where the chunks of a RecordIO file are and which records they hold, from their headers alone."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.recordio.format import (
    HEADER_BYTES,
    ChunkFormatError,
    Compressor,
    Dialect,
    decode_header,
)
from elasticdl_like.errors import CorruptDataError, DataError

_KINDS = tuple(product(Dialect, Compressor))
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """One chunk of a file.

    Attributes:
        offset_bytes: where its header begins.
        body_size_bytes: size of the stored body.
        first_record: index, in the file, of its first record.
        record_count: number of its records, at least 1.
        dialect: the layout of its header.
        compressor: how its body is compressed.
    """

    offset_bytes: int
    body_size_bytes: int
    first_record: int
    record_count: int
    dialect: Dialect
    compressor: Compressor


@dataclass(frozen=True, slots=True, eq=False)
class FileIndex:
    """The chunks of one file, 17 bytes of memory for each.

    Attributes:
        path: the file.
        size_bytes: its size when it was indexed.
        mtime_ns: its modification time then.
        chunk_offsets: where each chunk begins, and last the size of the file.
        first_records: the index of each chunk's first record, and last the number of records.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    chunk_offsets: NDArray[np.int64]
    first_records: NDArray[np.int64]
    _kinds: bytes

    @property
    def chunk_count(self) -> int:
        """The number of chunks."""
        return len(self._kinds)

    @property
    def record_count(self) -> int:
        """The number of records."""
        return int(self.first_records[-1])

    def chunk(self, number: int) -> IndexedChunk:
        """Returns chunk `number`, counted from 0.

        Raises:
            IndexError: there is no such chunk.
        """
        dialect, compressor = _KINDS[self._kinds[number]]
        offset_bytes, next_offset_bytes = self.chunk_offsets[number : number + 2].tolist()
        first_record, next_first_record = self.first_records[number : number + 2].tolist()
        return IndexedChunk(
            offset_bytes=offset_bytes,
            body_size_bytes=next_offset_bytes - offset_bytes - HEADER_BYTES,
            first_record=first_record,
            record_count=next_first_record - first_record,
            dialect=dialect,
            compressor=compressor,
        )

    def chunks_covering(self, start: int, end: int) -> range:
        """Returns the numbers of the chunks that hold the records `[start, end)`.

        Raises:
            DataError: the range is not within the file.
        """
        if not 0 <= start <= end <= self.record_count:
            raise DataError(
                f"{self.path}: asked for the records [{start}, {end}), but the file holds "
                f"{self.record_count}; make the shards again from the file as it is"
            )
        if start == end:
            return range(0)
        first = int(np.searchsorted(self.first_records, start, side="right")) - 1
        return range(first, int(np.searchsorted(self.first_records, end, side="left")))

    def check_unchanged(self, status: os.stat_result) -> None:
        """Compares the file, as it is now, with what was indexed.

        Raises:
            DataError: size or modification time differ.
        """
        if (status.st_size, status.st_mtime_ns) != (self.size_bytes, self.mtime_ns):
            raise DataError(
                f"{self.path}: the file changed after it was indexed, from {self.size_bytes} to "
                f"{status.st_size} bytes; leave data files alone while a job reads them, and "
                "start the job again"
            )


def index_file(path: str) -> FileIndex:
    """Walks the chunk headers of a file; reads no bodies.

    An empty file is a file without records. A body size that is wrong shows where the next chunk
    should begin. A number of records that is wrong but possible does not show before the chunk is
    read, which then fails; the records after it count from a wrong number, but each counts once.

    Raises:
        DataError: the file does not exist, is not a regular file, or cannot be read.
        CorruptDataError: something that is not a whole chunk, and where.
    """
    with os_errors_as_data_errors(path):
        # Asked before opening, because opening a named pipe waits for its other end.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise DataError(f"{path}: not a regular file; name a RecordIO file")
        with Path(path).open("rb", buffering=0) as file:
            return _walk(path, file.fileno())


def _walk(path: str, descriptor: int) -> FileIndex:
    status = os.fstat(descriptor)
    size_bytes = status.st_size
    chunk_offsets = array("q", [0])
    first_records = array("q", [0])
    kinds = bytearray()
    offset_bytes = record_count = 0
    while offset_bytes < size_bytes:
        try:
            header = decode_header(
                os.pread(descriptor, HEADER_BYTES, offset_bytes),
                size_bytes - offset_bytes - HEADER_BYTES,
            )
        except ChunkFormatError as error:
            raise corrupt_chunk(path, offset_bytes, error) from error
        offset_bytes += HEADER_BYTES + header.body_size_bytes
        record_count += header.record_count
        chunk_offsets.append(offset_bytes)
        first_records.append(record_count)
        kinds.append(_KIND_NUMBERS[header.dialect, header.compressor])
    return FileIndex(
        path=path,
        size_bytes=size_bytes,
        mtime_ns=status.st_mtime_ns,
        chunk_offsets=_frozen(chunk_offsets),
        first_records=_frozen(first_records),
        _kinds=bytes(kinds),
    )


def _frozen(values: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(memoryview(values).toreadonly(), np.int64)


def corrupt_chunk(path: str, offset_bytes: int, error: ChunkFormatError) -> CorruptDataError:
    """Returns the error for a chunk at this place that `format` refuses."""
    return CorruptDataError(
        path, offset_bytes, f"{error}; copy or write the file again, or leave it out"
    )


@contextmanager
def os_errors_as_data_errors(path: str) -> Iterator[None]:
    """Turns an `OSError` of the block into a `DataError` that names the file."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror or error}; "
            "check that the path is right and readable from this machine"
        ) from error
