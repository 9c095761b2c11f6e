"""A job that trains the counting model and everything that will happen to it, from one integer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class TrainingPoint(StrEnum):
    """Where in the training something happens; the model file says so (`zoo/counting.py`)."""

    EPOCH_BEGINS = "epoch begins"
    BEFORE_STEP = "before step"
    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    BEFORE_MARK = "before mark"
    MID_CHECKPOINT = "mid-checkpoint"
    BEFORE_PUBLICATION = "before publication"
    EPOCH_ENDS = "epoch ends"
    TRAINING_ENDS = "training ends"


class TrainingBlow(StrEnum):
    """What happens there. The command has the master in it."""

    KILL_WORKER = "kill worker"
    KILL_COMMAND = "kill command"
    KILL_EVERYTHING = "kill everything"
    STOP_WORKER = "stop worker"
    STOP_COMMAND = "stop command"
    FILL_WORKERS_DISK = "fill worker's disk"
    FILL_COMMANDS_DISK = "fill command's disk"


KILLS_WORKER = (TrainingBlow.KILL_WORKER, TrainingBlow.KILL_EVERYTHING)
KILLS_COMMAND = (TrainingBlow.KILL_COMMAND, TrainingBlow.KILL_EVERYTHING)


@dataclass(frozen=True)
class PointBlow:
    """Something that happens at a point.

    Attributes:
        kind: what happens.
        point: where.
        count: when the point is passed for this time, over all lives of the worker.
        delay_s: how long after, while the worker goes on; 0 for on the spot.
        duration_s: how long a process is stopped, or a disk full.
    """

    kind: TrainingBlow
    point: TrainingPoint
    count: int
    delay_s: float
    duration_s: float


@dataclass(frozen=True)
class TrainingPlan:
    """The job, and what happens to it.

    Attributes:
        seed: what all of it was drawn from.
        shards: name, first index and number of records of each; consecutive.
        uses_feed: whether records are fed one by one, and not by the batch.
        checkpoint_steps: how far apart checkpoints are; 0 for at the ends of epochs.
        pace_s: how long each step is made to take.
        blows: what happens.
        moves_at_step: when everything is killed, and the job goes on in another job directory,
            from the checkpoint, with tasks of another size; 0 for never.
        minibatches_per_task_after: the size of tasks there.
        writes_output: whether the trained model is written as well.
        clock_jumps: whether the wall clock jumps by hours.
        group_records: into groups of how many records the user's reader says that each shard is
            cut; 0 for none.
    """

    seed: int
    shards: tuple[tuple[str, int, int], ...]
    uses_feed: bool
    shuffle: bool
    num_epochs: int
    minibatch_size: int
    num_minibatches_per_task: int
    checkpoint_steps: int
    pace_s: float
    blows: tuple[PointBlow, ...]
    moves_at_step: int
    minibatches_per_task_after: int
    writes_output: bool
    clock_jumps: bool
    group_records: int

    @property
    def num_records(self) -> int:
        """The records of one epoch."""
        return sum(count for _, _, count in self.shards)


def make_training_plan(seed: int) -> TrainingPlan:
    """Draws a job and its faults."""
    chance = random.Random(seed)
    num_records = chance.choice([300, 480, 700])
    shards, first = [], 0
    for number in range(num_shards := chance.choice([1, 2, 5])):
        count = num_records // num_shards
        shards.append((f"part-{number}", first, count))
        first += count
    num_epochs = chance.randint(3, 4)
    minibatch_size = chance.choice([8, 16, 20])
    steps = first // minibatch_size * num_epochs
    moves = chance.random() < 0.3
    return TrainingPlan(
        seed=seed,
        shards=tuple(shards),
        uses_feed=chance.random() < 0.3,
        shuffle=chance.random() < 0.7,
        num_epochs=num_epochs,
        minibatch_size=minibatch_size,
        num_minibatches_per_task=chance.choice([1, 2, 4]),
        checkpoint_steps=chance.choice([0, 5, 10, 10]),
        pace_s=chance.choice([0.01, 0.03]),
        blows=_make_blows(chance, steps, num_epochs),
        moves_at_step=chance.randint(steps // 2, steps * 4 // 5) if moves else 0,
        minibatches_per_task_after=chance.choice([1, 3, 7]),
        writes_output=chance.random() < 0.3,
        clock_jumps=chance.random() < 0.2,
        group_records=chance.choice([0, 7, 100]),
    )


def _make_blows(chance: random.Random, steps: int, num_epochs: int) -> tuple[PointBlow, ...]:
    kinds = [chance.choice(KILLS_WORKER)]
    kinds += chance.choices(list(TrainingBlow), [2, 3, 1, 1, 1, 1, 1], k=chance.randint(1, 2))
    return tuple(_make_blow(chance, kind, steps, num_epochs) for kind in kinds)


def _make_blow(chance: random.Random, kind: TrainingBlow, steps: int, num_epochs: int) -> PointBlow:
    if kind in (TrainingBlow.FILL_WORKERS_DISK, TrainingBlow.FILL_COMMANDS_DISK):
        return PointBlow(kind, TrainingPoint.AFTER_COMMIT, chance.randint(5, steps // 2), 0.0, 1.0)
    point = chance.choice(list(TrainingPoint))
    count = {
        TrainingPoint.EPOCH_BEGINS: chance.randint(1, num_epochs),
        TrainingPoint.EPOCH_ENDS: chance.randint(1, num_epochs),
        TrainingPoint.TRAINING_ENDS: 1,
        TrainingPoint.BEFORE_MARK: chance.randint(1, num_epochs - 1),
        TrainingPoint.MID_CHECKPOINT: chance.randint(1, num_epochs),
        TrainingPoint.BEFORE_PUBLICATION: chance.randint(1, num_epochs - 1),
    }.get(point, chance.randint(2, steps * 3 // 4))
    delay_s = chance.choice([0.0, 0.0, chance.uniform(0.0, 0.01), chance.uniform(0.0, 0.1)])
    if point is TrainingPoint.TRAINING_ENDS:
        delay_s = 0.0
    return PointBlow(kind, point, count, delay_s, chance.uniform(0.3, 3.0))
