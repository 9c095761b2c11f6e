"""The task queue in rounds, against the model that is trained: what has each state of it seen?

Random walks, not a state machine of Hypothesis: of fifty rules that it picks hardly any round gets
far enough to end with two different steps.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from job_parts import Record, records_at, records_of
from job_parts import training as key

from elasticdl_like.master.plan import Plan
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Answer, Commit, Interval, Lease, LeaseRequest, Shard

NUM_EPOCHS = 3
NUM_WALKS = 120
NUM_EVENTS = 120
TABLES = {
    "one record": ((Shard("a", 0, 1),), 4),
    "single records": ((Shard("a", 0, 5), Shard("b", 7, 2)), 1),
    "groups": ((Shard("a", 100, 30, splits=(109, 110, 112, 125)), Shard("b", 0, 5)), 4),
    "several shards": ((Shard("a", 100, 13), Shard("b", 0, 4), Shard("b", 10, 6)), 4),
}

Use = tuple[int, Record]  # of a record in an epoch


@dataclass
class Held:
    """A lease of a member, and how far it has come."""

    lease: Lease
    next_position: int

    @property
    def left(self) -> int:
        return self.lease.end_position - self.next_position

    def take(self, count: int) -> Interval:
        start = self.next_position
        self.next_position += count
        return Interval(self.lease.token, start, self.next_position)

    def uses(self, interval: Interval) -> list[Use]:
        records = records_at(self.lease, interval.start_position, interval.end_position)
        return [(self.lease.task.epoch, record) for record in records]


@dataclass
class Member:
    """A trainer of a round."""

    finished: int
    leases: list[Held] = field(default_factory=list)
    unsent: list[tuple[int, Commit]] = field(default_factory=list)  # with their epoch
    share: list[Interval] = field(default_factory=list)  # of the step that is under way
    sequence: int = 0

    @property
    def usable(self) -> list[Held]:
        return [held for held in self.leases if held.left]


class Walk:
    """A random walk of a job in rounds.

    Args:
        chance: decides what happens.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        table, seed = chance.choice(sorted(TABLES)), chance.choice([None, 0, 2**63])
        self.shards, records_per_task = TABLES[table]
        self.tables = [self.shards]
        self.queue = TaskQueue(self.tables, Plan(0, None, records_per_task, NUM_EPOCHS, seed))
        self.all_records = {
            (shard.name, index) for shard in self.shards for index in range(shard.first, shard.end)
        }
        self.step = 0
        self.seen: dict[int, list[Use]] = {}  # by the step of the model that has used it
        self.given_up: set[Use] = set()  # said to be unusable, or used up without a step
        self.marked: set[int] = set()
        self.begin_round()

    def begin_round(self) -> None:
        self.members = {number: Member(self.step) for number in range(self.chance.randint(1, 4))}
        self.reported = dict.fromkeys(self.members, self.step)
        self.sent: list[tuple[int, int]] = []  # step and positions of each commit
        self.first_step = self.step
        self.round_uses: dict[int, list[Interval]] = {}
        self.queue.begin_round(self.members)

    @property
    def over(self) -> bool:
        return self.queue.epoch_number == NUM_EPOCHS

    @property
    def all_seen(self) -> list[Use]:
        return [use for uses in self.seen.values() for use in uses]

    def lease_for(self, worker: int, max_leases: int) -> None:
        member = self.members[worker]
        member.sequence += 1
        epoch = self.queue.epoch_number
        answer, leases = self.queue.request(
            LeaseRequest(worker, "", member.sequence, key(epoch), max_leases=max_leases)
        )
        assert (answer is Answer.END) == self.over
        taken = set(self.all_seen)
        for each in self.members.values():
            for held in each.usable:
                taken.update(held.uses(Interval(0, held.next_position, held.lease.end_position)))
        for lease in leases:
            assert taken.isdisjoint((epoch, record) for record in records_of(lease))
            member.leases.append(Held(lease, lease.start_position))

    def finish_step(self, worker: int) -> None:
        member = self.members[worker]
        member.finished = self.step
        if member.share:
            commit = Commit(self.step, member.share)
            member.unsent.append((self.queue.epoch_number, commit))
            member.share = []

    def send_from(self, worker: int, count: int) -> None:
        member = self.members[worker]
        commits, member.unsent = member.unsent[:count], member.unsent[count:]
        for epoch, commit in commits:
            assert self.queue.commit(worker, key(epoch), commit)
            self.sent.append((commit.step, sum(each.size for each in commit.intervals)))
            if commit.mark:
                self.marked.add(commit.step)
        step = member.unsent[0][1].step - 1 if member.unsent else member.finished
        self.reported[worker] = max(self.reported[worker], step)
        self.queue.report_step(worker, step)

    def train(self, shares: dict[int, list[int]], finished: set[int]) -> None:
        """Does a step on the next positions of some leases.

        Args:
            shares: for each member how many positions of each lease that it has begun or not.
            finished: the members that finish the step at once.
        """
        used = {
            worker: [
                (held, min(count, held.left))
                for held, count in zip(self.members[worker].usable, counts, strict=False)
                if count
            ]
            for worker, counts in shares.items()
        }
        if not any(used.values()):
            return
        self.step += 1
        self.seen[self.step], self.round_uses[self.step] = [], []
        for worker, parts in used.items():
            for held, count in parts:
                interval = held.take(count)
                self.members[worker].share.append(interval)
                self.seen[self.step] += held.uses(interval)
                self.round_uses[self.step].append(interval)
        assert max(Counter(self.all_seen).values()) == 1
        for worker in finished & self.members.keys():
            self.finish_step(worker)

    # What happens.

    def some_worker(self) -> int:
        return self.chance.choice(sorted(self.members))

    def some_workers(self) -> set[int]:
        return {worker for worker in self.members if self.chance.random() < 0.5}

    def lease(self) -> None:
        self.lease_for(self.some_worker(), self.chance.randint(1, 4))

    def give_back(self) -> None:
        worker = self.some_worker()
        leases = self.members[worker].leases
        untouched = [held for held in leases if held.next_position == held.lease.start_position]
        if untouched:
            leases.remove(untouched[-1])
            self.queue.give_back(worker, [untouched[-1].lease.token])

    def some_step(self) -> None:
        for worker, member in self.members.items():
            if member.finished < self.step:
                self.finish_step(worker)
            if not member.usable:
                self.lease_for(worker, self.chance.randint(0, 3))
        shares = {
            worker: [self.chance.randint(0, 3) for _ in range(self.chance.randint(0, 3))]
            for worker in self.members
        }
        self.train(shares, self.some_workers())

    def give_up_positions(self) -> None:
        worker = self.some_worker()
        member = self.members[worker]
        if member.finished == self.step and member.usable:
            held = member.usable[0]
            interval = held.take(min(self.chance.randint(1, 2), held.left))
            self.given_up.update(held.uses(interval))
            commit = Commit(member.finished, [interval], self.chance.choice(["", "torn"]))
            member.unsent.append((self.queue.epoch_number, commit))

    def mark(self) -> None:
        member = self.members[self.some_worker()]
        commit = Commit(member.finished, [], mark=True)
        member.unsent.append((min(self.queue.epoch_number, NUM_EPOCHS - 1), commit))

    def publish(self) -> None:
        step = min(self.marked, default=None)
        if step is not None and step <= self.queue.firm_step:
            self.queue.marks.publish(step, f"/c/{step}", self.chance.randint(0, 2))
            self.marked.remove(step)

    def send(self) -> None:
        self.send_from(self.some_worker(), self.chance.randint(0, 3))

    def send_all(self) -> None:
        for worker in self.some_workers():
            self.send_from(worker, 100)

    def end_round(self) -> None:
        chance = self.chance
        lost, without_state = self.some_workers(), set[int]()
        if chance.random() < 0.2:
            without_state = self.some_workers()
        for worker in lost:
            self.queue.take_back(worker, lost=True)
        survivors = {number: each for number, each in self.members.items() if number not in lost}
        steps = {each.finished for worker, each in survivors.items() if worker not in without_state}
        # A survivor may not have heard of all that is firm.
        firm_step = self.queue.firm_step
        known_firm = chance.randint(self.first_step, firm_step)
        last_known = max((each.finished for each in survivors.values()), default=0)
        uses = [
            StepUse(step, intervals)
            for step, intervals in self.round_uses.items()
            if known_firm < step <= last_known
        ]
        self.queue.end_round(steps, uses, lost)
        self.check_account()
        assert self.queue.last_step == max(firm_step, *steps, 0)
        adoptable = self.queue.adoptable_steps
        assert {step for step in steps if step >= firm_step} <= set(adoptable)
        # The holder of a step's state may die before it has given it away.
        nth_last = chance.choice([1, 1, 1, 2, 2, 3])
        self.step = adoptable[-min(nth_last, len(adoptable))]
        assert self.queue.adopt(self.step).step == self.step
        assert self.queue.last_step == self.step
        self.seen = {step: uses for step, uses in self.seen.items() if step <= self.step}
        self.marked = set()
        self.begin_round()

    def restart_the_master(self) -> None:
        plain = json.loads(json.dumps(self.queue.to_plain()))
        self.queue = TaskQueue.from_plain(self.tables, plain)
        assert json.loads(json.dumps(self.queue.to_plain())) == plain

    # Invariants.

    def check_account(self) -> None:
        for epoch in self.queue.epochs:
            epoch.check()
            entry = epoch.ledger()
            assert min(entry.committed, entry.tentative, entry.leased, entry.waiting) >= 0
            parts = entry.committed + entry.tentative + entry.leased + entry.waiting
            assert parts + entry.quarantined == entry.records

    def check_tentative(self) -> None:
        assert self.queue.firm_step == self.queue.last_step == min(self.reported.values())
        tentative = sum(size for step, size in self.sent if step > self.queue.firm_step)
        epoch = self.queue.epochs.last()
        assert epoch is not None
        entry = epoch.ledger()
        assert entry.tentative == tentative
        assert entry.ended == self.over

    def check_ended_epochs(self) -> None:
        seen = set(self.all_seen)
        for epoch in range(self.queue.epoch_number):
            missing = {(epoch, record) for record in self.all_records} - seen
            assert missing <= self.given_up

    # All of it.

    def happen(self) -> None:
        """Has one thing happen, of which some are more frequent than others."""
        happens, frequency = zip(
            *(
                (self.some_step, 8),
                (self.send, 4),
                (self.send_all, 3),
                (self.lease, 2),
                (self.mark, 2),
                (self.publish, 2),
                (self.give_back, 1),
                (self.give_up_positions, 1),
                (self.end_round, 1),
                (self.restart_the_master, 1),
            ),
            strict=True,
        )
        self.chance.choices(happens, frequency)[0]()
        self.check_account()
        self.check_tentative()
        self.check_ended_epochs()

    def finish(self) -> None:
        """Trains to the end, however the round stands; then each counter is that of the epochs."""
        while not self.over:
            for worker, member in self.members.items():
                if member.finished < self.step:
                    self.finish_step(worker)
                self.send_from(worker, 100)
            if not self.over:
                self.lease_for(0, 3)
                self.train(dict.fromkeys(self.members, [9] * 20), set(self.members))
        self.check_ended_epochs()
        counters = Counter(record for _, record in self.all_seen)
        for record in self.all_records:
            expected = sum((epoch, record) not in self.given_up for epoch in range(NUM_EPOCHS))
            assert expected <= counters[record] <= NUM_EPOCHS
        assert [entry.missing for entry in self.queue.epochs.ledger()] == [0] * NUM_EPOCHS


@pytest.mark.parametrize("number", range(NUM_WALKS))
def test_the_model_sees_each_record_once_in_each_epoch(number: int) -> None:
    walk = Walk(random.Random(number))
    for _ in range(NUM_EVENTS):
        walk.happen()
    walk.finish()
