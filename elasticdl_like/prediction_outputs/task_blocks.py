"""Which block of an upload a task is: pure arithmetic, and its JSON."""

from __future__ import annotations

import bisect
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Self

from elasticdl_like.errors import DataError
from elasticdl_like.task_cutting import part_size, task_runs
from elasticdl_like.tasks import Shard, Task


@dataclass(frozen=True)
class _Run:
    """Records `[first, end)` of a shard, in blocks of one size; the last may be smaller."""

    first: int
    end: int
    block_size: int
    first_block: int

    @property
    def next_block(self) -> int:
        return self.first_block - (self.first - self.end) // self.block_size

    def number(self, task: Task) -> int | None:
        """Returns which block a task is; None if it is none."""
        index, rest = divmod(task.start - self.first, self.block_size)
        end = min(task.start + self.block_size, self.end)
        is_block = rest == 0 and self.first <= task.start < task.end == end
        return self.first_block + index if is_block else None


@dataclass(frozen=True)
class TaskBlocks:
    """Numbers the tasks of a data set, shard after shard.

    A task that is handed out in parts, because it is a large group of records that is read as a
    whole, is as many blocks.

    Attributes:
        num_blocks: the number of all.
        shards: the runs of each shard, by its name.
    """

    num_blocks: int
    shards: dict[str, list[_Run]]

    @classmethod
    def of(cls, shards: Sequence[Shard], records_per_task: int) -> Self:
        """Returns the numbers of the tasks of these shards."""
        blocks: dict[str, list[_Run]] = {}
        next_block = 0
        for shard in shards:
            runs = blocks[shard.name] = []
            for first, end, num_tasks in task_runs(shard, records_per_task):
                size = records_per_task
                if num_tasks == 1 and end > first:
                    size = part_size(end - first, records_per_task)
                run = _Run(first, end, size, next_block)
                runs.append(run)
                next_block = run.next_block
        return cls(next_block, blocks)

    def number(self, task: Task) -> int:
        """Returns the number of a task.

        Raises:
            DataError: it is not one of these tasks, or only a part of one.
        """
        runs = self.shards.get(task.shard_name, [])
        place = bisect.bisect_right(runs, task.start, key=lambda run: run.first) - 1
        number = runs[place].number(task) if place >= 0 else None
        if number is not None:
            return number
        raise DataError(
            f"{task} are not a whole task, as the output was begun with; each task is a block of "
            "the output, so none can be split"
        )

    def to_json(self) -> str:
        """Returns it as JSON."""
        shards = {name: [astuple(run) for run in runs] for name, runs in self.shards.items()}
        return json.dumps({"num_blocks": self.num_blocks, "shards": shards})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            plain = json.loads(text)
            shards = {
                name: [_Run(*map(int, run)) for run in runs]
                for name, runs in plain["shards"].items()
            }
            return cls(int(plain["num_blocks"]), shards)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"this is no output of predictions: {error}") from error
