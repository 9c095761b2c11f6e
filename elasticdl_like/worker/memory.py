"""Keeps freed memory, which a pipeline of records needs again at once."""

from __future__ import annotations

import ctypes

# glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 256 << 20
_LARGEST_KEPT_BYTES = 32 << 20


def keep_freed_memory() -> None:
    """Has the C library keep up to 256 MiB of freed memory for the next records.

    By default it gives large pieces back to the kernel, which clears every page when it is touched
    again: up to half of the time of reading large records. Does nothing with another C library
    than glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
