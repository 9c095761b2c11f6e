"""The data reader for RecordIO files."""

from __future__ import annotations

import glob
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

from elasticdl_like.data_readers.base import BatchDataReader
from elasticdl_like.data_readers.recordio.format import (
    HEADER_BYTES,
    ChunkFormatError,
    decode_chunk,
    decode_header,
)
from elasticdl_like.data_readers.recordio.index import (
    FileIndex,
    IndexedChunk,
    corrupt_chunk,
    index_file,
    os_errors_as_data_errors,
)
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task


class RecordIODataReader(BatchDataReader):
    """Reads RecordIO files of either dialect; a shard is a file, and its name is the path.

    Each file is indexed once. The newest decoded chunk is kept, because consecutive small tasks
    often share one.

    Args:
        data_origin: a file; a directory, of which every file is read, in the order of their names,
            but those that begin with `.` or `_`; or a glob pattern.

    Raises:
        ConfigError: `data_origin` is empty.
    """

    def __init__(self, *, data_origin: str) -> None:
        super().__init__(data_origin=data_origin)
        if not data_origin:
            raise ConfigError("data_origin is empty; name a file, a directory or a glob pattern")
        self._data_origin = data_origin
        self._indexes: dict[str, FileIndex] = {}
        self._file: _OpenFile | None = None
        self._newest_chunk: tuple[str, int, list[bytes]] | None = None

    def create_shards(self) -> dict[str, tuple[int, int]]:
        """Returns `{path: (0, number of records)}` for the files that have records.

        Raises:
            DataError: there is no such source, something in it is not a file, or it has no record.
            CorruptDataError: a file that is damaged or is not RecordIO.
        """
        paths = _files(self._data_origin)
        counts = {path: self._index(path).record_count for path in paths}
        shards = {path: (0, count) for path, count in counts.items() if count}
        if not shards:
            raise DataError(
                f"{self._data_origin}: no record in it ({len(paths)} files, all of them empty); "
                "check the path of the data"
            )
        return shards

    def read_record_batches(self, task: Task) -> Iterator[list[bytes]]:
        """Yields the records of the task, one batch for each chunk that it touches.

        A file that is replaced by another meanwhile is read on as it was; one that is changed in
        place is an error.

        Raises:
            DataError: the file is missing, unreadable, changed since it was indexed, or has no
                such records.
            CorruptDataError: a chunk that is damaged.
        """
        index = self._index(task.shard_name)
        for number in index.chunks_covering(task.start, task.end):
            chunk = index.chunk(number)
            start = max(task.start - chunk.first_record, 0)
            yield self._records(index, number, chunk)[start : task.end - chunk.first_record]

    def _index(self, path: str) -> FileIndex:
        index = self._indexes.get(path)
        if index is None:
            index = self._indexes[path] = index_file(path)
        return index

    def _records(self, index: FileIndex, number: int, chunk: IndexedChunk) -> list[bytes]:
        # Several tasks in a row often share a chunk.
        if self._newest_chunk is None or self._newest_chunk[:2] != (index.path, number):
            self._newest_chunk = None  # so that two decoded chunks are never held at once
            with os_errors_as_data_errors(index.path):
                # Reading with few system calls matters: each gives other threads the interpreter.
                if self._file is None or self._file.path != index.path:
                    self._file = _OpenFile(index.path)
                index.check_unchanged(os.fstat(self._file.descriptor))
                stored = os.pread(
                    self._file.descriptor,
                    HEADER_BYTES + chunk.body_size_bytes,
                    chunk.offset_bytes,
                )
            self._newest_chunk = (index.path, number, _decode(index, chunk, stored))
        return self._newest_chunk[2]


class _OpenFile:
    """A file that is open as long as this object lives."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)


def _decode(index: FileIndex, chunk: IndexedChunk, stored: bytes) -> list[bytes]:
    try:
        header = decode_header(
            stored[:HEADER_BYTES], index.size_bytes - chunk.offset_bytes - HEADER_BYTES
        )
        found = (header.dialect, header.compressor, header.body_size_bytes, header.record_count)
        if found != (chunk.dialect, chunk.compressor, chunk.body_size_bytes, chunk.record_count):
            raise ChunkFormatError("the chunk header differs from what was indexed")
        return decode_chunk(header, stored[HEADER_BYTES:])
    except ChunkFormatError as error:
        raise corrupt_chunk(index.path, chunk.offset_bytes, error) from error


def _files(data_origin: str) -> list[str]:
    """Returns the paths of the files of a data source, in their order."""
    with os_errors_as_data_errors(data_origin):
        origin = Path(data_origin)
        if origin.is_dir():
            names = sorted(entry.name for entry in origin.iterdir() if entry.name[0] not in "._")
            # Not joined by `Path`, which would write "./data" in another way than it was given.
            paths = [f"{data_origin.rstrip('/')}/{name}" for name in names]
        elif origin.exists():
            paths = [data_origin]
        else:
            paths = sorted(glob.glob(data_origin, recursive=True))  # noqa: PTH207 - absolute too
    if not paths:
        raise DataError(
            f"{data_origin}: no file there to read; name a file, a directory that has files "
            "(names beginning with '.' or '_' do not count), or a glob pattern"
        )
    for path in paths:
        if Path(path).is_dir():
            raise DataError(
                f"{path}: a directory among the data files of {data_origin}; "
                "directories are not searched, so move it or name the files with a glob pattern"
            )
    return paths
