"""The tasks of a data set, by arithmetic: nothing is stored for each task."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from elasticdl_like.tasks import Shard


class TaskRange(NamedTuple):
    """The records `[start, end)` of a shard, and where they are in the data set.

    Attributes:
        shard_name: the shard.
        start: the index of the first record in its shard.
        end: the index after the last.
        ordinal: how many records of the data set come before the first.
    """

    shard_name: str
    start: int
    end: int
    ordinal: int


class ShardTable:
    """The shards of a data set, cut into tasks numbered 0 … `num_tasks` - 1.

    Args:
        shards: as `normalise_shards` returns them.
        records_per_task: the size of every task but the last of each shard; at least 1.
    """

    def __init__(self, shards: Sequence[Shard], records_per_task: int) -> None:
        self.shards = tuple(shards)
        self.records_per_task = records_per_task
        # The number of the first task of each shard, and after them the number of tasks; the
        # same of records.
        self._first_task = [
            0,
            *itertools.accumulate(-(-shard.count // records_per_task) for shard in self.shards),
        ]
        self._first_ordinal = [0, *itertools.accumulate(shard.count for shard in self.shards)]

    @property
    def num_records(self) -> int:
        """The number of records in the data set."""
        return self._first_ordinal[-1]

    @property
    def num_tasks(self) -> int:
        """The number of tasks in one trip over the data set."""
        return self._first_task[-1]

    def task_range(self, number: int) -> TaskRange:
        """Returns the records of a task."""
        shard_number = bisect.bisect_right(self._first_task, number) - 1
        shard = self.shards[shard_number]
        offset = (number - self._first_task[shard_number]) * self.records_per_task
        return TaskRange(
            shard.name,
            shard.first + offset,
            shard.first + min(offset + self.records_per_task, shard.count),
            self._first_ordinal[shard_number] + offset,
        )
