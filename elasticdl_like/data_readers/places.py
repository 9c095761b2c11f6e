"""Where the records of a data set are, counted over its shards in their order."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence

from elasticdl_like.tasks import Shard, Task


def task_of(shard: Shard, start: int, end: int) -> Task:
    """Returns the records `[start, end)` of a shard, with what is known of where they are."""
    return Task(
        shard.name,
        start,
        end,
        version=shard.version,
        locator=shard.locator,
        index=shard.index and shard.index.covering(start, end),
    )


class Places:
    """The places of a data set: 0 is the first record of the first shard.

    Args:
        shards: in their order.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._ends = list(itertools.accumulate(shard.count for shard in shards))

    @property
    def num_records(self) -> int:
        """The number of records."""
        return self._ends[-1]

    def tasks_between(self, start: int, end: int) -> Iterator[Task]:
        """Yields the records at the places `[start, end)`, one task for each shard they are in."""
        ends = self._ends
        for number in range(bisect.bisect_right(ends, start), bisect.bisect_left(ends, end) + 1):
            shard = self._shards[number]
            shift = shard.end - ends[number]
            yield task_of(shard, max(start + shift, shard.first), min(end + shift, shard.end))
