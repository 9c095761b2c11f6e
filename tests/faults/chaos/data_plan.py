"""A job without a model and everything that will happen to it: a function of one integer."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from faults.chaos.network_plan import NetworkPlan, make_network_plan

_MANY_EVENTS_EVERY = 60


class Point(StrEnum):
    """Where in its work a data worker kills itself."""

    AFTER_LEASE = "after lease"
    MID_BATCH = "mid-batch"
    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    AFTER_COUNTED = "after counted"
    EPOCH_CHANGE = "epoch change"


class Blow(StrEnum):
    """What happens to a process from outside, once the job has got so far."""

    KILL_WORKER = "kill worker"
    KILL_WORKERS = "kill all workers"
    STOP_WORKER = "stop worker"
    STOP_WORKER_LONG = "stop worker until it is lost"
    KILL_MASTER = "kill master"
    KILL_EVERYTHING = "kill everything"
    STOP_MASTER = "stop master"
    FILL_DISK = "fill the master's disk"


@dataclass(frozen=True)
class Death:
    """A worker kills itself when workers get to a point for the `count`-th time."""

    point: Point
    count: int


@dataclass(frozen=True)
class ScheduledBlow:
    """A blow.

    Attributes:
        kind: what happens.
        progress: when: the share of the job's records that has been counted.
        duration_s: how long a process is stopped, the disk full, or the master away.
    """

    kind: Blow
    progress: float
    duration_s: float


@dataclass(frozen=True)
class MasterDeath:
    """The master is killed while it deals with a request for leases.

    Attributes:
        call: which one, counted by the proxy; None for the first whose reply says that an epoch
            has ended.
        delay_s: how long after the request was sent to it.
    """

    call: int | None
    delay_s: float


@dataclass(frozen=True)
class DataPlan:
    """The job, and what happens to it.

    Attributes:
        seed: what all of it was drawn from.
        shards: name, first index and number of records of each.
        custom_reader: whether the shards are listed and read by a reader of a model file, instead
            of RecordIO files.
        records_per_commit: what a worker uses in one step, across leases.
        flush_share: how often a worker waits until a commit is counted.
        pace_s: how long a step takes.
        deaths: by their own hand, one after the other.
        blows: in the order of their progress.
        master_deaths: at points that the proxy sees.
        clock_jumps: whether the wall clock of master and workers jumps by hours.
        group_records: into groups of how many records the user's reader says that each shard is
            cut; 0 for none.
    """

    seed: int
    shards: tuple[tuple[str, int, int], ...]
    custom_reader: bool
    shuffle: bool
    num_epochs: int
    minibatch_size: int
    num_minibatches_per_task: int
    num_workers: int
    records_per_commit: int
    flush_share: float
    pace_s: float
    worker_timeout_s: float
    network: NetworkPlan
    deaths: tuple[Death, ...]
    blows: tuple[ScheduledBlow, ...]
    master_deaths: tuple[MasterDeath, ...]
    clock_jumps: bool
    group_records: int

    @property
    def num_records(self) -> int:
        """The records of one epoch."""
        return sum(count for _, _, count in self.shards)


def make_data_plan(seed: int) -> DataPlan:
    """Draws a job and its faults."""
    chance = random.Random(seed)
    plan = _draw_plan(seed, chance)
    while not (plan.deaths or plan.blows or plan.master_deaths or plan.network.rates):
        plan = _draw_plan(seed, chance)
    return _with_many_events(plan) if seed % _MANY_EVENTS_EVERY == 5 else plan


def _with_many_events(plan: DataPlan) -> DataPlan:
    """Makes a job so long that a snapshot takes the place of the journal, then kills its master."""
    return replace(
        plan,
        shards=(("part-00", 0, 1500),),
        num_epochs=4,
        num_workers=4,
        minibatch_size=1,
        num_minibatches_per_task=3,
        records_per_commit=1,
        flush_share=1.0,
        pace_s=0.0,
        network=NetworkPlan({}, 0.0, 0.0),
        blows=(
            ScheduledBlow(Blow.KILL_WORKER, 0.3, 0.0),
            ScheduledBlow(Blow.KILL_MASTER, 0.92, 0.0),
        ),
        master_deaths=(),
        clock_jumps=False,
    )


def _draw_plan(seed: int, chance: random.Random) -> DataPlan:
    custom_reader = chance.random() < 0.3
    num_shards = chance.choice([1, 2, 3, 7, 20])
    num_records = chance.choice([200, 300, 500])
    counts = _partition(chance, num_records, num_shards)
    worker_timeout_s = 1.0
    num_workers = chance.randint(2, 4)
    deaths = [
        Death(chance.choice(list(Point)[:-1]), chance.randint(1, 5))
        for _ in range(chance.randint(0, 3))
    ]
    num_epochs = chance.randint(2, 4)
    if chance.random() < 0.25:
        deaths.insert(0, Death(Point.EPOCH_CHANGE, 1))
    return DataPlan(
        seed=seed,
        shards=tuple(
            (f"part-{number:02d}", chance.choice([0, 5, 1000]) if custom_reader else 0, count)
            for number, count in enumerate(counts)
        ),
        custom_reader=custom_reader,
        shuffle=chance.random() < 0.6,
        num_epochs=num_epochs,
        minibatch_size=chance.choice([1, 3, 8, 16]),
        num_minibatches_per_task=chance.choice([1, 2, 5]),
        num_workers=num_workers,
        records_per_commit=chance.choice([3, 7, 16, 20]),
        flush_share=chance.choice([0.0, 0.2, 1.0]),
        pace_s=chance.choice([0.005, 0.01, 0.02]),
        worker_timeout_s=worker_timeout_s,
        network=make_network_plan(chance),
        deaths=tuple(deaths),
        blows=_make_blows(chance, worker_timeout_s),
        master_deaths=_make_master_deaths(chance),
        clock_jumps=chance.random() < 0.2,
        group_records=chance.choice([0, 7, 100]),
    )


def _make_blows(chance: random.Random, worker_timeout_s: float) -> tuple[ScheduledBlow, ...]:
    blows = []
    kinds = list(Blow)
    weights = [4, 1, 2, 2, 4, 1, 2, 2]
    for kind in chance.choices(kinds, weights, k=chance.choice([0, 1, 1, 2, 2, 3])):
        shortest_s, longest_s = {
            Blow.STOP_WORKER: (0.05, 0.5),
            Blow.STOP_WORKER_LONG: (worker_timeout_s * 2, worker_timeout_s * 2.5),
            Blow.STOP_MASTER: (0.1, 2.0),
            Blow.FILL_DISK: (0.5, 1.5),
        }.get(kind, (0.0, 0.5))
        blows.append(
            ScheduledBlow(kind, chance.uniform(0.02, 0.7), chance.uniform(shortest_s, longest_s))
        )
    return tuple(sorted(blows, key=lambda blow: blow.progress))


def _make_master_deaths(chance: random.Random) -> tuple[MasterDeath, ...]:
    deaths = []
    if chance.random() < 0.3:
        deaths.append(MasterDeath(chance.randint(4, 12), chance.uniform(0.0, 0.003)))
    if chance.random() < 0.15:
        deaths.append(MasterDeath(None, chance.uniform(0.0, 0.003)))
    return tuple(deaths)


def _partition(chance: random.Random, total: int, parts: int) -> list[int]:
    cuts = sorted(chance.sample(range(1, total), parts - 1))
    return [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]
