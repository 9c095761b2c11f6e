"""Proof that a job without a model counted every record of every epoch exactly once.

Three witnesses have to agree: the logs of the workers, the events in the journal, and the ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.core_codec import core_from_plain
from elasticdl_like.master.events import decode_event
from elasticdl_like.master.journal import Journal
from elasticdl_like.ordering import position_order
from elasticdl_like.tasks import Interval, Lease, LeaseReply, LeaseRequest
from faults.chaos.data_plan import DataPlan
from faults.chaos.outcome import ChaosError, Outcome
from faults.chaos.processes import elasticdl_json

# What a worker has leased at most: what it looks ahead, and what it is at.
_MOST_LEASES = 66

Record = tuple[int, str]
"""An epoch, and a record's own words for which one it is."""


@dataclass
class Life:
    """What one registration of a worker has written down.

    Attributes:
        intents: for each step the epoch and the records that it was about to commit.
        counted: the steps that the master said it counted.
        fenced: the steps that it refused.
        read: records that came out of the reader.
        acknowledged: of these, how many were counted.
        let_go: whether it ended otherwise than by leaving.
    """

    intents: dict[int, tuple[int, list[str]]] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)
    fenced: set[int] = field(default_factory=set)
    read: int = 0
    acknowledged: int = 0
    let_go: bool = True

    @property
    def wasted(self) -> int:
        """Records that were read, and not known to be counted."""
        return self.read - self.acknowledged


def read_lives(log_paths: Iterable[Path]) -> dict[str, Life]:
    """Returns the lives of all workers, by incarnation."""
    lives: dict[str, Life] = {}
    for path in log_paths:
        life = Life()
        for line in path.read_text(encoding="utf-8").splitlines():
            word, *rest = json.loads(line)
            if word == "life":
                life = lives[rest[0]] = Life()
            elif word == "read":
                life.read += rest[1]
            elif word == "intent":
                life.intents[rest[0]] = (rest[1], rest[3])
            elif word == "counted":
                life.counted.add(rest[0])
                life.acknowledged += rest[1]
            elif word == "fenced":
                life.fenced.add(rest[0])
            elif word == "left":
                life.let_go = False
    return lives


@dataclass(frozen=True)
class CountedStep:
    """A commit that counts."""

    incarnation: str
    step: int
    epoch: int
    records: list[str]


def counted_in_journal(job: Path) -> list[CountedStep] | None:
    """Replays a journal; returns each commit that it counts, or None if its beginning is gone.

    Which records those are is told by the leases that the workers were granted, and not by the
    master's own books.

    Raises:
        ChaosError: the journal says something impossible.
    """
    journal = Journal(JobDirectory(job).journal, create=False)
    try:
        tables, snapshot, entries = journal.tables(), journal.snapshot(), list(journal.events())
    finally:
        journal.close()
    core = core_from_plain(tables, snapshot, 0.0)
    if core.queue.last_step:
        return None
    counted = []
    granted: dict[int, Lease] = {}
    for kind, body in entries:
        event = decode_event(kind, body)
        reply = core.apply(event, 0.0)
        if not isinstance(event, LeaseRequest):
            continue
        if not isinstance(reply, LeaseReply):
            raise ChaosError(f"a request in the journal has no reply: {event}")
        for commit in event.commits:
            if commit.step not in reply.fenced_steps:
                records = [
                    record for each in commit.intervals for record in _records(granted, each)
                ]
                counted.append(
                    CountedStep(event.incarnation, commit.step, event.key.epoch, records)
                )
        for lease in reply.leases:
            if lease.token in granted:
                raise ChaosError(f"token {lease.token} was given out twice")
            granted[lease.token] = lease
    return counted


def counted_by_workers(lives: Mapping[str, Life]) -> list[CountedStep]:
    """Returns what the workers know to be counted, and what they do not know to be refused.

    A step is left out if it cannot count because others have counted its records.
    """
    known = [
        CountedStep(incarnation, step, *life.intents[step])
        for incarnation, life in lives.items()
        for step in life.counted
    ]
    counted = {(each.epoch, record) for each in known for record in each.records}
    for incarnation, life in lives.items():
        for step in life.intents.keys() - life.counted - life.fenced:
            epoch, records = life.intents[step]
            if not any((epoch, record) in counted for record in records):
                counted.update((epoch, record) for record in records)
                known.append(CountedStep(incarnation, step, epoch, records))
    return known


def _records(granted: dict[int, Lease], interval: Interval) -> list[str]:
    lease = granted[interval.token]
    task = lease.task
    positions = range(interval.start_position, interval.end_position)
    if lease.order_key is None:
        offsets = list(positions)
    else:
        order = position_order(task.size, lease.order_key)
        offsets = [int(order[position]) for position in positions]
    return [f"{Path(task.shard_name).name}:{task.start + offset}" for offset in offsets]


def check_exactly_once(plan: DataPlan, job: Path, logs: list[Path], outcome: Outcome) -> None:
    """Compares the three witnesses; fills in the figures of the outcome.

    Raises:
        ChaosError: they do not agree, or a record is missing or doubled.
    """
    everything = {
        (epoch, f"{name}:{index}")
        for epoch in range(plan.num_epochs)
        for name, first, count in plan.shards
        for index in range(first, first + count)
    }
    lives = read_lives(logs)
    counted: Counter[Record] = Counter()
    counted_steps: set[tuple[str, int]] = set()
    problems = []
    in_journal = counted_in_journal(job)
    if in_journal is None:
        outcome.fired["snapshots of the journal"] += 1
        in_journal = counted_by_workers(lives)
    for each in in_journal:
        counted.update((each.epoch, record) for record in each.records)
        counted_steps.add((each.incarnation, each.step))
        life = lives.get(each.incarnation, Life())
        what = f"step {each.step} of {each.incarnation}"
        if life.intents.get(each.step) != (each.epoch, each.records):
            problems.append(f"{what} counts other records than it used")
        if each.step in life.fenced:
            problems.append(f"{what} is counted, and was refused")
    for incarnation, life in lives.items():
        lost = [step for step in life.counted if (incarnation, step) not in counted_steps]
        if lost:
            problems.append(f"{incarnation} was told that steps {lost} count; they do not")
    outcome.records = len(everything)
    outcome.missing = len(everything - counted.keys())
    outcome.doubled = sum(1 for number in counted.values() if number > 1)
    outcome.fired["fenced commits"] += sum(len(life.fenced) for life in lives.values())
    outcome.fired["lives"] += len(lives)
    outcome.read_again = sum(life.read for life in lives.values()) - len(everything)
    task_records = plan.minibatch_size * plan.num_minibatches_per_task
    in_flight = min(plan.num_records, _MOST_LEASES * task_records)
    outcome.read_again_bound = in_flight * sum(life.let_go for life in lives.values())
    if outcome.missing:
        problems.append(f"{outcome.missing} records are missing")
    if outcome.doubled:
        problems.append(f"{outcome.doubled} records are counted twice")
    if counted.keys() - everything:
        problems.append("records are counted that do not exist")
    if outcome.read_again > outcome.read_again_bound:
        problems.append(
            f"{outcome.read_again} records were read again, more than {outcome.read_again_bound}"
        )
    wasted = sum(life.wasted for life in lives.values() if not life.let_go)
    if wasted:
        problems.append(f"{wasted} records were read in vain by workers that were never lost")
    problems += check_ledger(job, plan.num_epochs, plan.num_records)
    if problems:
        raise ChaosError("; ".join(problems))


def check_ledger(
    job: Path, num_epochs: int, num_records: int, first_epoch: int = 0, begun_epochs: int = 0
) -> list[str]:
    """Has `elasticdl ledger --verify` look at a job that has finished; returns what is wrong.

    Args:
        job: the job directory.
        num_epochs: all epochs before this one have every record.
        num_records: how many that are.
        first_epoch: the first epoch that is in the ledger.
        begun_epochs: how many more were begun, and nothing of them was trained on.
    """
    exit_code, document, error = elasticdl_json("ledger", job, "--verify", directory=job.parent)
    if document is None:
        return [f"elasticdl ledger ended with {exit_code}: {error}"]
    problems = [f"ledger: {difference}" for difference in document["differences"]]
    found: list[Any] = [
        (each["epoch"], each["records"], each["committed"], each["missing"])
        for each in document["epochs"]
        if each["type"] == "training"
    ]
    expected: list[Any] = [
        (each, num_records, num_records, 0) for each in range(first_epoch, num_epochs)
    ]
    expected += [(num_epochs + each, num_records, 0, None) for each in range(begun_epochs)]
    if found != expected or exit_code:
        problems.append(f"the ledger says {found}, with exit code {exit_code}")
    return problems
