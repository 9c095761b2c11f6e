"""Whether a process still does something."""

from __future__ import annotations

import os
from pathlib import Path

# Less than this is not work: threads that look at the clock.
_WORKING_CPU_S = 0.5


class Silence:
    """For how long a process has given no sign of life; the clock is passed in.

    A message is one. So is computing: Python cannot send messages while a long call of a C
    library, such as `pickle.load`, keeps its lock.

    Args:
        now_s: when it started.
    """

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._cpu_s = 0.0

    def heard(self, now_s: float) -> None:
        """Notes a message."""
        self._since_s = now_s

    def length_s(self, now_s: float, cpu_s: float) -> float:
        """Returns for how long there was no sign of life.

        Args:
            now_s: the time.
            cpu_s: how long the process has computed so far.
        """
        if cpu_s - self._cpu_s >= _WORKING_CPU_S:
            self._cpu_s = cpu_s
            self._since_s = now_s
        return now_s - self._since_s


def cpu_seconds(pid: int) -> float:
    """Returns how long a process has computed so far; 0.0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    # The name, in parentheses, may hold anything.
    fields = text.rpartition(")")[2].split()
    user_ticks, system_ticks = int(fields[11]), int(fields[12])
    return (user_ticks + system_ticks) / os.sysconf("SC_CLK_TCK")
