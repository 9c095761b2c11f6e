"""Whether training starves: it waits for input, which could be faster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from elasticdl_like.activity import Activity
from elasticdl_like.time_shares import TimeWindow, time_shares

_SHORTEST_WINDOW_S = 10.0
_TOLERATED_SHARE = 0.2
_REPEATED_AFTER_S = 600.0

_ADVICE = {
    Activity.WAITING_FOR_MASTER: (
        "make tasks larger with --num_minibatches_per_task; where epochs or evaluations take less "
        "than a second it is their ends that wait"
    ),
    Activity.READING: (
        "raise --read_threads or --prefetch_bytes, move the data to storage that is nearer, or "
        "make the reader faster"
    ),
    Activity.RETRYING: (
        "the service that the data comes from fails or is busy, as the worker's log says; ask it "
        "for less at once, or for a larger quota"
    ),
    Activity.DECODING: (
        "take a lighter compression or another format, which `elasticdl data convert` writes"
    ),
    Activity.CONVERTING: "use a BatchDataReader, which yields columns as NumPy arrays",
    Activity.PARSING: (
        "write feed_batch in place of feed, and work on whole batches in it, not record by record"
    ),
}


@dataclass(frozen=True)
class Starvation:
    """Training waits for input, and too long.

    Attributes:
        waiting: the part of its time in which the training thread waits for input.
        cause: what it waits for most of the time.
        window_s: over how many seconds that was measured.
    """

    waiting: float
    cause: Activity
    window_s: float

    def __str__(self) -> str:
        return (
            f"training has waited for input {self.waiting:.0%} of the last {self.window_s:.0f} s, "
            f"mostly {self.cause.phrase}: {_ADVICE[self.cause]}"
        )


def starvation(window: TimeWindow) -> Starvation | None:
    """Returns how training starves, or None when it does not, or it is too early to tell."""
    if window.length_s < _SHORTEST_WINDOW_S:
        return None
    shares = time_shares(window.seconds())
    if shares is None or shares.waiting_total <= _TOLERATED_SHARE:
        return None
    cause = max(shares.waiting, key=lambda name: shares.waiting[name])
    return Starvation(shares.waiting_total, Activity(cause), window.length_s)


class StarvationWatch:
    """Watches one worker's time, and tells when to warn.

    Attributes:
        window: the last seconds.
    """

    def __init__(self) -> None:
        self.window = TimeWindow()
        self._warned_s: dict[Activity, float] = {}

    def look(self, now_s: float, totals: Mapping[str, float]) -> Starvation | None:
        """Returns what to warn of; each cause once, and again after ten minutes.

        Args:
            now_s: the time, on the clock of the other calls.
            totals: the seconds by activity so far.
        """
        self.window.add(now_s, totals)
        found = starvation(self.window)
        if found is None:
            return None
        warned_s = self._warned_s.get(found.cause)
        if warned_s is not None and now_s - warned_s < _REPEATED_AFTER_S:
            return None
        self._warned_s[found.cause] = now_s
        return found
