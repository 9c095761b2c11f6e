"""Where the seconds of a worker go: a clock that is told what each thread is doing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from threading import RLock, get_ident
from types import TracebackType

from elasticdl_like.activity import AWAITED, Activity

__all__ = ["Activity", "Measurement", "TimeSpent", "share_time_spent", "time_spent_of"]


class TimeSpent:
    """Adds up the seconds that the threads of a process spend on each activity.

    Thread-safe. Seconds of several threads are added up, so that there may be more of them than
    the clock has shown.

    Args:
        clock: returns the time in seconds; it must never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Reentrant, because the collection of garbage can end a measurement at any moment, in a
        # generator that was never run to its end.
        self._lock = RLock()
        self._seconds = dict.fromkeys([*map(str, Activity), *AWAITED.values()], 0.0)
        # Innermost measurement by thread; only threads that measure now, and by their number, since
        # TensorFlow's threads have no thread-local Python state that outlives a call.
        self._innermost: dict[int, Measurement] = {}
        self._waiting: Measurement | None = None
        self._num_retries = 0

    @property
    def num_retries(self) -> int:
        """How often `RETRYING` was measured."""
        return self._num_retries

    def measure(self, activity: Activity) -> Measurement:
        """Returns a context manager: what its thread does inside is the activity.

        A measurement inside another one of the same thread pauses the other. There should be no
        `yield` inside: what the generator's caller does meanwhile would be counted.
        """
        return Measurement(self, activity)

    def totals(self) -> dict[str, float]:
        """Returns the seconds so far by activity, with those of running measurements.

        For each activity of the input side there is also the part during which a thread waited for
        input, under the name in `AWAITED`.
        """
        with self._lock:
            now_s = self._clock()
            for running in self._innermost.values():
                self._pause(running, now_s)
            for running in self._innermost.values():
                self._go_on(running, now_s)
            return self._seconds.copy()

    def _begin(self, measurement: Measurement) -> None:
        with self._lock:
            self._num_retries += measurement.activity is Activity.RETRYING
            now_s = self._clock()
            measurement.outer = self._innermost.get(measurement.thread)
            if measurement.outer is not None:
                self._pause(measurement.outer, now_s)
            self._innermost[measurement.thread] = measurement
            self._go_on(measurement, now_s)

    def _end(self, measurement: Measurement) -> None:
        with self._lock:
            thread = measurement.thread
            inner = self._innermost.get(thread)
            if inner is measurement:
                now_s = self._clock()
                self._pause(measurement, now_s)
                if measurement.outer is None:
                    del self._innermost[thread]
                else:
                    self._innermost[thread] = measurement.outer
                    self._go_on(measurement.outer, now_s)
                return
            # It ends before one that began inside it, as it can with a `yield` in there.
            while inner is not None:
                if inner.outer is measurement:
                    inner.outer = measurement.outer
                inner = inner.outer

    def _go_on(self, measurement: Measurement, now_s: float) -> None:
        measurement.since_s = now_s
        if measurement.activity is Activity.WAITING_FOR_INPUT:
            self._waiting = measurement
        elif measurement.activity in AWAITED:
            measurement.waited_s = self._waited_s(now_s)

    def _pause(self, measurement: Measurement, now_s: float) -> None:
        activity = measurement.activity
        if activity in AWAITED:
            awaited_s = self._waited_s(now_s) - measurement.waited_s
            self._seconds[AWAITED[activity]] += max(awaited_s, 0.0)
        elif self._waiting is measurement:
            self._waiting = None
        self._seconds[activity] += now_s - measurement.since_s

    def _waited_s(self, now_s: float) -> float:
        """Returns how long the training thread has waited for input so far."""
        running_s = 0.0 if self._waiting is None else now_s - self._waiting.since_s
        return self._seconds[Activity.WAITING_FOR_INPUT] + running_s


class Measurement:
    """One `measure` of a `TimeSpent`; a context manager that is used once."""

    __slots__ = ("_owner", "activity", "outer", "since_s", "thread", "waited_s")

    def __init__(self, owner: TimeSpent, activity: Activity) -> None:
        self._owner = owner
        self.activity = activity
        self.outer: Measurement | None = None
        self.since_s = 0.0
        self.waited_s = 0.0
        self.thread = 0

    def __enter__(self) -> None:
        self.thread = get_ident()
        self._owner._begin(self)

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._owner._end(self)


def time_spent_of(reader: object) -> TimeSpent:
    """Returns the `time_spent` of a data reader; gives it one if its class made none."""
    found = getattr(reader, "time_spent", None)
    if isinstance(found, TimeSpent):
        return found
    return share_time_spent(TimeSpent(), reader)


def share_time_spent(time_spent: TimeSpent, reader: object) -> TimeSpent:
    """Has a data reader of any class measure with `time_spent`, and returns that."""
    # One whose objects take no attributes is a user's, and does not measure.
    with contextlib.suppress(AttributeError):
        setattr(reader, "time_spent", time_spent)  # noqa: B010
    return time_spent
