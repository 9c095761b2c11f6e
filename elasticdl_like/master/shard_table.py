"""The tasks of a data set, by arithmetic: nothing is stored for each task."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

from elasticdl_like.tasks import Shard


class ShardTable:
    """The shards of a data set, cut into tasks numbered 0 … `num_tasks` - 1.

    Args:
        shards: as `normalise_shards` returns them.
        records_per_task: the size of every task but the last of each shard; at least 1.
    """

    def __init__(self, shards: Sequence[Shard], records_per_task: int) -> None:
        self.shards = tuple(shards)
        self.records_per_task = records_per_task
        self.num_records = sum(shard.count for shard in self.shards)
        # The number of the first task of each shard, and after them the number of tasks.
        self._first_task = [
            0,
            *itertools.accumulate(-(-shard.count // records_per_task) for shard in self.shards),
        ]

    @property
    def num_tasks(self) -> int:
        """The number of tasks in one trip over the data set."""
        return self._first_task[-1]

    def task_range(self, number: int) -> tuple[str, int, int]:
        """Returns the shard name, the start and the end (exclusive) of a task."""
        shard_number = bisect.bisect_right(self._first_task, number) - 1
        shard = self.shards[shard_number]
        start = shard.first + (number - self._first_task[shard_number]) * self.records_per_task
        return shard.name, start, min(start + self.records_per_task, shard.end)
