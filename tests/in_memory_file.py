"""A data file that is some bytes."""

from __future__ import annotations

from elasticdl_like.data_readers.files.source import RandomAccessFile


class InMemoryFile(RandomAccessFile):
    """A file whose blocks are as small as asked for."""

    efficient_read_bytes = 1

    def __init__(self, data: bytes) -> None:
        super().__init__("in memory", len(data), "")
        self._data = data

    def current_version(self) -> str:
        return ""

    def close(self) -> None:
        pass

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        return self._data[offset_bytes : offset_bytes + size_bytes]
