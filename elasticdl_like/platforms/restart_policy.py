"""What the end of a worker process means, and when its replacement starts; the clock is passed in.

A *loss* is not the worker's fault: somebody needed its machine or its memory. It is replaced for
ever. A *crash* is a fault of the worker that may well come back: a few are forgiven.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

LONGEST_PAUSE_S = 60.0
"""The longest pause before a replacement."""

HEALTHY_AFTER_S = 60.0
"""A process that has lived this long was not in vain: its replacement starts without a pause."""

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


@dataclass
class RestartPolicy:
    """Decides when the next process of one worker starts.

    The first replacement starts at once, later ones after 1, 2, 4, … up to `LONGEST_PAUSE_S`
    seconds, until one has lived for `HEALTHY_AFTER_S`.

    Attributes:
        max_crashes: how many crashes are forgiven.
        crashes: how many there were.
    """

    max_crashes: int
    crashes: int = 0
    _in_vain: int = 0
    _started_s: float = 0.0

    def started(self, now_s: float) -> None:
        """Notes that a process runs from now on."""
        self._started_s = now_s

    def ended(self, now_s: float, kind: EndKind) -> float | None:
        """Notes the end of the process.

        Returns:
            In how many seconds the next one starts, or None for never: there were too many crashes.
        """
        if kind is EndKind.CRASH:
            self.crashes += 1
            if self.crashes > self.max_crashes:
                return None
        if now_s - self._started_s >= HEALTHY_AFTER_S:
            self._in_vain = 0
        pause_s = 0.0 if self._in_vain == 0 else min(2.0 ** (self._in_vain - 1), LONGEST_PAUSE_S)
        self._in_vain += 1
        return pause_s
