"""When the replacement of a worker process starts; the clock is passed in.

A lost process is replaced for ever; of those that crash a few are forgiven.
"""

from __future__ import annotations

from dataclasses import dataclass

from elasticdl_like.process_end import EndKind

LONGEST_PAUSE_S = 60.0
"""The longest pause before a replacement."""

HEALTHY_AFTER_S = 20.0
"""A process that has lived this long was not in vain: its replacement starts without a pause."""


@dataclass
class RestartPolicy:
    """Decides when the next process of one worker starts.

    The first replacement starts at once, later ones after 1, 2, 4, … up to `LONGEST_PAUSE_S`
    seconds, until one has lived for `HEALTHY_AFTER_S`.

    Attributes:
        max_crashes: how many crashes are forgiven.
        least_pause_s: how long even the first replacement waits.
        crashes: how many there were.
    """

    max_crashes: int
    least_pause_s: float = 0.0
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
        return max(pause_s, self.least_pause_s)
