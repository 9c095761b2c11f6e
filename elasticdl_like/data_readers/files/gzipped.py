"""Gzip files, read as what they decompress to."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import tempfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from weakref import WeakValueDictionary

from elasticdl_like.data_readers.files.local import LocalFile
from elasticdl_like.data_readers.files.source import RandomAccessFile
from elasticdl_like.errors import CorruptDataError, DataError

_logger = logging.getLogger(__name__)

# What follows a member is copied once for each, and there may be very many in a block.
_COMPRESSED_BLOCK_BYTES = 1 << 16
_MAX_BLOCK_BYTES = 1 << 20


def is_gzip_name(name: str) -> bool:
    """Returns whether a file of this path or URL is read as gzip."""
    path = name.partition("?")[0] if "://" in name else name
    return path.lower().endswith(".gz")


class DecompressedFile(RandomAccessFile):
    """What a gzip file decompresses to; sizes and offsets are of that.

    Gzip has no random access, so all of the file is decompressed when this is made, into a
    temporary file without a name. Its checksums are thereby checked before the first byte is
    read. Memory does not grow with the file. The version is that of the gzip file.

    The process keeps what it decompressed for whoever opens the file again, as long as that is no
    more than half of the room for temporary files.

    Args:
        compressed: the gzip file, of one member or several; closed together with this one.

    Raises:
        CorruptDataError: it is damaged, cut short, or not gzip.
        DataError: it cannot be read, changed meanwhile, or there is no room for the temporary file.
    """

    def __init__(self, compressed: RandomAccessFile) -> None:
        try:
            self._decompressed = _copies.get(compressed)
        except BaseException:
            compressed.close()
            raise
        self._compressed = compressed
        super().__init__(compressed.name, self._decompressed.size_bytes, compressed.version)

    def current_version(self) -> str:
        """Returns the version of the gzip file as it is now."""
        return self._compressed.current_version()

    def close(self) -> None:
        """Closes the gzip file."""
        self._compressed.close()

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        left_bytes = max(self._decompressed.size_bytes - offset_bytes, 0)
        return self._decompressed.read(offset_bytes, min(size_bytes, left_bytes))


def decompressed_blocks(compressed: RandomAccessFile) -> Iterator[bytes]:
    """Yields what a gzip file decompresses to, in blocks of at most 1 MiB.

    Raises:
        CorruptDataError: it is damaged, cut short, or not gzip.
        DataError: it cannot be read.
    """
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    is_between_members = True
    members = end_bytes = 0
    for block in compressed.blocks(_COMPRESSED_BLOCK_BYTES):
        end_bytes += len(block)
        rest = block
        while rest:
            if is_between_members:
                # Some programs fill up with zeros after the last member.
                rest = rest.lstrip(b"\0") if members else rest
                if not rest:
                    break
                is_between_members = False
            try:
                yield member.decompress(rest, _MAX_BLOCK_BYTES)
            except zlib.error as error:
                raise _damaged(compressed.name, end_bytes - len(rest), str(error)) from error
            rest = member.unconsumed_tail
            if member.eof:
                rest = member.unused_data
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                is_between_members = True
                members += 1
    if not members or not is_between_members:
        raise _damaged(compressed.name, end_bytes, "the file ends before its gzip data does")


class _Copies:
    """The decompressed copies of this process, each made by the first thread that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()
        self._in_use: WeakValueDictionary[tuple[str, str], LocalFile] = WeakValueDictionary()
        self._kept: OrderedDict[tuple[str, str], LocalFile] = OrderedDict()

    def get(self, compressed: RandomAccessFile) -> LocalFile:
        """Returns the decompressed copy of a file, which is gone when nobody has it any more."""
        key = (compressed.name, compressed.version)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                copy = self._in_use.get(key)
            if copy is None:
                copy = _decompress_to_temporary_file(compressed)
            with self._lock:
                self._in_use[key] = self._kept[key] = copy
                self._kept.move_to_end(key)
                self._make_room()
        return copy

    def _make_room(self) -> None:
        kept_bytes = sum(copy.size_bytes for copy in self._kept.values())
        free_bytes = shutil.disk_usage(tempfile.gettempdir()).free
        while kept_bytes > free_bytes and self._kept:
            _, copy = self._kept.popitem(last=False)
            kept_bytes -= copy.size_bytes
            free_bytes += copy.size_bytes


_copies = _Copies()


def _decompress_to_temporary_file(compressed: RandomAccessFile) -> LocalFile:
    directory = tempfile.gettempdir()
    _say_once(directory)
    size_bytes = 0
    try:
        with _nameless_file() as (writable, readable):
            for block in decompressed_blocks(compressed):
                rest = memoryview(block)
                while rest:
                    rest = rest[writable.write(rest) :]
                size_bytes += len(block)
    except OSError as error:
        raise DataError(
            f"{compressed.name}: decompressing it into {directory} failed after {size_bytes} "
            f"bytes: {error.strerror or error}; name a directory with room with the environment "
            "variable TMPDIR, or convert the data with elasticdl data convert"
        ) from error
    compressed.check_version(compressed.version)
    readable.size_bytes = size_bytes
    return readable


@contextmanager
def _nameless_file() -> Iterator[tuple[BinaryIO, LocalFile]]:
    """Makes a temporary file, open for writing in the block and for reading also after it."""
    descriptor, name = tempfile.mkstemp(prefix="elasticdl-")
    with os.fdopen(descriptor, "wb", buffering=0) as writable:
        try:
            readable = LocalFile(name)
        finally:
            Path(name).unlink()
        yield cast(BinaryIO, writable), readable


def _damaged(name: str, offset_bytes: int, problem: str) -> CorruptDataError:
    return CorruptDataError(
        name, offset_bytes, f"no sound gzip data: {problem}; copy or write the file again"
    )


@functools.cache
def _say_once(directory: str) -> None:
    _logger.warning(
        "gzip files can only be read from their beginning, so each process decompresses those "
        "that it reads from into %s; to read at full speed and from any place, convert the data "
        "once with elasticdl data convert",
        directory,
    )
