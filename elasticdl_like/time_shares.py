"""How a worker's time is shared out between its activities, over all of it or the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from elasticdl_like.activity import AWAITED, INPUT, WORK, Activity
from elasticdl_like.errors import InvalidRequestError

_WINDOW_S = 30.0
# Samples that come faster than this take each other's place: a window has a bounded number.
_SHORTEST_INTERVAL_S = 1.0
_SMALLEST_SHOWN = 0.005
# Far more than there can be; sums and shares of such numbers are numbers.
_MOST_SECONDS = 1e12
_NAMES = frozenset([*Activity, *AWAITED.values()])


@dataclass(frozen=True)
class TimeShares:
    """What part of its time the training thread spends on what; all parts add up to 1.

    Attributes:
        working: the parts in which it works, by activity.
        waiting: the parts in which it waits for input, by what the input side does meanwhile. When
            that does nothing, the wait is for `tf.data`, which parses.
    """

    working: Mapping[str, float]
    waiting: Mapping[str, float]

    @property
    def waiting_total(self) -> float:
        """The part in which it waits for input, whatever for."""
        return sum(self.waiting.values())

    def __str__(self) -> str:
        infers = any(self.working.get(each) for each in (Activity.EVALUATING, Activity.PREDICTING))
        parts = [
            f"{Activity(name).phrase} {part:.0%}"
            for name, part in self.working.items()
            if part >= _SMALLEST_SHOWN or (name == Activity.TRAINING and not infers)
        ]
        causes = ", ".join(
            f"{Activity(name).phrase} {part:.0%}"
            for name, part in self.waiting.items()
            if part >= _SMALLEST_SHOWN
        )
        waiting = f"{Activity.WAITING_FOR_INPUT.phrase} {self.waiting_total:.0%}"
        return ", ".join([*parts, f"{waiting} ({causes})" if causes else waiting])


def time_shares(seconds: Mapping[str, float]) -> TimeShares | None:
    """Returns how time is shared out, or None when the training thread has spent none.

    Args:
        seconds: what `TimeSpent.totals` returns, or the difference of two of these.
    """
    work = {str(activity): seconds.get(activity, 0.0) for activity in WORK}
    awaited = {str(activity): seconds.get(AWAITED[activity], 0.0) for activity in INPUT}
    waiting_s = seconds.get(Activity.WAITING_FOR_INPUT, 0.0)
    parsing_s = seconds.get(Activity.PARSING, 0.0)
    total_s = sum(work.values()) + waiting_s + parsing_s
    if total_s <= 0:
        return None
    awaited_s = sum(awaited.values())
    # Several threads may have been at work during one wait.
    scale = min(waiting_s / awaited_s, 1.0) if awaited_s else 0.0
    waiting = {name: scale * each_s / total_s for name, each_s in awaited.items()}
    waiting[str(Activity.PARSING)] = (parsing_s + waiting_s - scale * awaited_s) / total_s
    return TimeShares({name: each_s / total_s for name, each_s in work.items()}, waiting)


def check_seconds(seconds: Mapping[str, float]) -> None:
    """Checks seconds by activity that come from another process.

    Raises:
        InvalidRequestError: an activity is not known, or a number is no number of seconds.
    """
    for name, value in seconds.items():
        if name not in _NAMES:
            raise InvalidRequestError(f"seconds were spent on {name[:40]!r}, which is not known")
        if not 0 <= value <= _MOST_SECONDS:
            raise InvalidRequestError(f"{value} seconds were spent on {name}")


class TimeWindow:
    """The seconds by activity of about the last 30 s, from the first step on."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[str, float]]] = deque()

    def add(self, now_s: float, totals: Mapping[str, float]) -> None:
        """Notes the seconds so far.

        Args:
            now_s: the time, on the clock of the other calls.
            totals: what `TimeSpent.totals` returned. Nothing is noted before the first step: what
                comes before it is no sign of what comes after.
        """
        if not totals.get(Activity.TRAINING):
            return
        samples = self._samples
        if len(samples) > 1 and now_s - samples[-2][0] < _SHORTEST_INTERVAL_S:
            samples.pop()
        samples.append((now_s, totals))
        while len(samples) > 2 and now_s - samples[1][0] >= _WINDOW_S:
            samples.popleft()

    @property
    def length_s(self) -> float:
        """How many seconds it spans."""
        return self._samples[-1][0] - self._samples[0][0] if self._samples else 0.0

    def seconds(self) -> dict[str, float]:
        """Returns the seconds by activity; they need not add up to the window's length."""
        if not self._samples:
            return {}
        first, last = self._samples[0][1], self._samples[-1][1]
        return {name: max(value - first.get(name, 0.0), 0.0) for name, value in last.items()}
