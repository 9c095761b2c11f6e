"""A job of a journal and a worker's side of the protocol, for the tests of the master."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from elasticdl_like.config import (
    CheckpointConfig,
    DataConfig,
    DistributionStrategy,
    InferenceConfig,
    JobConfig,
    JobKind,
    ModelConfig,
    TrainingConfig,
    WorkersConfig,
)
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.job import Job
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.plan import Plan
from elasticdl_like.master.recovery import recover
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.ordering import position_order
from elasticdl_like.tasks import (
    Commit,
    EpochKey,
    Interval,
    Lease,
    LeaseReply,
    LeaseRequest,
    Shard,
    TaskType,
)

KEY = EpochKey(TaskType.TRAINING, 0)
SHARDS = (Shard("a", 0, 12),)
VALIDATION = (Shard("v", 0, 2),)

Record = tuple[str, int]


def training(epoch: int) -> EpochKey:
    return EpochKey(TaskType.TRAINING, epoch)


def first_of(kind: JobKind) -> EpochKey:
    """Returns the first epoch of a job that evaluates or predicts."""
    return EpochKey(TaskType(kind), 0)


def evaluation(step: int, epoch: int = 0) -> EpochKey:
    return EpochKey(TaskType.EVALUATION, epoch, step)


def whole(step: int, leases: Iterable[Lease], problem: str = "") -> Commit:
    """A commit of all positions of some leases."""
    return Commit(
        step,
        [Interval(each.token, each.start_position, each.end_position) for each in leases],
        problem,
    )


def used(*intervals: tuple[int, int, int], problem: str = "", step: int = 1) -> Commit:
    return Commit(step, [Interval(*interval) for interval in intervals], problem)


def records_at(lease: Lease, start: int, end: int) -> list[Record]:
    """Returns the records at the positions `[start, end)` of a lease, as a worker reads them."""
    task = lease.task
    order = range(task.size)
    if lease.order_key is not None:
        order = position_order(task.size, lease.order_key).tolist()
    return [(task.shard_name, task.start + order[position]) for position in range(start, end)]


def records_of(lease: Lease) -> list[Record]:
    return records_at(lease, lease.start_position, lease.end_position)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def state_of(core: JobCore) -> str:
    """Returns the whole state in one string."""
    return json.dumps(core_to_plain(core), sort_keys=True)


class JobInDirectory:
    """A job and its journal; tasks of 4 records, validation of 2.

    One that evaluates or predicts has no validation data, and predicts into files if it has an
    `inference.output`.

    Attributes:
        core: the state.
        job: the running job.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        *,
        data_only: bool = False,
        kind: JobKind | None = None,
        inference: InferenceConfig | None = None,
        tables: Sequence[Sequence[Shard]] = (SHARDS, VALIDATION),
        output: str = "",
        checkpoints: CheckpointConfig | None = None,
        workers: WorkersConfig | None = None,
        **training_flags: Any,
    ) -> None:
        self.path, self.clock = path / "journal.sqlite", clock
        config = JobConfig(
            "job",
            DataConfig("train", "validation", "prediction"),
            ModelConfig("/zoo", "a.b.c"),
            TrainingConfig(
                **{"minibatch_size": 2, "num_minibatches_per_task": 2, "shuffle": False}
                | training_flags
            ),
            checkpoints or CheckpointConfig(directory=str(path / "checkpoints")),
            output,
            DistributionStrategy.LOCAL if workers is None else DistributionStrategy.ALL_REDUCE,
            kind=kind or (JobKind.DATA if data_only else JobKind.TRAINING),
            workers=workers or WorkersConfig(),
            inference=inference or InferenceConfig(),
        )
        if config.task_type is not TaskType.TRAINING:
            tables = tables[:1]
        plan = Plan(
            0,
            1 if len(tables) > 1 else None,
            config.training.records_per_task,
            config.training.num_epochs,
            config.training.seed if config.training.shuffle else None,
            config.task_type,
        )
        self.journal = Journal(self.path, create=True)
        for number, table in enumerate(tables):
            self.journal.add_table(number, table)
        self.core = JobCore(config, TaskQueue(tables, plan), 30.0)
        self.journal.save_snapshot(core_to_plain(self.core))
        self.job = Job(self.core, self.journal, clock)

    def restart(self) -> Job:
        """Goes on as the master after this one would; what was not flushed is lost."""
        self.journal.close()
        self.journal = Journal(self.path, create=False)
        self.core = recover(self.journal, 30.0)
        self.job = Job(self.core, self.journal, self.clock)
        return self.job

    def close(self) -> None:
        self.journal.close()


class Worker:
    """A worker's side of the protocol."""

    def __init__(self, job: Job, name: str = "w", requested_id: int | None = None) -> None:
        self.job, self.name = job, name
        self.worker_id, self.start = job.register(name, requested_id, f"host {name}")
        self.last = LeaseRequest(self.worker_id, name, 0, KEY)

    @property
    def caller(self) -> Caller:
        return Caller(self.worker_id, self.name)

    def call(
        self,
        commits: Sequence[Commit] = (),
        max_leases: int = 10,
        key: EpochKey = KEY,
        returned: Sequence[int] = (),
        loss: float | None = None,
    ) -> LeaseReply:
        self.last = LeaseRequest(
            *(self.worker_id, self.name, self.last.sequence + 1, key),
            *(list(commits), max_leases, list(returned), loss),
        )
        return self.repeat()

    def repeat(self) -> LeaseReply:
        return self.job.commit_and_lease(self.last)

    def beat(self, answered_sequence: int, held: Iterable[int]) -> None:
        self.job.heartbeat(self.caller, answered_sequence, list(held))

    def leave(self, failure: str = "") -> None:
        self.job.leave(self.worker_id, self.name, failure)


def account(job: Job, number: int = 0) -> dict[str, Any]:
    entry: dict[str, Any] = job.view.ledger()["epochs"][number]
    return entry
