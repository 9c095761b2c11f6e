"""A job, its queue and its journal against a simple model: which record was used how often.

Of every kind: what an evaluation adds up, and the files of a prediction, are those of the records
that are counted, exactly.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from job_parts import (
    Clock,
    JobInDirectory,
    Record,
    Worker,
    evaluation,
    first_of,
    records_at,
    state_of,
    training,
)

from elasticdl_like.config import InferenceConfig, JobKind
from elasticdl_like.errors import InvalidRequestError, UnknownWorkerError
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.prediction_outputs.files import OutputFolder
from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
    Finish,
    Interval,
    Lease,
    LeaseReply,
    Shard,
    TaskType,
)

MEMORY = Path("/dev/shm")  # so many small files would be waited for
AT_STEP = evaluation(1)
VALIDATION = (Shard("v", 0, 9),)
TABLES = {
    "one record": (Shard("a", 0, 1),),
    "one task": (Shard("a", 3, 4),),
    "several shards": (Shard("a", 100, 13), Shard("b", 0, 4), Shard("c", 10, 6)),
}


def sums_of(records: list[Record]) -> tuple[float, ...]:
    """Returns what records add up to; a record's part of it tells which it is."""
    values = [ord(name) * 1000 + index + 0.125 for name, index in records]
    return (float(len(values)), sum(values), sum(value * value for value in values))


def part_of(step: int) -> str:
    return f"part-w-{step:05}.csv"


class Folder(OutputFolder):
    """Keeps the names of the parts only."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.said: Mapping[str, Any] | None = None

    def publish(self, name: str) -> None:
        self.published.append(name)

    def finish(self, document: Mapping[str, Any]) -> None:
        self.said = document


def records_in(shards: tuple[Shard, ...]) -> set[Record]:
    return {(each.name, index) for each in shards for index in range(each.first, each.end)}


@dataclass
class Held:
    """A lease in the model."""

    key: EpochKey
    lease: Lease
    next_position: int

    @property
    def left(self) -> int:
        return self.lease.end_position - self.next_position

    @property
    def is_untouched(self) -> bool:
        return self.next_position == self.lease.start_position


@dataclass
class Member:
    """A worker in the model."""

    worker: Worker
    epoch: int
    held: dict[int, Held] = field(default_factory=dict)

    def holds(self, key: EpochKey) -> list[Held]:
        return [each for each in self.held.values() if each.key == key]


class JobMachine(RuleBasedStateMachine):
    @initialize(
        table=st.sampled_from(sorted(TABLES)),
        seed=st.sampled_from([None, 0, 2**63]),
        kind=st.sampled_from(JobKind),
        data=st.data(),
    )
    def start(self, table: str, seed: int | None, kind: JobKind, data: st.DataObject) -> None:
        shards = TABLES[table]
        self.trains = kind is JobKind.TRAINING
        self.has_result_of_its_own = kind in (JobKind.EVALUATION, JobKind.PREDICTION)
        self.type = first_of(kind).type if self.has_result_of_its_own else TaskType.TRAINING
        self.num_epochs = 1 if self.has_result_of_its_own else 2
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.clock = Clock()
        self.one = JobInDirectory(
            self.directory,
            self.clock,
            kind=kind,
            inference=InferenceConfig(output="/out" if kind is JobKind.PREDICTION else ""),
            tables=(shards, VALIDATION),
            num_epochs=self.num_epochs,
            shuffle=seed is not None,
            seed=seed or 0,
            max_quarantined_records=10**6,
        )
        self.all = defaultdict(lambda: records_in(shards), {AT_STEP: records_in(VALIDATION)})
        self.bad = set(data.draw(st.lists(st.sampled_from(sorted(records_in(shards))), max_size=3)))
        self.failed: set[Record] = set()
        self.members: dict[str, Member] = {}
        self.retired: list[Worker] = []
        self.log: list[tuple[EpochKey, Record]] = []
        # For each published step, how much was trained when it was marked; the same for marks.
        self.published = {0: 0}
        self.marked: dict[int, int] = {}
        self.step = self.names = 0
        self.has_split = self.has_result = False
        self.parts: dict[str, int] = {}
        self.folder = Folder()

    def teardown(self) -> None:
        if hasattr(self, "one"):
            self.one.close()
            shutil.rmtree(self.directory)

    def draw_member(self, data: st.DataObject) -> Member:
        return self.members[data.draw(st.sampled_from(sorted(self.members)))]

    @property
    def trained(self) -> list[tuple[EpochKey, Record]]:
        return [each for each in self.log if each[0] != AT_STEP]

    def own(self, epoch: int) -> EpochKey:
        return EpochKey(self.type, epoch)

    def draw_key(self, member: Member, evaluates: bool) -> EpochKey:
        between = evaluates and not self.has_result_of_its_own
        return AT_STEP if between else self.own(member.epoch)

    # What the model does.

    def adopt(self) -> None:
        """Nobody has the model any more: back to the newest checkpoint."""
        step = max(self.published)
        self.log = self.trained[: self.published[step]]
        self.marked = {each: length for each, length in self.marked.items() if each <= step}

    def forget(self, member: Member) -> None:
        del self.members[member.worker.name]
        self.retired.append(member.worker)
        if self.trains:
            self.adopt()

    def ask(
        self,
        member: Member,
        key: EpochKey,
        parts: list[tuple[Held, int, str]],
        max_leases: int,
        returned: list[int],
        mark: bool = False,
        repeat: str = "",
    ) -> LeaseReply:
        """Sends a request with one commit for each part, and does the same to the model."""
        commits, used = [], {}
        for held, count, problem in parts:
            self.step += 1
            start, end = held.next_position, held.next_position + count
            records = records_at(held.lease, start, end)
            commit = Commit(self.step, [Interval(held.lease.token, start, end)], problem)
            if key.type is TaskType.EVALUATION:
                commit = replace(commit, sums=sums_of(records))
            elif key.type is TaskType.PREDICTION and not problem:
                commit = replace(commit, part=part_of(self.step))
            commits.append(commit)
            used[self.step] = (held, records, problem)
            held.next_position = end
        if mark:
            commits.append(Commit(self.step, [], mark=True))
        reply = member.worker.call(commits, max_leases, key, returned)
        if repeat == "after a restart":
            self.restart()
        if repeat:
            assert member.worker.repeat() == reply
        for step, (held, records, problem) in used.items():
            if step in reply.fenced_steps:
                assert key.type is not TaskType.TRAINING
                assert self.has_split
                member.held.pop(held.lease.token, None)
            elif problem:
                self.failed.update(records)
            else:
                self.log += [(key, record) for record in records]
                if key.type is TaskType.PREDICTION:
                    self.parts[part_of(step)] = len(records)
        for token in returned:
            del member.held[token]
        for held, _, _ in parts:
            if not held.left:
                member.held.pop(held.lease.token, None)
        if mark:
            self.marked[self.step] = len(self.trained)
        for lease in reply.leases:
            member.held[lease.token] = Held(key, lease, lease.start_position)
        if reply.answer is Answer.EPOCH_ENDED:
            self.check_ended(key)
            assert not member.holds(key)
            if key != AT_STEP:
                member.epoch += 1
        return reply

    def check_ended(self, key: EpochKey) -> None:
        used = [record for each, record in self.log if each == key]
        (epoch,) = [each for each in self.one.core.queue.epochs if each.key == key]
        aside = {
            (each.shard_name, index)
            for each in epoch.quarantine
            for index in range(each.start, each.end)
        }
        assert len(used) == len(set(used))
        assert aside.isdisjoint(used)
        assert aside | set(used) == self.all[key]
        assert aside <= self.failed
        assert epoch.ledger().missing == 0

    def part(self, data: st.DataObject, held: Held) -> tuple[Held, int, str]:
        count = data.draw(st.integers(1, held.left))
        start = held.next_position
        is_bad = not self.bad.isdisjoint(records_at(held.lease, start, start + count))
        return held, count, "torn" if is_bad or data.draw(st.integers(0, 9)) == 0 else ""

    # Rules.

    @rule(requested=st.booleans())
    def register(self, requested: bool) -> None:
        self.names += 1
        name = f"incarnation {self.names}"
        if self.trains and self.members:
            with pytest.raises(InvalidRequestError):
                Worker(self.one.job, name)
            return
        worker = Worker(self.one.job, name, self.names if requested else None)
        assert Worker(self.one.job, name).worker_id == worker.worker_id
        if self.trains:
            assert worker.start.step == max(self.published)
        self.members[name] = Member(worker, worker.start.epoch)

    @precondition(lambda self: self.members)
    @rule(
        data=st.data(),
        evaluates=st.sampled_from([False, False, True]),
        repeat=st.sampled_from(["", "", "at once", "after a restart"]),
    )
    def request(self, data: st.DataObject, evaluates: bool, repeat: str) -> None:
        member = self.draw_member(data)
        key = self.draw_key(member, evaluates)
        parts, returned = [], []
        for held in member.holds(key):
            what = data.draw(st.sampled_from(["commit", "commit", "return", "keep"]))
            if what == "commit":
                parts.append(self.part(data, held))
            elif what == "return" and held.is_untouched:
                returned.append(held.lease.token)
        trains = self.trains and key != AT_STEP and member.epoch < self.num_epochs
        mark = trains and self.step > 0 and data.draw(st.booleans())
        self.ask(member, key, parts, data.draw(st.integers(0, 4)), returned, mark, repeat)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), evaluates=st.sampled_from([False, False, True]))
    def use_all_there_is(self, data: st.DataObject, evaluates: bool) -> None:
        member = self.draw_member(data)
        key = self.draw_key(member, evaluates)
        for _ in range(200):
            parts = [
                (
                    held,
                    held.left,
                    "torn"
                    if self.bad
                    & set(records_at(held.lease, held.next_position, held.lease.end_position))
                    else "",
                )
                for held in member.holds(key)
            ]
            if self.ask(member, key, parts, 9, []).answer is not Answer.LEASED:
                return
        pytest.fail("the epoch does not end")

    @precondition(lambda self: self.members)
    @rule(data=st.data(), shift=st.sampled_from([-1, 1]))
    def break_the_protocol(self, data: st.DataObject, shift: int) -> None:
        member = self.draw_member(data)
        before, right = state_of(self.one.core), member.worker.last
        member.worker.last = replace(right, sequence=right.sequence + 1 + shift, commits=())
        if shift > 0 or right.sequence == 0:
            with pytest.raises(InvalidRequestError):
                member.worker.repeat()
        else:  # the last one again, whatever it says now
            member.worker.repeat()
        member.worker.last = right
        for held in member.held.values():
            if self.has_split and held.key.type is not TaskType.TRAINING:
                continue  # what it has committed may be all that was left to it
            wrong = Interval(held.lease.token, held.next_position + shift, held.next_position + 3)
            with pytest.raises(InvalidRequestError):
                member.worker.call([Commit(1, [wrong])], 1, held.key)
            member.worker.last = right
        assert state_of(self.one.core) == before

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        member = self.draw_member(data)
        dropped = [token for token in member.held if data.draw(st.integers(0, 3)) == 0]
        for token in dropped:
            del member.held[token]
        member.worker.beat(member.worker.last.sequence, member.held)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), leaves=st.booleans())
    def lose(self, data: st.DataObject, leaves: bool) -> None:
        member = self.draw_member(data)
        is_done = self.one.core.queue.ended and (self.has_result or not self.has_result_of_its_own)
        if is_done and (self.trains or len(self.members) == 1):
            return  # the job would be over
        if leaves:
            member.worker.leave()
        else:
            self.one.job.lose(member.worker.worker_id, "gone")
        self.forget(member)

    @precondition(lambda self: self.retired)
    @rule(data=st.data())
    def come_back_too_late(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.retired))
        for call in (
            worker.call,
            lambda: worker.beat(9, []),
            lambda: Worker(self.one.job, worker.name),
        ):
            with pytest.raises(UnknownWorkerError):
                call()

    @precondition(lambda self: self.step and self.members and self.trains)
    @rule()
    def publish(self) -> None:
        (member,) = self.members.values()
        if member.epoch < self.num_epochs and self.step not in self.marked:
            self.ask(member, training(member.epoch), [], 2, [], mark=True)
        if not self.marked:
            return
        step = max(self.marked)
        directory = Path(self.one.job.config.checkpoint.directory)
        written = directory / f".checkpoint-{step}.{self.names}"
        written.mkdir(parents=True)
        self.one.job.publications.publish_checkpoint(
            Caller(member.worker.worker_id, member.worker.name), written, step, {}
        )
        self.published[step] = self.marked[step]

    @rule(snapshot=st.booleans())
    def restart(self, snapshot: bool = False) -> None:
        if snapshot:
            self.one.journal.save_snapshot(core_to_plain(self.one.core))
        self.one.job.flush()
        before = state_of(self.one.core)
        job = self.one.restart()
        assert state_of(self.one.core) == before
        for member in self.members.values():
            member.worker.job = job
        for worker in self.retired:
            worker.job = job
        job.adopt_if_alone()
        if self.trains and not self.members:
            self.adopt()

    @precondition(lambda self: len(self.members) > 1)
    @rule(data=st.data())
    def wait_for_a_slow_worker(self, data: st.DataObject) -> None:
        names = data.draw(st.permutations(sorted(self.members)))
        slow, waiting = self.members[names[0]], self.members[names[1]]
        key = self.draw_key(slow, evaluates=True)
        self.ask(slow, key, [], 9, [])
        for each in self.members.values():
            each.worker.beat(each.worker.last.sequence, each.held)
        self.clock.now_s += 15.5 if self.type is TaskType.PREDICTION else 2.5
        if self.ask(waiting, key, [], 1, []).answer is Answer.WAIT:
            self.one.job.tick()
            self.has_split = True
        parts = [(held, held.left, "") for held in slow.holds(key)]
        if parts and data.draw(st.booleans()):
            self.ask(slow, key, parts, 0, [])

    @precondition(lambda self: self.members and self.has_result_of_its_own)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        worker, key = self.draw_member(data).worker, self.own(0)
        job = self.one.job
        reply = job.finishing.finish_epoch(worker.caller, key)
        if not self.one.core.queue.ended:
            assert reply.finish is Finish.WAIT
        elif self.has_result:
            assert reply.finish is Finish.DONE
        elif self.type is TaskType.EVALUATION:
            assert reply.finish is Finish.FINISH
            used = [record for _, record in self.log]
            assert reply.sums == (sums_of(used) if used else ())
            job.finishing.report_evaluation(worker.caller, key, {"loss": 0.5})
            self.has_result = True
        else:
            assert reply.finish is Finish.WAIT

    @precondition(lambda self: self.type is TaskType.PREDICTION)
    @rule()
    def publish_files(self) -> None:
        if not self.members and self.one.core.queue.ended:
            return  # the job would be over
        before = [*self.folder.published]
        self.one.job.output_files.publish(self.folder)
        # Those that the job was told of, each once: it was told of no failure.
        assert self.folder.published[: len(before)] == before
        assert self.folder.published == list(self.parts)
        assert (self.folder.said is not None) == self.one.core.queue.ended
        if self.folder.said is not None:
            self.has_result = True
            assert self.folder.said["records"] == len(self.log)

    # Invariants.

    @invariant()
    def the_ledger_adds_up(self) -> None:
        for epoch in self.one.core.queue.epochs:
            entry = epoch.ledger()
            assert entry.records == len(self.all[entry.key])
            assert (
                entry.committed + entry.leased + entry.quarantined + entry.waiting == entry.records
            )
            assert entry.waiting >= 0
            epoch.check()

    @invariant()
    def it_is_the_ledger_of_the_model(self) -> None:
        assert len(set(self.log)) == len(self.log)
        for entry in self.one.core.queue.epochs.ledger():
            committed = sum(key == entry.key for key, _ in self.log)
            assert entry.committed == committed
            leased = [
                held.left for member in self.members.values() for held in member.holds(entry.key)
            ]
            # Of a lease that was split its worker does not know.
            assert entry.leased <= sum(leased)
            may_be_cut = entry.key.type is not TaskType.TRAINING and self.has_split
            assert entry.leased == sum(leased) or may_be_cut

    @invariant()
    def what_is_added_up_is_of_what_is_counted(self) -> None:
        for epoch in self.one.core.queue.epochs:
            if epoch.key.type is TaskType.EVALUATION:
                used = [record for key, record in self.log if key == epoch.key]
                assert tuple(epoch.sums) == (sums_of(used) if used else ())
        output = self.one.core.output
        if output is not None:
            assert output.parts == self.parts
            assert sum(self.parts.values()) == len(self.log)

    @invariant()
    def epochs_do_not_overlap(self) -> None:
        queue = self.one.core.queue
        begun = [entry for entry in queue.epochs.ledger() if entry.key.type is self.type]
        assert [entry.key.epoch for entry in begun] == list(range(len(begun)))
        assert all(entry.ended for entry in begun[: queue.epoch_number])


JobMachine.TestCase.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    stateful_step_count=40,
    database=None,
    phases=[Phase.generate],
)
TestJob: Any = JobMachine.TestCase
