"""A file as Arrow reads it: a Python file object that reads ahead where that costs nothing."""

from __future__ import annotations

from collections import deque
from typing import Any

from elasticdl_like.data_readers.arrow_columns import pyarrow
from elasticdl_like.data_readers.files.source import RandomAccessFile

# Arrow decodes columns in parallel, so that the order in which it reads them is not quite theirs.
_KEPT_READS = 2


class ArrowFile:
    """The reading half of a Python file object, as `pyarrow.PythonFile` needs it.

    Not thread-safe; Arrow locks it. Arrow asks for one column of a row group after the other.
    Short columns lie close together, and are read several at once.

    Attributes:
        first_offset: the lowest offset that was read from; the file's size before that.
    """

    closed = False

    def __init__(self, file: RandomAccessFile) -> None:
        self._file = file
        self._position = 0
        self._kept: deque[tuple[int, memoryview]] = deque(maxlen=_KEPT_READS)
        self.first_offset = file.size_bytes

    def for_arrow(self) -> Any:
        """Returns the file as a `pyarrow.NativeFile`."""
        return pyarrow.PythonFile(self, mode="r")

    def read(self, size: int = -1) -> memoryview:
        """Returns the next bytes, fewer than asked for only at the end of the file.

        Raises:
            DataError: the file cannot be read, or has shrunk.
        """
        start = self._position
        left = max(self._file.size_bytes - start, 0)
        size = left if size < 0 else min(size, left)
        self._position += size
        self.first_offset = min(self.first_offset, start)
        for kept_start, kept in self._kept:
            if kept_start <= start and start + size <= kept_start + len(kept):
                return kept[start - kept_start : start - kept_start + size]
        found = memoryview(
            self._file.read(start, max(size, min(self._file.efficient_read_bytes, left)))
        )
        if len(found) > size:
            self._kept.append((start, found))
        return found[:size]

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves to an offset from the beginning (`whence` 0), from here (1) or from the end (2)."""
        self._position = offset + (0, self._position, self._file.size_bytes)[whence]
        return self._position

    def tell(self) -> int:
        """Returns the offset of the next byte that is read."""
        return self._position

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def writable(self) -> bool:
        """Returns False."""
        return False

    def close(self) -> None:
        """Does nothing: the file is whoever's opened it."""
