"""A job that trains one model on several workers, and what will happen to it, from one integer."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

MOST_WORKERS = 4


class RoundPoint(StrEnum):
    """Where something happens: in a trainer (`zoo/round_points.py`), or in an agent (`agent/`)."""

    ROUND_BEGINS = "round begins"
    BEFORE_EXCHANGE = "before exchange"
    IN_EXCHANGE = "in exchange"
    AFTER_EXCHANGE = "after exchange"
    BEFORE_COMMIT = "before commit"
    WRITING_STATE = "writing state"
    STATE_WRITTEN = "state written"
    READING_STATE = "reading state"
    BEFORE_MARK = "before mark"
    MID_CHECKPOINT = "mid-checkpoint"
    BEFORE_PUBLICATION = "before publication"
    EPOCH_ENDS = "epoch ends"
    SENDING_STATE = "sending state"
    FETCHING_STATE = "fetching state"
    IN_RENDEZVOUS = "in rendezvous"


class RoundBlow(StrEnum):
    """What happens. The worker that is meant is the one that has got to the point, or is drawn."""

    KILL_TRAINER = "kill trainer"
    KILL_ZYGOTE = "kill zygote"
    KILL_AGENT = "kill agent"
    KILL_WORKER = "kill worker"
    KILL_ALL_TRAINERS = "kill all trainers"
    KILL_ALL_WORKERS = "kill all workers"
    KILL_COMMAND = "kill command"
    KILL_EVERYTHING = "kill everything"
    STOP_TRAINER = "stop trainer"
    STOP_ZYGOTE = "stop zygote"
    STOP_AGENT = "stop agent"
    STOP_COMMAND = "stop command"
    CUT_CONNECTIONS = "cut connections"
    MUTE_CONNECTIONS = "mute connections"
    END_AGENT = "SIGTERM to agent"
    SCALE = "scale"


class Rank(StrEnum):
    """Which member of a round is meant."""

    ANY = "any"
    CHIEF = "chief"
    OTHER = "other"


AGENT_POINTS = (RoundPoint.SENDING_STATE, RoundPoint.FETCHING_STATE, RoundPoint.IN_RENDEZVOUS)
CHECKPOINT_POINTS = (
    RoundPoint.BEFORE_MARK,
    RoundPoint.MID_CHECKPOINT,
    RoundPoint.BEFORE_PUBLICATION,
)
AGENT_BLOWS = (
    RoundBlow.KILL_AGENT,
    RoundBlow.KILL_COMMAND,
    RoundBlow.STOP_AGENT,
    RoundBlow.STOP_COMMAND,
)
ENDS_ROUND = (RoundBlow.KILL_TRAINER, RoundBlow.KILL_AGENT, RoundBlow.KILL_WORKER)


@dataclass(frozen=True)
class PointBlow:
    """Something that happens at a point.

    Attributes:
        kind: what happens.
        point: where.
        count: when the point is passed for this time, over all workers and rounds.
        rank: by whom.
        delay_s: how long after, while the process goes on; 0 for on the spot.
        duration_s: how long a process is stopped.
    """

    kind: RoundBlow
    point: RoundPoint
    count: int
    rank: Rank = Rank.ANY
    delay_s: float = 0.0
    duration_s: float = 0.0


@dataclass(frozen=True)
class OutsideBlow:
    """Something that happens from outside, once training has got so far.

    Attributes:
        kind: what happens.
        at_step: when the first worker has finished this step.
        share: which worker: a place in the list of those that are there, from 0 to 1.
        duration_s: how long a process is stopped.
        num_workers: to how many workers the job is scaled.
    """

    kind: RoundBlow
    at_step: int
    share: float = 0.0
    duration_s: float = 0.0
    num_workers: int = 0


@dataclass(frozen=True)
class ManyWorkersPlan:
    """The job, and what happens to it.

    Attributes:
        seed: what all of it was drawn from.
        num_workers: how many workers the job begins with.
        shards: name, first index and number of records of each; consecutive.
        uses_feed: whether records are fed one by one, and not by the batch.
        checkpoint_steps: how far apart checkpoints are; 0 for at the ends of epochs.
        pace_s: how long each member waits before each exchange, on average.
        blows: what happens at points.
        outside_blows: what happens from outside, in the order of their steps.
        group_records: into groups of how many records the user's reader says that each shard is
            cut; 0 for none.
        writes_output: whether the trained model is written as well.
        slow_from_step: from this step on training is slow, until a script lets it go on; 0 for
            never.
        stops_early: whether callbacks lower the learning rate and end training, when the loss has
            not become better for two epochs; it never does.
    """

    seed: int
    num_workers: int
    shards: tuple[tuple[str, int, int], ...]
    uses_feed: bool
    shuffle: bool
    num_epochs: int
    minibatch_size: int
    num_minibatches_per_task: int
    checkpoint_steps: int
    pace_s: float
    blows: tuple[PointBlow, ...] = ()
    outside_blows: tuple[OutsideBlow, ...] = ()
    group_records: int = 0
    writes_output: bool = False
    slow_from_step: int = 0
    stops_early: bool = False

    @property
    def num_records(self) -> int:
        """The records of one epoch."""
        return sum(count for _, _, count in self.shards)

    @property
    def kinds(self) -> list[RoundBlow]:
        """What happens, without where and when."""
        return [*(blow.kind for blow in self.blows), *(blow.kind for blow in self.outside_blows)]


def make_shards(num_records: int, num_shards: int) -> tuple[tuple[str, int, int], ...]:
    """Returns shards of consecutive records, all of one size."""
    count = num_records // num_shards
    return tuple((f"part-{number}", number * count, count) for number in range(num_shards))


def make_many_workers_plan(seed: int) -> ManyWorkersPlan:
    """Draws a job and its faults."""
    chance = random.Random(seed)
    num_workers = chance.choices([1, 2, 3, 4], [1, 4, 3, 1])[0]
    shards = make_shards(chance.choice([300, 480, 700]), chance.choice([1, 2, 5]))
    num_records = sum(count for _, _, count in shards)
    num_epochs = chance.randint(3, 4)
    minibatch_size = chance.choice([4, 6, 8])
    # If all workers are there all the time; fewer take more.
    fewest_steps = num_records * num_epochs // (minibatch_size * num_workers)
    checkpoint_steps = chance.choice([0, 10, 20, 20])
    blows, outside_blows = _draw_blows(
        chance, num_workers, fewest_steps, fewest_steps // (checkpoint_steps or fewest_steps)
    )
    return ManyWorkersPlan(
        seed=seed,
        num_workers=num_workers,
        shards=shards,
        uses_feed=chance.random() < 0.3,
        shuffle=chance.random() < 0.7,
        num_epochs=num_epochs,
        minibatch_size=minibatch_size,
        num_minibatches_per_task=chance.choice([1, 2, 4]),
        checkpoint_steps=checkpoint_steps,
        pace_s=chance.uniform(1.0, 4.0) / fewest_steps,
        blows=blows,
        outside_blows=outside_blows,
        group_records=chance.choice([0, 7, 100]),
        writes_output=chance.random() < 0.3,
    )


def _draw_blows(
    chance: random.Random, num_workers: int, steps: int, checkpoints: int
) -> tuple[tuple[PointBlow, ...], tuple[OutsideBlow, ...]]:
    """Draws what happens; the first blow is at a point that is sure to be passed."""
    first = chance.choices(
        [
            *ENDS_ROUND,
            RoundBlow.CUT_CONNECTIONS,
            RoundBlow.STOP_TRAINER,
        ],
        [4, 2, 2, 1 if num_workers > 1 else 0, 1],
    )[0]
    blows = [_at_step_point(chance, first, num_workers, steps // 2)]
    blows += [
        _draw_point_blow(chance, num_workers, steps, checkpoints, first)
        for _ in range(chance.randint(0, 2))
    ]
    outside_blows = [
        _draw_outside_blow(chance, num_workers, steps) for _ in range(chance.randint(0, 3))
    ]
    if any(blow.kind is RoundBlow.SCALE and blow.num_workers == 1 for blow in outside_blows):
        blows = [replace(blow, rank=Rank.ANY) for blow in blows]
    return tuple(blows), tuple(sorted(outside_blows, key=lambda blow: blow.at_step))


def _at_step_point(
    chance: random.Random, kind: RoundBlow, num_workers: int, most: int
) -> PointBlow:
    point = chance.choice(
        [
            RoundPoint.BEFORE_EXCHANGE,
            RoundPoint.IN_EXCHANGE,
            RoundPoint.IN_EXCHANGE,
            RoundPoint.AFTER_EXCHANGE,
            RoundPoint.BEFORE_COMMIT,
        ]
    )
    delay_s = chance.choice([0.0, chance.uniform(0.0, 0.02)])
    if point is RoundPoint.IN_EXCHANGE:
        delay_s = chance.uniform(0.0005, 0.02)
    rank = chance.choice(list(Rank)) if num_workers > 1 else Rank.ANY
    return PointBlow(
        kind, point, chance.randint(3, max(most, 4)), rank, delay_s, _draw_duration_s(chance)
    )


def _draw_point_blow(
    chance: random.Random, num_workers: int, steps: int, checkpoints: int, first: RoundBlow
) -> PointBlow:
    if first is RoundBlow.KILL_TRAINER and num_workers > 1 and chance.random() < 0.3:
        # Its agent fetches the state from another one.
        return PointBlow(
            chance.choice(AGENT_BLOWS),
            chance.choice(AGENT_POINTS),
            1,
            delay_s=chance.choice([0.0, chance.uniform(0.0, 0.05)]),
            duration_s=_draw_duration_s(chance),
        )
    rounds_follow = first in ENDS_ROUND
    at_steps = [each for each in RoundBlow if each not in (RoundBlow.SCALE, RoundBlow.END_AGENT)]
    if num_workers == 1:
        at_steps.remove(RoundBlow.CUT_CONNECTIONS)
        at_steps.remove(RoundBlow.MUTE_CONNECTIONS)
    kind = chance.choice(at_steps)
    connections = kind in (RoundBlow.CUT_CONNECTIONS, RoundBlow.MUTE_CONNECTIONS)
    place = "step" if connections else chance.choice(["step", "step", "state", "begin", "save"])
    blow = _at_step_point(chance, kind, num_workers, steps // 2)
    where = (blow.rank, blow.delay_s, blow.duration_s)
    if place == "begin":
        # The first round of all, or one after the first blow.
        most = num_workers + rounds_follow
        return PointBlow(kind, RoundPoint.ROUND_BEGINS, chance.randint(1, most))
    if place == "state" and num_workers > 1 and rounds_follow:
        # Where a trainer was killed, another one writes its state.
        point = chance.choice([RoundPoint.WRITING_STATE, RoundPoint.STATE_WRITTEN])
        return PointBlow(kind, point, 1, Rank.ANY, *where[1:])
    if place == "save":
        point = chance.choice([RoundPoint.EPOCH_ENDS, *CHECKPOINT_POINTS])
        most = 2 if point is RoundPoint.EPOCH_ENDS else max(min(checkpoints - 1, 3), 1)
        return PointBlow(kind, point, chance.randint(1, most), Rank.ANY, *where[1:])
    return blow


def _draw_outside_blow(chance: random.Random, num_workers: int, steps: int) -> OutsideBlow:
    kind = chance.choices(
        [
            RoundBlow.SCALE,
            RoundBlow.END_AGENT,
            RoundBlow.KILL_ZYGOTE,
            RoundBlow.KILL_AGENT,
            RoundBlow.KILL_TRAINER,
            RoundBlow.STOP_AGENT,
            RoundBlow.STOP_ZYGOTE,
            RoundBlow.STOP_TRAINER,
        ],
        [4, 2, 2, 2, 2, 1, 1, 1],
    )[0]
    return OutsideBlow(
        kind,
        chance.randint(2, max(steps // 2, 3)),
        chance.random(),
        _draw_duration_s(chance),
        chance.randint(1, MOST_WORKERS),
    )


def _draw_duration_s(chance: random.Random) -> float:
    """Draws for how long a process is stopped: short, or until it may be lost."""
    return chance.choice([chance.uniform(0.3, 3.0), chance.uniform(0.3, 3.0), 20.0])
