"""The tasks of a data set, by arithmetic: nothing is stored for each task."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.task_cutting import part_size, task_runs
from elasticdl_like.tasks import Shard


class TaskRange(NamedTuple):
    """The records `[start, end)` of a shard, and where they are in the data set.

    Attributes:
        shard: the shard.
        start: the index of the first record in its shard.
        end: the index after the last.
        ordinal: how many records of the data set come before the first.
    """

    shard: Shard
    start: int
    end: int
    ordinal: int


class ShardTable:
    """The shards of a data set, cut into tasks numbered 0 … `num_tasks` - 1.

    A shard without natural splits is cut into tasks of one size. Between natural splits lie groups
    of records that are read as a whole: there a task is as many whole groups as fit into one, at
    least one. A task with more records than `records_per_task` is handed out in parts.

    Args:
        shards: as `list_shards` returns them.
        records_per_task: the size of every task but the last of each shard; at least 1.
    """

    def __init__(self, shards: Sequence[Shard], records_per_task: int) -> None:
        self.shards = tuple(shards)
        self.records_per_task = records_per_task
        # One entry for a shard without splits, and one for each task of the others: the shard,
        # its first record, the number of its first task and that of its first record in the data
        # set. Both numbers once more at the end.
        self._shard_numbers = array("q")
        self._first_records = array("q")
        self._first_tasks = array("q", [0])
        self._first_ordinals = array("q", [0])
        for shard_number, shard in enumerate(self.shards):
            for start, end, num_tasks in task_runs(shard, records_per_task):
                self._shard_numbers.append(shard_number)
                self._first_records.append(start)
                self._first_tasks.append(self._first_tasks[-1] + num_tasks)
                self._first_ordinals.append(self._first_ordinals[-1] + end - start)

    @property
    def num_records(self) -> int:
        """The number of records in the data set."""
        return self._first_ordinals[-1]

    @property
    def num_tasks(self) -> int:
        """The number of tasks in one trip over the data set."""
        return self._first_tasks[-1]

    def task_range(self, number: int) -> TaskRange:
        """Returns the records of a task."""
        entry = bisect.bisect_right(self._first_tasks, number) - 1
        shard = self.shards[self._shard_numbers[entry]]
        first_task, next_task = self._first_tasks[entry : entry + 2]
        first_ordinal, next_ordinal = self._first_ordinals[entry : entry + 2]
        first, count = self._first_records[entry], next_ordinal - first_ordinal
        if next_task - first_task == 1:
            return TaskRange(shard, first, first + count, first_ordinal)
        offset = (number - first_task) * self.records_per_task
        return TaskRange(
            shard,
            first + offset,
            first + min(offset + self.records_per_task, count),
            first_ordinal + offset,
        )

    def task_ordinals(
        self, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the ordinals of the first record of each task, and those after the last.

        What `task_range` says of one task, for many at once.
        """
        first_tasks, first_ordinals = _view(self._first_tasks), _view(self._first_ordinals)
        entries = np.searchsorted(first_tasks, numbers, side="right") - 1
        starts, ends = first_ordinals[entries], first_ordinals[entries + 1]
        is_cut = first_tasks[entries + 1] - first_tasks[entries] > 1
        starts = starts + (numbers - first_tasks[entries]) * self.records_per_task
        return starts, np.where(is_cut, np.minimum(starts + self.records_per_task, ends), ends)

    def tasks_at(self, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the numbers of the tasks that have the records of these ordinals."""
        first_tasks, first_ordinals = _view(self._first_tasks), _view(self._first_ordinals)
        entries = np.searchsorted(first_ordinals, ordinals, side="right") - 1
        is_cut = first_tasks[entries + 1] - first_tasks[entries] > 1
        numbers = (ordinals - first_ordinals[entries]) // self.records_per_task
        return first_tasks[entries] + np.where(is_cut, numbers, 0)

    def part_size(self, task_size: int) -> int:
        """Returns how many positions of a task of this size are handed out at once.

        All of them, or parts that are as even as they can be.
        """
        return part_size(task_size, self.records_per_task)


class ShardTables:
    """The tables of shards of a job, by number, each cut into tasks when an epoch begins.

    Args:
        tables: the shards of each.
    """

    def __init__(self, tables: Sequence[Sequence[Shard]]) -> None:
        self._tables = list(tables)
        self._cut: dict[tuple[int, int], ShardTable] = {}

    def __len__(self) -> int:
        return len(self._tables)

    def add(self, shards: Sequence[Shard]) -> None:
        """Adds a table; its number is how many there were."""
        self._tables.append(shards)

    def shards(self, number: int) -> Sequence[Shard]:
        """Returns the shards of a table."""
        return self._tables[number]

    def cut(self, number: int, records_per_task: int) -> ShardTable:
        """Returns the tasks of a table, which epochs share."""
        cut = (number, records_per_task)
        if cut not in self._cut:
            self._cut[cut] = ShardTable(self._tables[number], records_per_task)
        return self._cut[cut]


def _view(numbers: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(numbers, np.int64)
