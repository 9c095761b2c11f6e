"""The task queue against a simple model of it: plain sets of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.plan import Plan
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.ordering import position_order
from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
    Interval,
    Lease,
    LeaseRequest,
    Shard,
    TaskType,
)

NUM_EPOCHS = 3
WORKERS = st.integers(0, 2)
TABLES = {
    "one record": ((Shard("a", 0, 1),), 4),
    "one task": ((Shard("a", 3, 5),), 8),
    "single records": ((Shard("a", 0, 9), Shard("b", 7, 2)), 1),
    "groups": ((Shard("a", 100, 30, splits=(109, 110, 112, 125)), Shard("b", 0, 5)), 4),
    "several shards": ((Shard("a", 100, 13), Shard("b", 0, 4), Shard("b", 10, 6)), 4),
}

Record = tuple[str, int]


def key_of(queue: TaskQueue, epoch: int) -> EpochKey:
    return EpochKey(queue.plan.task_type, epoch)


def sums_of(records: Sequence[Record]) -> tuple[float, ...]:
    """Returns how many there are, and what tells which they are."""
    values = [ord(name) * 1000 + index + 0.125 for name, index in records]
    return (float(len(values)), sum(values), sum(value * value for value in values))


def records_of(lease: Lease) -> list[Record]:
    """Returns the records at the positions of a lease, as a worker reads them."""
    task = lease.task
    order = range(task.size)
    if lease.order_key is not None:
        order = position_order(task.size, lease.order_key).tolist()
    return [
        (task.shard_name, task.start + order[position])
        for position in range(lease.start_position, lease.end_position)
    ]


def make_queue(table: str, seed: int | None, task_type: TaskType = TaskType.TRAINING) -> TaskQueue:
    shards, records_per_task = TABLES[table]
    return TaskQueue([shards], Plan(0, None, records_per_task, NUM_EPOCHS, seed, task_type))


def ask(queue: TaskQueue, worker: int, epoch: int, max_leases: int) -> tuple[Answer, list[Lease]]:
    key = key_of(queue, epoch)
    return queue.request(LeaseRequest(worker, "", 1, key, max_leases=max_leases))


@cache
def order_for_one_worker(table: str, seed: int | None) -> list[list[Record]]:
    """Returns the records of each epoch in the order that a single worker gets them in."""
    queue = make_queue(table, seed)
    epochs = []
    for epoch in range(NUM_EPOCHS):
        found: list[Record] = []
        while not found or queue.epoch_number == epoch:
            _, (lease,) = ask(queue, 0, epoch, 1)
            found += records_of(lease)
            interval = Interval(lease.token, lease.start_position, lease.end_position)
            assert queue.commit(0, key_of(queue, epoch), Commit(1, [interval]))
        epochs.append(found)
    return epochs


@dataclass
class Held:
    """A lease in the model."""

    worker: int
    epoch: int
    lease: Lease
    records: list[Record]
    done: int = 0

    def interval(self, count: int) -> Interval:
        start = self.lease.start_position + self.done
        return Interval(self.lease.token, start, start + count)

    @property
    def left(self) -> int:
        return len(self.records) - self.done


class TaskQueueMachine(RuleBasedStateMachine):
    @initialize(
        table=st.sampled_from(sorted(TABLES)),
        seed=st.sampled_from([None, 0, 1, 2**63]),
        task_type=st.sampled_from(TaskType),
    )
    def start(self, table: str, seed: int | None, task_type: TaskType) -> None:
        self.queue = make_queue(table, seed, task_type)
        self.expected_order = order_for_one_worker(table, seed)
        shards, _ = TABLES[table]
        self.all_records = {
            (shard.name, index) for shard in shards for index in range(shard.first, shard.end)
        }
        self.epoch = 0
        self.step = 0
        self.stopped = False
        self.held: dict[int, Held] = {}
        self.dead: list[Held] = []
        self.granted_tokens: set[int] = set()
        self.begin_epoch()

    def key(self, epoch: int) -> EpochKey:
        return key_of(self.queue, epoch)

    def begin_epoch(self) -> None:
        self.waiting = set(self.all_records)
        self.committed: set[Record] = set()
        self.first_leased: list[Record] = []
        self.granted = self.lost = self.fenced = 0

    @property
    def over(self) -> bool:
        return self.epoch == NUM_EPOCHS

    def held_by(self, worker: int) -> list[Held]:
        return [held for held in self.held.values() if held.worker == worker]

    # Rules.

    @rule(worker=WORKERS, max_leases=st.integers(1, 4))
    def lease(self, worker: int, max_leases: int) -> None:
        answer, leases = ask(self.queue, worker, self.epoch, max_leases)
        if self.over or self.stopped:
            assert (answer, leases) == (Answer.END, [])
            return
        assert answer is (Answer.LEASED if self.waiting else Answer.WAIT)
        assert len(leases) <= max_leases
        for lease in leases:
            assert lease.token not in self.granted_tokens
            assert lease.task.epoch == self.epoch
            records = records_of(lease)
            # Of what nobody holds and nobody has used, each once.
            assert len(set(records)) == len(records) > 0
            assert self.waiting.issuperset(records)
            self.waiting.difference_update(records)
            self.first_leased += [r for r in records if r not in set(self.first_leased)]
            self.granted_tokens.add(lease.token)
            self.granted += 1
            self.held[lease.token] = Held(worker, self.epoch, lease, records)
        assert len(leases) == max_leases or not self.waiting

    def commit(self, worker: int, parts: Sequence[tuple[Held, int]]) -> None:
        """Commits the next records of some leases, in one step."""
        self.step += 1
        done_before = {held.lease.token: held.done for held, _ in parts}
        intervals, records = [], []
        for held, count in parts:
            intervals.append(held.interval(count))
            records += held.records[held.done : held.done + count]
            held.done += count
        commit = Commit(self.step, intervals, sums=sums_of(records))
        assert self.queue.commit(worker, self.key(self.epoch), commit)
        assert len(set(records)) == len(records)
        assert not self.committed.intersection(records)
        self.committed.update(records)
        for token in done_before:
            if not self.held[token].left:
                self.dead.append(self.held.pop(token))
        if self.committed == self.all_records:
            assert not self.held
            assert self.queue.epochs.ledger()[self.epoch].missing == 0
            self.epoch += 1
            self.begin_epoch()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def commit_part(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(sorted(self.held)).map(self.held.__getitem__))
        self.commit(held.worker, [(held, data.draw(st.integers(1, held.left)))])

    @precondition(lambda self: self.held)
    @rule(data=st.data(), worker=WORKERS)
    def commit_of_several_leases(self, data: st.DataObject, worker: int) -> None:
        parts = []
        for held in self.held_by(worker):
            count = data.draw(st.integers(0, held.left))
            split = data.draw(st.integers(0, count))  # two intervals of one lease
            parts += [(held, part) for part in (split, count - split) if part]
        if parts:
            self.commit(worker, parts)

    @rule(worker=WORKERS)
    def use_all_there_is(self, worker: int) -> None:
        self.lease(worker, 10_000)
        for each in range(3):
            if self.held_by(each):
                self.commit(each, [(held, held.left) for held in self.held_by(each)])

    def give_up(self, held: Held) -> None:
        del self.held[held.lease.token]
        self.dead.append(held)
        self.waiting.update(held.records[held.done :])

    @rule(worker=WORKERS, lost=st.booleans())
    def lose_worker(self, worker: int, lost: bool) -> None:
        self.queue.take_back(worker, lost)
        for held in self.held_by(worker):
            self.give_up(held)
            self.lost += lost

    @precondition(lambda self: self.dead and not self.over)
    @rule(data=st.data())
    def stale_commit_is_fenced(self, data: st.DataObject) -> None:
        stale = data.draw(st.sampled_from(self.dead))
        intervals = [stale.interval(max(stale.left, 1))]
        # Good intervals beside it do not help; their leases go with it.
        others = self.held_by(stale.worker)[:1]
        for held in others:
            intervals.insert(0, held.interval(1))
        self.step += 1
        commit = Commit(self.step, intervals, sums=(1.0, 2.0, 3.0))
        assert not self.queue.commit(stale.worker, self.key(self.epoch), commit)
        self.step -= 1
        self.fenced += 1
        for held in others:
            self.give_up(held)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), by=st.integers(1, 2))
    def commit_by_another_worker_is_fenced(self, data: st.DataObject, by: int) -> None:
        held = data.draw(st.sampled_from(sorted(self.held)).map(self.held.__getitem__))
        thief = (held.worker + by) % 3
        commit = Commit(10**6, [held.interval(held.left)], sums=(1.0, 2.0, 3.0))
        assert not self.queue.commit(thief, self.key(self.epoch), commit)
        self.fenced += 1

    @precondition(lambda self: self.held)
    @rule(data=st.data(), shift=st.integers(-3, 3), extra=st.integers(-3, 3))
    def commit_of_wrong_positions_is_refused(
        self, data: st.DataObject, shift: int, extra: int
    ) -> None:
        held = data.draw(st.sampled_from(sorted(self.held)).map(self.held.__getitem__))
        right = held.interval(held.left)
        end = right.end_position + extra
        start = right.start_position + shift
        if shift == 0 and start < end:
            return  # right, or beyond a cut
        with pytest.raises(InvalidRequestError):
            self.queue.commit(
                held.worker,
                self.key(self.epoch),
                Commit(10**6, [Interval(right.token, start, end)]),
            )

    @rule(worker=WORKERS)
    def ask_in_another_epoch(self, worker: int) -> None:
        if self.stopped:
            return
        if self.epoch > 0:
            assert ask(self.queue, worker, self.epoch - 1, 2)[0] is Answer.EPOCH_ENDED
        if self.epoch + 1 < NUM_EPOCHS:
            with pytest.raises(InvalidRequestError):
                ask(self.queue, worker, self.epoch + 1, 2)

    # Stopping makes most rules idle, so it is left to chance as little as there is.
    @precondition(lambda self: self.step > 8)
    @rule()
    def stop(self) -> None:
        self.queue.stop()
        self.stopped = True

    # Invariants.

    @invariant()
    def the_account_is_that_of_the_model(self) -> None:
        ledger = self.queue.epochs.ledger()
        assert [entry.key for entry in ledger] == [
            self.key(epoch) for epoch in range(min(self.epoch + 1, NUM_EPOCHS))
        ]
        for entry in ledger:
            assert entry.records == len(self.all_records)
            assert entry.ended == (entry.key.epoch < self.epoch)
        for entry in ledger[: self.epoch]:
            assert (entry.committed, entry.leased, entry.missing) == (entry.records, 0, 0)
        if not self.over:
            entry = ledger[self.epoch]
            leased = sum(held.left for held in self.held.values())
            assert (entry.committed, entry.leased) == (len(self.committed), leased)
            assert entry.committed + entry.leased + len(self.waiting) == entry.records
            assert entry.leases_granted == self.granted
            assert entry.leases_lost == self.lost
            assert entry.reports_fenced == self.fenced

    @invariant()
    def the_sums_are_those_of_what_is_committed(self) -> None:
        for epoch in self.queue.epochs:
            used = self.committed if epoch.key.epoch == self.epoch else self.all_records
            assert tuple(epoch.sums) == (sums_of(sorted(used)) if used else ())

    @precondition(lambda self: self.held and self.committed)
    @rule(data=st.data(), sums=st.sampled_from([(1.0,), (1.0, 2.0, 3.0, 4.0)]))
    def other_numbers_of_sums_are_refused(
        self, data: st.DataObject, sums: tuple[float, ...]
    ) -> None:
        held = data.draw(st.sampled_from(sorted(self.held)).map(self.held.__getitem__))
        commit = Commit(10**6, [held.interval(held.left)], sums=sums)
        with pytest.raises(InvalidRequestError, match="sums"):
            self.queue.commit(held.worker, self.key(self.epoch), commit)

    @invariant()
    def no_record_is_leased_twice_at_once(self) -> None:
        leased = [r for held in self.held.values() for r in held.records[held.done :]]
        assert len(set(leased)) == len(leased)
        assert not self.committed.intersection(leased)

    @invariant()
    def first_leases_come_in_the_order_that_one_worker_gets(self) -> None:
        if not self.over:
            expected = self.expected_order[self.epoch]
            assert self.first_leased == expected[: len(self.first_leased)]

    @invariant()
    def the_progress_is_that_of_the_model(self) -> None:
        assert self.queue.epoch_number == self.epoch
        assert self.queue.last_step == self.step
        assert self.queue.ended == (self.stopped or self.over)


TaskQueueMachine.TestCase.settings = settings(
    derandomize=True, deadline=None, max_examples=60, stateful_step_count=40, database=None
)
TestTaskQueue: Any = TaskQueueMachine.TestCase
