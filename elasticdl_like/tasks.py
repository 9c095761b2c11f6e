"""The values that travel between master, workers and data readers.

Offsets and counts are integers of up to 64 bits; every `end` is exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from elasticdl_like.sparse_index import SparseIndex


class TaskType(StrEnum):
    """What the records of a task are used for; the values are the `mode` of `feed`."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    PREDICTION = "prediction"


@dataclass(frozen=True, slots=True)
class Shard:
    """A named run of `count` records of a data source, from index `first` on.

    Attributes:
        name: what readers know it by.
        first: the index of its first record.
        count: the number of its records.
        version: of what it holds, as the reader tells versions apart; "" when it does not.
        locator: whatever a reader needs to find the records again; it travels with every task.
        splits: the indices, ascending, at which it is cut into groups that are read as a whole;
            neither `first` nor `end` is one.
        index: where its records are in a file, or None. A task gets the part that covers it.
    """

    name: str
    first: int
    count: int
    version: str = ""
    locator: bytes = b""
    splits: Sequence[int] = ()
    index: SparseIndex | None = None

    @property
    def end(self) -> int:
        """The index after the last record."""
        return self.first + self.count


@dataclass(frozen=True, slots=True)
class TaskShard:
    """A task's range in the words of later ElasticDL files: `task.shard.name/start/end`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Task:
    """The records `[start, end)` of one shard, as a data reader is asked for them.

    `version`, `locator` and `index` are those of the shard, as the reader in the master described
    it; empty when it did not, and when a task is made by hand.
    """

    shard_name: str
    start: int
    end: int
    epoch: int = 0
    type: TaskType = TaskType.TRAINING
    version: str = ""
    locator: bytes = b""
    index: SparseIndex | None = None

    @property
    def size(self) -> int:
        """The number of records."""
        return self.end - self.start

    def part(self, start: int, end: int) -> Task:
        """Returns the records `[start, end)` of the same shard, which lie in this task."""
        return Task(
            self.shard_name,
            start,
            end,
            self.epoch,
            self.type,
            self.version,
            self.locator,
            self.index,
        )

    @property
    def shard(self) -> TaskShard:
        """The same range as `task.shard.name`, `task.shard.start` and `task.shard.end`."""
        return TaskShard(self.shard_name, self.start, self.end)

    def __str__(self) -> str:
        return f"records [{self.start}, {self.end}) of shard {self.shard_name!r}"


@dataclass(frozen=True, slots=True)
class EpochKey:
    """Names one trip over one data set.

    Attributes:
        type: what the trip is for.
        epoch: the training epoch, from 0. An evaluation carries the epoch it was made in.
        step: for an evaluation, the step of the evaluated model; 0 for training.
    """

    type: TaskType
    epoch: int
    step: int = 0

    def __str__(self) -> str:
        at_step = f" at step {self.step}" if self.type is not TaskType.TRAINING else ""
        return f"{self.type} epoch {self.epoch}{at_step}"


@dataclass(frozen=True, slots=True)
class Lease:
    """One hand-out of the positions `[start_position, end_position)` of a task.

    A position is a record's place in the task's fixed order: index - start, or, when `order_key`
    is not None, the place in the permutation `ordering.position_order(task.size, order_key)`.
    """

    token: int
    task: Task
    start_position: int
    end_position: int
    order_key: int | None = None

    @property
    def size(self) -> int:
        """The number of positions."""
        return self.end_position - self.start_position


@dataclass(frozen=True, slots=True)
class Interval:
    """The positions `[start_position, end_position)` of a lease."""

    token: int
    start_position: int
    end_position: int

    @property
    def size(self) -> int:
        """The number of positions."""
        return self.end_position - self.start_position


@dataclass(frozen=True, slots=True)
class Commit:
    """What a finished step used, or what no step could use. It may cover several leases.

    Attributes:
        step: the last finished step.
        intervals: the positions, in the order of each lease; may be empty.
        problem: "" when the positions were used; otherwise why they cannot be.
        mark: whether the state after this step is about to be saved, so that the ledger as it is
            now has to be kept with it.
        sums: in an evaluation, what the records contribute to what is added up over all of them.
            It is added if, and only if, the commit is counted.
        part: in a prediction, the name of the file with the predictions for the records. It becomes
            a part of the output if, and only if, the commit is counted.
    """

    step: int
    intervals: Sequence[Interval]
    problem: str = ""
    mark: bool = False
    sums: Sequence[float] = ()
    part: str = ""


class Finish(StrEnum):
    """What a worker that has come to the end of an evaluation or prediction is to do."""

    WAIT = "wait"  # others are not done yet, or one of them finishes it
    FINISH = "finish"  # make a result of the sums, or commit the output, and report that
    DONE = "done"  # nothing


@dataclass(frozen=True)
class FinishReply:
    """The master's reply to a worker that has come to the end of an evaluation or prediction.

    Attributes:
        finish: what the worker is to do.
        sums: in an evaluation, the sums of those of all commits that were counted.
    """

    finish: Finish
    sums: Sequence[float] = ()


class Answer(StrEnum):
    """What the master says to a request for leases."""

    LEASED = "leased"
    WAIT = "wait"  # nothing to hand out now; the epoch is not over
    EPOCH_ENDED = "epoch_ended"  # every record of this epoch is committed or quarantined
    END = "end"  # the job has no more work of this kind


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A worker's report of what it used, and its request for more.

    Attributes:
        worker_id: the worker.
        incarnation: its process.
        sequence: 1 for the first request of an incarnation, then one more each time.
        key: the epoch that commits and leases belong to.
        commits: in the order of the steps.
        max_leases: how many leases it takes at most; 0 for none.
        returned: tokens of leases of which nothing was read, and nothing will be.
        loss: the mean training loss since the last report, or None.
        round: the round that the worker trains in; 0 where one worker trains alone.
        step: in a round, the last step that the worker has finished, whether it had a share in it
            or not; commits of later steps than that are not among `commits`.
    """

    worker_id: int
    incarnation: str
    sequence: int
    key: EpochKey
    commits: Sequence[Commit] = ()
    max_leases: int = 0
    returned: Sequence[int] = ()
    loss: float | None = None
    round: int = 0
    step: int = 0

    @property
    def num_used(self) -> int:
        """How many positions the steps used."""
        return sum(
            interval.size
            for commit in self.commits
            if not commit.problem
            for interval in commit.intervals
        )


@dataclass(frozen=True, slots=True)
class LeaseReply:
    """The master's reply to a `LeaseRequest`.

    Attributes:
        answer: what became of the request for leases.
        leases: in the order they are to be read.
        fenced_steps: the steps whose commit was refused, because a lease was no longer the
            worker's.
        recalled: how many leases that it has not begun the worker should give back, because
            another one has nothing to do.
        firm_step: the last step that every member of the worker's round is known to have finished;
            it will not be undone as long as one of them lives.
    """

    answer: Answer
    leases: Sequence[Lease] = ()
    fenced_steps: Sequence[int] = ()
    recalled: int = 0
    firm_step: int = 0


@dataclass(frozen=True)
class StartPoint:
    """Where a worker that has just registered begins.

    Attributes:
        epoch: the training epoch that the job is in; the number of epochs once all are trained.
        step: the last step that counts; 0 before the first.
        checkpoint: the directory of the checkpoint of that step, or "" for a model that is new.
        evaluated: the last evaluation whose result the master has, or None.
        metrics: its result.
    """

    epoch: int = 0
    step: int = 0
    checkpoint: str = ""
    evaluated: EpochKey | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
