"""What the epochs of a job are made of, and the points that it can go back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from elasticdl_like.tasks import TaskType


@dataclass(frozen=True)
class Plan:
    """What the epochs that begin from now on are made of.

    Attributes:
        table: the number of the table of shards of the job's epochs.
        validation_table: that of what is evaluated in between, or None for nothing.
        records_per_task: the size of a task.
        num_epochs: trips over the data; at least 1.
        shuffle_seed: decides the order of the job's epochs, or None for the natural order.
        task_type: what the records of the job's epochs are used for.
    """

    table: int
    validation_table: int | None
    records_per_task: int
    num_epochs: int
    shuffle_seed: int | None
    task_type: TaskType = TaskType.TRAINING

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """Returns the plan whose `asdict` this is, perhaps by way of JSON."""
        return cls(**{**plain, "task_type": TaskType(plain["task_type"])})


@dataclass(frozen=True)
class Mark:
    """What was committed at a step.

    Attributes:
        step: the last step that counts.
        epoch: the epoch that the job was in.
        position: of that epoch, as `Epoch.position` returns it; empty at the start of an epoch,
            and then the epoch is made as the plan says.
        table: the number of that epoch's table of shards.
        records_per_task: the size of that epoch's tasks.
        order_key: the order of that epoch.
        checkpoint: the directory of the checkpoint of that step, once it is published.
    """

    step: int
    epoch: int
    position: Mapping[str, Any]
    table: int = 0
    records_per_task: int = 0
    order_key: int | None = None
    checkpoint: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Returns the mark as JSON."""
        return asdict(self)
