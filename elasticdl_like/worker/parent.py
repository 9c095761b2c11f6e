"""What Linux does for processes whose parent ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection
from pathlib import Path

# linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Has this process killed when its parent ends, even if it is stopped then.

    Raises:
        OSError: the system cannot do that.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent ends.

    Raises:
        OSError: the system cannot do that.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_orphans(known: Collection[int]) -> None:
    """Kills the children of this process that it did not start itself: it has adopted them.

    Args:
        known: the process ids of those that it has started.
    """
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            for word in (task / "children").read_text(encoding="ascii").split():
                if int(word) not in known:
                    os.kill(int(word), signal.SIGKILL)
                    # One that is not gone yet is waited for the next time.
                    os.waitpid(int(word), os.WNOHANG)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    unsigned_long = ctypes.c_ulong
    if libc.prctl(option, unsigned_long(value), *(3 * [unsigned_long(0)])) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
