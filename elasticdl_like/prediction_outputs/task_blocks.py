"""Which block of an upload a task is: pure arithmetic, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Shard, Task


@dataclass(frozen=True)
class _ShardBlocks:
    first_block: int
    first: int
    count: int


@dataclass(frozen=True)
class TaskBlocks:
    """Numbers the tasks of a data set, shard after shard.

    Attributes:
        records_per_task: of every task but the last one of a shard.
        shards: where the blocks of each shard begin, by its name.
    """

    records_per_task: int
    shards: dict[str, _ShardBlocks]

    @classmethod
    def of(cls, shards: Sequence[Shard], records_per_task: int) -> Self:
        """Returns the numbers of the tasks of these shards."""
        blocks: dict[str, _ShardBlocks] = {}
        next_block = 0
        for shard in shards:
            blocks[shard.name] = _ShardBlocks(next_block, shard.first, shard.count)
            next_block += -(-shard.count // records_per_task)
        return cls(records_per_task, blocks)

    @property
    def num_blocks(self) -> int:
        """The number of tasks."""
        return sum(-(-shard.count // self.records_per_task) for shard in self.shards.values())

    def number(self, task: Task) -> int:
        """Returns the number of a task.

        Raises:
            DataError: it is not one of these tasks, or only a part of one.
        """
        shard = self.shards.get(task.shard_name)
        if shard is not None:
            index, rest = divmod(task.start - shard.first, self.records_per_task)
            end = min(task.start + self.records_per_task, shard.first + shard.count)
            if rest == 0 and index >= 0 and task.start < task.end == end:
                return shard.first_block + index
        raise DataError(
            f"{task} are not a whole task of {self.records_per_task} records, as the output was "
            "begun with; each task is a block of the output, so none can be split"
        )

    def to_json(self) -> str:
        """Returns it as JSON."""
        shards = {
            name: [shard.first_block, shard.first, shard.count]
            for name, shard in self.shards.items()
        }
        return json.dumps({"records_per_task": self.records_per_task, "shards": shards})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            plain = json.loads(text)
            shards = {name: _ShardBlocks(*map(int, each)) for name, each in plain["shards"].items()}
            return cls(int(plain["records_per_task"]), shards)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"this is no output of predictions: {error}") from error
