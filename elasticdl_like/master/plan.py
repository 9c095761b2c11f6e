"""What the epochs of a job are made of, and the points that it can go back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """What the epochs that begin from now on are made of.

    Attributes:
        training_table: the number of the table of shards of the training data.
        validation_table: that of the validation data, or None when nothing is evaluated.
        records_per_task: the size of a task.
        num_epochs: trips over the training data; at least 1.
        shuffle_seed: decides the order of training, or None for the natural order.
    """

    training_table: int
    validation_table: int | None
    records_per_task: int
    num_epochs: int
    shuffle_seed: int | None


@dataclass(frozen=True)
class Mark:
    """What was committed at a step, in training.

    Attributes:
        step: the last step that counts.
        epoch: the training epoch that the job was in.
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
