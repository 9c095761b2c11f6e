"""The records of one epoch that were set aside, as few ranges as possible."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class SetAside(NamedTuple):
    """The records `[start, end)` of a shard, and why they are not used."""

    shard_name: str
    start: int
    end: int
    problem: str


class Quarantine:
    """Ranges of records that are not used; ranges that touch, with one problem, become one."""

    def __init__(self, ranges: Iterable[SetAside] = ()) -> None:
        self._ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for each in ranges:
            self.add(each)

    def __iter__(self) -> Iterator[SetAside]:
        for (shard_name, problem), ranges in sorted(self._ranges.items()):
            for start, end in ranges:
                yield SetAside(shard_name, start, end, problem)

    def add(self, added: SetAside) -> None:
        """Adds a range that does not overlap any other."""
        ranges = self._ranges.setdefault((added.shard_name, added.problem), [])
        start, end = added.start, added.end
        place = bisect.bisect_left(ranges, (start, end))
        if place < len(ranges) and ranges[place][0] == end:
            end = ranges.pop(place)[1]
        if place and ranges[place - 1][1] == start:
            place -= 1
            start = ranges.pop(place)[0]
        ranges.insert(place, (start, end))

    def to_plain(self) -> list[list[Any]]:
        """Returns the ranges as lists."""
        return [list(each) for each in self]

    @classmethod
    def from_plain(cls, plain: Iterable[Iterable[Any]]) -> Quarantine:
        """Reads what `to_plain` returned."""
        return cls(SetAside(*each) for each in plain)
