"""Memory that processes pass on to each other as an open file: the state of a model."""

from __future__ import annotations

import mmap
import os


def new_memory(size_bytes: int) -> int:
    """Returns the file descriptor of so many bytes of memory, all 0 and not used up yet.

    Raises:
        OSError: there is not so much.
    """
    file = os.memfd_create("elasticdl-state", os.MFD_CLOEXEC)
    try:
        os.ftruncate(file, size_bytes)
    except OSError:
        os.close(file)
        raise
    return file


def size_bytes(file: int) -> int:
    """Returns the size of the memory."""
    return os.fstat(file).st_size


def used_bytes(file: int) -> int:
    """Returns how much of the memory has been written to, about."""
    return os.fstat(file).st_blocks * 512


def mapped(file: int, writable: bool) -> memoryview:
    """Returns the memory as part of this process; the file may be closed."""
    length = size_bytes(file)
    if not length:
        return memoryview(b"")
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    return memoryview(mmap.mmap(file, length, access=access))
