"""A job, its queue and its journal against a simple model: which record was used how often."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
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
    records_at,
    state_of,
    training,
)

from elasticdl_like.errors import InvalidRequestError, UnknownWorkerError
from elasticdl_like.tasks import Answer, Commit, EpochKey, Interval, Lease, LeaseReply, Shard

NUM_EPOCHS = 2
MEMORY = Path("/dev/shm")  # so many small files would be waited for
AT_STEP = evaluation(1)
VALIDATION = (Shard("v", 0, 9),)
TABLES = {
    "one record": (Shard("a", 0, 1),),
    "one task": (Shard("a", 3, 4),),
    "several shards": (Shard("a", 100, 13), Shard("b", 0, 4), Shard("c", 10, 6)),
}


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
        data_only=st.booleans(),
        data=st.data(),
    )
    def start(self, table: str, seed: int | None, data_only: bool, data: st.DataObject) -> None:
        shards = TABLES[table]
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.clock = Clock()
        self.one = JobInDirectory(
            self.directory,
            self.clock,
            data_only=data_only,
            tables=(shards, VALIDATION),
            num_epochs=NUM_EPOCHS,
            shuffle=seed is not None,
            seed=seed or 0,
            max_quarantined_records=10**6,
        )
        self.data_only = data_only
        self.all = defaultdict(lambda: records_in(shards), {AT_STEP: records_in(VALIDATION)})
        self.bad = set(data.draw(st.lists(st.sampled_from(sorted(records_in(shards))), max_size=3)))
        self.failed: set[Record] = set()
        self.members: dict[str, Member] = {}
        self.retired: list[Worker] = []
        self.log: list[tuple[EpochKey, Record]] = []
        # For each published step, how long the log was when it was marked; the same for marks.
        self.published = {0: 0}
        self.marked: dict[int, int] = {}
        self.step = self.names = 0
        self.has_split = False

    def teardown(self) -> None:
        if hasattr(self, "one"):
            self.one.close()
            shutil.rmtree(self.directory)

    def draw_member(self, data: st.DataObject) -> Member:
        return self.members[data.draw(st.sampled_from(sorted(self.members)))]

    # What the model does.

    def adopt(self) -> None:
        """Nobody has the model any more: back to the newest checkpoint."""
        step = max(self.published)
        self.log = [each for each in self.log[: self.published[step]] if each[0] != AT_STEP]
        self.marked = {each: length for each, length in self.marked.items() if each <= step}

    def forget(self, member: Member) -> None:
        del self.members[member.worker.name]
        self.retired.append(member.worker)
        if not self.data_only:
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
            commits.append(Commit(self.step, [Interval(held.lease.token, start, end)], problem))
            used[self.step] = (held, records_at(held.lease, start, end), problem)
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
                assert key == AT_STEP
                assert self.has_split
                member.held.pop(held.lease.token, None)
            elif problem:
                self.failed.update(records)
            else:
                self.log += [(key, record) for record in records]
        for token in returned:
            del member.held[token]
        for held, _, _ in parts:
            if not held.left:
                member.held.pop(held.lease.token, None)
        if mark:
            self.marked[self.step] = len(self.log)
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
        (epoch,) = [each for each in self.one.core.queue.epochs() if each.key == key]
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
        if not self.data_only and self.members:
            with pytest.raises(InvalidRequestError):
                Worker(self.one.job, name)
            return
        worker = Worker(self.one.job, name, self.names if requested else None)
        assert Worker(self.one.job, name).worker_id == worker.worker_id
        if not self.data_only:
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
        key = AT_STEP if evaluates else training(member.epoch)
        parts, returned = [], []
        for held in member.holds(key):
            what = data.draw(st.sampled_from(["commit", "commit", "return", "keep"]))
            if what == "commit":
                parts.append(self.part(data, held))
            elif what == "return" and held.is_untouched:
                returned.append(held.lease.token)
        trains = not self.data_only and not evaluates and member.epoch < NUM_EPOCHS
        mark = trains and self.step > 0 and data.draw(st.booleans())
        self.ask(member, key, parts, data.draw(st.integers(0, 4)), returned, mark, repeat)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), evaluates=st.sampled_from([False, False, True]))
    def use_all_there_is(self, data: st.DataObject, evaluates: bool) -> None:
        member = self.draw_member(data)
        key = AT_STEP if evaluates else training(member.epoch)
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
        if not self.data_only and self.one.core.queue.ended:
            return  # the job would be over
        if self.data_only and len(self.members) == 1 and self.one.core.queue.ended:
            return
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

    @precondition(lambda self: self.step and self.members and not self.data_only)
    @rule()
    def publish(self) -> None:
        (member,) = self.members.values()
        if member.epoch < NUM_EPOCHS and self.step not in self.marked:
            self.ask(member, training(member.epoch), [], 2, [], mark=True)
        if not self.marked:
            return
        step = max(self.marked)
        directory = Path(self.one.job.config.checkpoint.directory)
        written = directory / f".checkpoint-{step}.{self.names}"
        written.mkdir(parents=True)
        self.one.job.publish_checkpoint(
            member.worker.worker_id, member.worker.name, written, step, {}
        )
        self.published[step] = self.marked[step]

    @rule(snapshot=st.booleans())
    def restart(self, snapshot: bool = False) -> None:
        if snapshot:
            self.one.journal.save_snapshot(self.one.core.to_plain())
        self.one.job.flush()
        before = state_of(self.one.core)
        job = self.one.restart()
        assert state_of(self.one.core) == before
        for member in self.members.values():
            member.worker.job = job
        for worker in self.retired:
            worker.job = job
        job.adopt_if_alone()
        if not self.data_only and not self.members:
            self.adopt()

    @precondition(lambda self: len(self.members) > 1)
    @rule(data=st.data())
    def wait_for_a_slow_evaluation(self, data: st.DataObject) -> None:
        member = self.draw_member(data)
        for each in self.members.values():
            each.worker.beat(each.worker.last.sequence, each.held)
        self.clock.now_s += 2.5
        if self.ask(member, AT_STEP, [], 1, []).answer is Answer.WAIT:
            self.one.job.tick()
            self.has_split = True

    # Invariants.

    @invariant()
    def the_ledger_adds_up(self) -> None:
        for epoch in self.one.core.queue.epochs():
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
        for entry in self.one.core.queue.ledger():
            committed = sum(key == entry.key for key, _ in self.log)
            assert entry.committed == committed
            leased = [
                held.left for member in self.members.values() for held in member.holds(entry.key)
            ]
            # Of a lease that was split its worker does not know.
            assert entry.leased <= sum(leased)
            assert entry.leased == sum(leased) or (entry.key == AT_STEP and self.has_split)

    @invariant()
    def epochs_do_not_overlap(self) -> None:
        queue = self.one.core.queue
        begun = [entry for entry in queue.ledger() if entry.key != AT_STEP]
        assert [entry.key.epoch for entry in begun] == list(range(len(begun)))
        assert all(entry.ended for entry in begun[: queue.training_epoch])


JobMachine.TestCase.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=20,
    stateful_step_count=40,
    database=None,
    phases=[Phase.generate],
)
TestJob: Any = JobMachine.TestCase
