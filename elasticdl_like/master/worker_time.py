"""Where a worker's time goes, over all of its processes: pure."""

from __future__ import annotations

from collections.abc import Mapping


class WorkerTime:
    """Adds up what the processes of one worker tell, each of which begins at 0.

    A worker that trains together with others has a process for each round.
    """

    def __init__(self) -> None:
        self._round_number = 0
        self._seconds_before: dict[str, float] = {}
        self._retries_before = 0
        self._seconds: Mapping[str, float] = {}
        self._num_retries = 0

    def note(self, round_number: int, seconds: Mapping[str, float], num_retries: int) -> None:
        """Takes in what a process tells.

        Args:
            round_number: the round that it trains in; 0 where one worker trains alone.
            seconds: where its time went so far, by activity.
            num_retries: how often it had to ask a service again.
        """
        if round_number != self._round_number:
            self._seconds_before, self._seconds = self.seconds, {}
            self._retries_before, self._num_retries = self.num_retries, 0
            self._round_number = round_number
        self._seconds, self._num_retries = dict(seconds), num_retries

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds so far, by activity; empty when nothing was told."""
        total = dict(self._seconds_before)
        for name, seconds in self._seconds.items():
            total[name] = total.get(name, 0.0) + seconds
        return total

    @property
    def num_retries(self) -> int:
        """How often a service had to be asked again."""
        return self._retries_before + self._num_retries
