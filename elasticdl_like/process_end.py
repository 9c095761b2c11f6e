"""What the end of a process means: it was not its fault, or it was.

A *loss* is not the process's fault: somebody needed its machine or its memory. A *crash* is a fault
of its own that may well come back.
"""

from __future__ import annotations

import signal
from enum import StrEnum

_LOSS_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
# A process that is told to end, and does so in order, has an exit code as a shell would give it.
_LOSS_EXIT_CODES = frozenset(128 + number for number in _LOSS_SIGNALS)


class EndKind(StrEnum):
    """What the end of a process means."""

    LOSS = "loss"
    CRASH = "crash"


def end_kind(exit_code: int | None) -> EndKind:
    """Returns what it means that a process ended before its work was done.

    Args:
        exit_code: as `subprocess` gives it: a signal is its number below zero. None if it is not
            known, as that of a process that another process started.
    """
    if exit_code is None or exit_code in _LOSS_EXIT_CODES or -exit_code in _LOSS_SIGNALS:
        return EndKind.LOSS
    return EndKind.CRASH


def describe_end(exit_code: int | None) -> str:
    """Returns how a process ended, as the end of a sentence."""
    if exit_code is None:
        return "is gone"
    if exit_code == 0:
        return "ended before its work was done (exit code 0)"
    if exit_code > 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal
        return f"was killed by signal {-exit_code}"
