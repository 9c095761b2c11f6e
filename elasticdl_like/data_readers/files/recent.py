"""What a reader keeps for its next tasks: open files and decoded stretches, the newest of each."""

from __future__ import annotations

import threading
from collections import OrderedDict

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.files import RandomAccessFile, open_file
from elasticdl_like.data_readers.reading import batch_bytes

MAX_OPEN_FILES = 64
# Few, to stay within a processor's cache: with 8 MiB, reading small tasks was a quarter slower.
MAX_STRETCH_BYTES = 1 << 20

# What CPython adds to the bytes of each record, with its place in the list.
_RECORD_OVERHEAD_BYTES = 41


class RecentFiles:
    """Opened files, at most `MAX_OPEN_FILES` of them; thread-safe.

    A file that has to make room is closed when the last thread that reads it is done.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, RandomAccessFile] = OrderedDict()

    def get(self, name: str, version: str = "") -> RandomAccessFile:
        """Returns an opened file.

        Args:
            name: its path or URL.
            version: the version that it has to be of; "" for any.

        Raises:
            DataError: it cannot be opened, or is of another version.
        """
        with self._lock:
            file = self._files.get(name)
            if file is not None:
                self._files.move_to_end(name)
        if file is not None and (not version or file.current_version() == version):
            return file
        # An opened file of another version may have been replaced by the one that is meant.
        file = open_file(name)
        if version:
            file.check_version(version)
        with self._lock:
            self._files[name] = file
            self._files.move_to_end(name)
            if len(self._files) > MAX_OPEN_FILES:
                self._files.popitem(last=False)
        return file


class RecentStretches:
    """Decoded stretches, about `MAX_STRETCH_BYTES` of records at most; thread-safe.

    One that is larger than that is kept as long as no other one is added.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: OrderedDict[tuple[str, str, int], tuple[RecordBatch, int]] = OrderedDict()
        self._size_bytes = 0

    def get(self, name: str, version: str, start_byte: int) -> RecordBatch | None:
        """Returns the records of the stretch of a file that begins at this byte, if it has them."""
        key = (name, version, start_byte)
        with self._lock:
            found = self._batches.get(key)
            if found is None:
                return None
            self._batches.move_to_end(key)
        return found[0]

    def add(self, name: str, version: str, start_byte: int, batch: RecordBatch) -> None:
        """Keeps the records of a stretch, and gives up others for it."""
        key = (name, version, start_byte)
        size_bytes = _memory_bytes(batch)
        with self._lock:
            self._forget(key)
            self._batches[key] = (batch, size_bytes)
            self._size_bytes += size_bytes
            while self._size_bytes > MAX_STRETCH_BYTES and len(self._batches) > 1:
                self._forget(next(iter(self._batches)))

    def _forget(self, key: tuple[str, str, int]) -> None:
        _, size_bytes = self._batches.pop(key, (None, 0))
        self._size_bytes -= size_bytes


def _memory_bytes(batch: RecordBatch) -> int:
    """Returns about how much memory a batch takes up."""
    overhead_bytes = _RECORD_OVERHEAD_BYTES * len(batch) if isinstance(batch, list) else 0
    return batch_bytes(batch) + overhead_bytes
