"""Commits that wait to be sent."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

from elasticdl_like.tasks import Commit, Interval

# Keep a request far from the size that a master refuses, however much an outage has piled up.
_MOST_COMMITS = 2000
_MOST_NUMBERS_IN_SUMS = 1 << 18


class PendingCommits:
    """A queue of commits. Successive ones with sums become one, under the number of the last."""

    def __init__(self) -> None:
        self._commits: list[Commit] = []

    def __len__(self) -> int:
        return len(self._commits)

    @property
    def first(self) -> Commit | None:
        """The one that has waited longest."""
        return self._commits[0] if self._commits else None

    def append(self, commit: Commit) -> None:
        """Has a commit wait."""
        if commit.sums and self._commits and self._commits[-1].sums:
            commit = _joined(self._commits.pop(), commit)
        self._commits.append(commit)

    def take(self) -> list[Commit]:
        """Takes out as many as one request may hold, those first that have waited longest."""
        number = numbers_in_sums = 0
        for commit in self._commits[:_MOST_COMMITS]:
            numbers_in_sums += len(commit.sums)
            if number and numbers_in_sums > _MOST_NUMBERS_IN_SUMS:
                break
            number += 1
        taken, self._commits = self._commits[:number], self._commits[number:]
        return taken


def _joined(first: Commit, second: Commit) -> Commit:
    sums = [*map(operator.add, first.sums, second.sums)]
    return Commit(second.step, _runs((*first.intervals, *second.intervals)), sums=sums)


def _runs(intervals: Iterable[Interval]) -> Sequence[Interval]:
    """Returns the same positions in as few intervals as they need."""
    runs: list[Interval] = []
    for each in intervals:
        last = runs[-1] if runs else None
        if last and (last.token, last.end_position) == (each.token, each.start_position):
            runs[-1] = Interval(each.token, last.start_position, each.end_position)
        else:
            runs.append(each)
    return runs
