"""The queue of tasks: a pure state machine over the epochs of a job.

Events in, answers out. It has no thread, no clock and no I/O; whoever owns it calls one method at
a time. The job's epochs, which are of the type that the plan names, come one after the other and do
not overlap. An evaluation of a model in training is opened by the first request that names it.

The ledger follows the model: a mark notes what is committed at a step whose weights are being
saved, and `adopt` goes back to such a mark when the weights do.

In a round several workers train one model. What their steps use is tentative at first, and counted
step by step as every member reports to have finished them. When the round ends, it is decided which
of the last steps count, and each that may be gone on from is held as a mark.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.epoch import Epoch
from elasticdl_like.master.ledger import LedgerEntry
from elasticdl_like.master.marks import Marks
from elasticdl_like.master.plan import Mark, Plan
from elasticdl_like.master.quarantine import SetAside
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.master.tentative import Parts, RoundSteps
from elasticdl_like.ordering import derive_key
from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease, LeaseRequest, Shard, TaskType

# A reply has to stay small; a worker that wants more asks again.
_MOST_LEASES_AT_ONCE = 1024


class TaskQueue:
    """Leases out the tasks of a job and keeps its ledger.

    Args:
        tables: the shards of each data set, and of each state of it that an epoch began with.
        plan: the epochs.
        start: where a job begins that goes on from a checkpoint of another.
    """

    def __init__(
        self, tables: Sequence[Sequence[Shard]], plan: Plan, start: Mark | None = None
    ) -> None:
        self._tables = list(tables)
        self._cut_tables: dict[tuple[int, int], ShardTable] = {}
        self._table_numbers: dict[EpochKey, int] = {}
        self._plan = plan
        self._next_token = 1
        self._stopped = False
        self._epochs: dict[EpochKey, Epoch] = {}
        self._open_epochs: dict[EpochKey, Epoch] = {}
        self._epoch_number = 0
        self._last_step = 0
        self._reported: set[EpochKey] = set()
        self._marks = Marks(start or Mark(step=0, epoch=0, position={}))
        self._recalled: set[int] = set()
        self._idle: set[int] = set()
        self._round: RoundSteps | None = None
        self._go_to(self._marks.start)

    @property
    def plan(self) -> Plan:
        """What the epochs that begin from now on are made of."""
        return self._plan

    @property
    def num_records(self) -> int:
        """The number of records in one of the job's epochs."""
        return sum(shard.count for shard in self._tables[self._plan.table])

    @property
    def num_tables(self) -> int:
        """How many tables of shards there are."""
        return len(self._tables)

    def shards(self, table: int) -> Sequence[Shard]:
        """Returns the shards of a table."""
        return self._tables[table]

    @property
    def epoch_number(self) -> int:
        """The epoch that the job is in; the number of epochs once all have ended."""
        return self._epoch_number

    @property
    def last_step(self) -> int:
        """The highest step committed, in a round the firm one; 0 before the first."""
        return self._last_step

    @property
    def firm_step(self) -> int:
        """The last step that every member of the round has finished, as far as is known.

        Where there is no round, each step is firm at once.
        """
        return self._last_step

    @property
    def adoptable_steps(self) -> list[int]:
        """The steps that `adopt` can go back to, in ascending order."""
        return self._marks.adoptable_steps

    @property
    def stopped(self) -> bool:
        """Whether training was ended early."""
        return self._stopped

    @property
    def ended(self) -> bool:
        """Whether the job's epochs have ended, or were ended early."""
        return self._stopped or self._epoch_number >= self._plan.num_epochs

    @property
    def num_unusable(self) -> int:
        """How many records were set aside because they could not be used."""
        return sum(epoch.num_unusable for epoch in self._epochs.values())

    @property
    def last_unusable(self) -> SetAside:
        """One of the records that were set aside because they could not be used, the last one.

        Raises:
            LookupError: there is none.
        """
        found = [each.last_unusable for each in self._epochs.values() if each.last_unusable]
        return found[-1]

    @property
    def marks(self) -> Marks:
        """The positions that the job can go back to."""
        return self._marks

    def request(self, request: LeaseRequest) -> tuple[Answer, list[Lease]]:
        """Answers a worker that asks for leases of one epoch.

        A worker that takes none is not told to wait.

        Raises:
            InvalidRequestError: the worker is ahead of the job.
        """
        key, worker_id = request.key, request.worker_id
        self._recalled.discard(worker_id)
        if self._is_own(key):
            if self._stopped or key.epoch >= self._plan.num_epochs:
                return Answer.END, []
            if key.epoch > self._epoch_number:
                raise InvalidRequestError(
                    f"worker {worker_id} asks for {key}, but epoch {self._epoch_number} "
                    "has not ended"
                )
        elif key not in self._epochs:
            if key.type is not TaskType.EVALUATION or self._plan.validation_table is None:
                return Answer.END, []
            self._open(key, self._plan.validation_table, self._plan.records_per_task, None)
        epoch = self._epochs.get(key)
        if epoch is None or epoch.ended:
            return Answer.EPOCH_ENDED, []
        max_leases = min(request.max_leases, _MOST_LEASES_AT_ONCE)
        if self._must_share(epoch, worker_id):
            max_leases = 0
        elif self._round is not None:
            max_leases = min(max_leases, self._fair_number(self._round, epoch, worker_id))
        leases: list[Lease] = []
        while len(leases) < max_leases:
            lease = epoch.lease(worker_id, request.sequence, self._next_token)
            if lease is None:
                break
            self._next_token += 1
            leases.append(lease)
        # Looking for leases may have set the last records aside.
        if self._end_if_over(epoch):
            return Answer.EPOCH_ENDED, []
        if leases or request.max_leases == 0:
            self._idle.discard(worker_id)
            return Answer.LEASED, leases
        untouched = epoch.untouched
        if not untouched.get(worker_id):
            self._idle.add(worker_id)
            # Of several the first: the order of a mapping is not part of the state.
            fullest = max(untouched, key=lambda each: (untouched[each], -each), default=worker_id)
            if fullest != worker_id and untouched[fullest] > 1:
                self._recalled.add(fullest)
        return Answer.WAIT, []

    def recalled(self, worker_id: int, key: EpochKey) -> int:
        """Returns how many leases a worker should give back, because another has nothing to do."""
        epoch = self._epochs.get(key)
        if worker_id not in self._recalled or epoch is None:
            return 0
        return epoch.untouched.get(worker_id, 0) // 2

    def commit(self, worker_id: int, key: EpochKey, commit: Commit) -> bool:
        """Counts what a finished step used; returns False, and counts nothing, if it is fenced.

        In a round, what is used for training is counted, and a mark taken, when the step is firm.

        Raises:
            InvalidRequestError: the commit does not fit its leases, or its epoch is not there; or
                its sums are not as many as those before; or, in a round, it comes from another
                worker, or after its step was reported.
            LedgerError: the epoch has ended, and does not add up.
        """
        epoch = self._epochs.get(key)
        if epoch is None:
            raise InvalidRequestError(f"worker {worker_id} commits in {key}, which never began")
        if self._round is not None and self._is_own(key):
            self._round.check(worker_id, commit.step)
            if commit.step > self._last_step:
                is_counted = epoch.commit(worker_id, commit, tentative=True)
                if is_counted:
                    self._round.committed(worker_id, commit.step, commit.mark)
                return is_counted
        if not epoch.commit(worker_id, commit):
            return False
        if self._is_own(key):
            self._last_step = max(self._last_step, commit.step)
        self._end_if_over(epoch)
        if commit.mark:
            self._marks.add(self._mark(commit.step))
        return True

    def take_back(self, worker_id: int, lost: bool) -> None:
        """Takes back every lease of a worker; what it committed stays committed.

        Those to train on belong to the round, if there is one, and stay until it ends.

        Args:
            worker_id: the worker.
            lost: whether it was lost, which is counted, or left by itself.
        """
        self._idle.discard(worker_id)
        for key, epoch in self._open_epochs.items():
            if self._round is None or not self._is_own(key):
                epoch.take_back(worker_id, lost)

    def give_back(self, worker_id: int, tokens: Collection[int]) -> None:
        """Takes back some leases of a worker."""
        for epoch in self._open_epochs.values():
            epoch.give_back(worker_id, tokens)

    def unlisted(self, worker_id: int, sequence: int, held: Collection[int]) -> list[int]:
        """Returns the leases that a worker should have, of all epochs, and does not.

        Those to train on belong to the round, if there is one: the others know what was used of
        them.
        """
        return [
            token
            for key, epoch in self._open_epochs.items()
            if self._round is None or not self._is_own(key)
            for token in epoch.unlisted(worker_id, sequence, held)
        ]

    def split(self, token: int) -> None:
        """Cuts off the later half of what is left of a lease, for somebody else."""
        for epoch in self._open_epochs.values():
            if token in epoch.tokens:
                epoch.split(token, self._plan.records_per_task // 8 or 1)

    def live_tokens(self, key: EpochKey) -> Collection[int]:
        """Returns the tokens of an epoch's live leases, the oldest first."""
        epoch = self._epochs.get(key)
        return epoch.tokens if epoch is not None else ()

    def stop(self) -> None:
        """Ends training early: there are no more leases of the job's epochs for anybody."""
        self._stopped = True

    def unstop(self) -> None:
        """Takes `stop` back."""
        self._stopped = False

    def report(self, key: EpochKey) -> None:
        """Notes that the result of an evaluation has been kept."""
        self._reported.add(key)

    def is_reported(self, key: EpochKey) -> bool:
        """Returns whether the result of an evaluation has been kept."""
        return key in self._reported

    def sums(self, key: EpochKey) -> Sequence[float] | None:
        """Returns the sums of all commits that were counted in an epoch; None until it has ended.

        Raises:
            InvalidRequestError: the epoch never began, or was dropped.
        """
        epoch = self._epochs.get(key)
        if epoch is None:
            raise InvalidRequestError(f"{key} never began, or belongs to steps that were undone")
        return epoch.sums if epoch.ended else None

    def adopt(self, step: int) -> Mark:
        """Goes back to a mark: what was committed after its step is undone and waits again.

        Returns:
            The mark; it has a checkpoint if there is one of this step.

        Raises:
            InvalidRequestError: there is no such mark that is held, or has a published checkpoint;
                or a round has not ended.
        """
        if self._round is not None:
            raise InvalidRequestError(
                f"step {step} cannot be gone back to before the round has ended"
            )
        mark = self._marks.adoptable(step)
        if mark is None:
            raise InvalidRequestError(f"there is no checkpoint of step {step} to go back to")
        self._go_to(mark)
        return mark

    def begin_round(self, members: Collection[int]) -> None:
        """Begins a round, which goes on from the last step: commits are tentative from now on.

        Args:
            members: the workers that train.

        Raises:
            InvalidRequestError: there is no member, or the former round has not ended.
        """
        if self._round is not None:
            raise InvalidRequestError("a round cannot begin before the former one has ended")
        self._round = RoundSteps(members, self._last_step)

    def report_step(self, worker_id: int, step: int) -> None:
        """Notes that a member of the round has finished a step, and has committed its share of it.

        Raises:
            InvalidRequestError: the worker is not in the round, or there is none.
            LedgerError: the epoch has ended, and does not add up.
        """
        steps = self._running_round()
        steps.report(worker_id, step)
        firm_step = steps.firm
        if firm_step <= self._last_step:
            return
        epoch = self._epochs.get(self._own_key(self._epoch_number))
        tentative_steps = epoch.tentative_steps if epoch is not None else ()
        for each in sorted({*tentative_steps, *steps.marks}):
            if each > firm_step:
                break
            if epoch is not None:
                epoch.make_firm(each)
                self._end_if_over(epoch)
            if steps.take_mark(each):
                self._marks.add(self._mark(each))
        self._last_step = firm_step
        self._marks.let_go(firm_step)

    def end_round(
        self, steps: Collection[int], uses: Sequence[StepUse], lost: Collection[int] = ()
    ) -> None:
        """Ends the round: steps up to the highest whose state is left count, later ones do not.

        All leases to train on are taken back, and evaluations that are not finished are dropped.

        Args:
            steps: those whose state a surviving member has; each becomes a held mark. What is firm
                is never undone: an earlier step can only be gone back to if it has a mark.
            uses: what the steps that are not firm have used, as the survivors know it; what was
                committed as well is counted once.
            lost: the members that were lost, whose leases are counted as such.

        Raises:
            InvalidRequestError: no member can have used these positions, or there is no round;
                nothing is changed.
            LedgerError: the epoch has ended, and does not add up.
        """
        round_steps = self._running_round()
        last_step = max((self._last_step, *steps))
        uses = [use for use in uses if use.step > self._last_step]
        latest = max((round_steps.latest, *(use.step for use in uses)))
        epoch = self._epochs.get(self._own_key(self._epoch_number))
        if epoch is None:
            if any(use.intervals for use in uses):
                raise InvalidRequestError(
                    f"step {uses[0].step} cannot have used anything: training is over"
                )
            parts = Parts()
        else:
            epoch.check_uses(uses)
            parts = epoch.dissolve(uses, lost)
        self._round = None
        # What stopped training may have been a step that is undone, and would come again.
        self._stopped = self._stopped and latest <= last_step
        for step in sorted({*parts.steps, *steps}):
            if not self._last_step <= step <= last_step:
                continue
            if epoch is not None:
                epoch.count_waiting(parts.take(step))
                self._end_if_over(epoch)
            if step in steps:
                self._marks.hold(self._mark(step))
        self._last_step = last_step
        self._drop_evaluations(last_step)
        self._recalled.clear()
        self._idle.clear()

    def add_tables(self, tables: Sequence[Sequence[Shard]]) -> None:
        """Adds tables of shards, for a new plan; they are numbered on."""
        self._tables.extend(tables)

    def replan(self, plan: Plan, dropped_shards: Collection[str]) -> None:
        """Changes what the epochs that begin from now on are made of.

        Args:
            plan: the new plan.
            dropped_shards: names of shards of the job's epochs that are not what they were. The
                epoch that has begun does without what is left of them, and so does each that a
                mark goes back to.
        """
        self._plan = plan
        self._marks.drop_shards(dropped_shards)
        epoch = self._epochs.get(self._own_key(self._epoch_number))
        if epoch is None:
            self._open_own_epoch()
        else:
            epoch.drop_shards(dropped_shards)

    def ledger(self) -> list[LedgerEntry]:
        """Returns the account of every epoch begun so far, each before its evaluations."""
        return [epoch.ledger() for epoch in self.epochs()]

    def epochs(self) -> Iterator[Epoch]:
        """Yields every epoch begun so far, each before its evaluations."""
        for key in sorted(
            self._epochs,
            key=lambda key: (key.epoch, not self._is_own(key), key.step),
        ):
            yield self._epochs[key]

    def last_epoch(self) -> Epoch | None:
        """Returns the epoch that the job is in, or its last one.

        None when there is neither, because the job began after its last epoch.
        """
        keys = [key for key in self._epochs if self._is_own(key)]
        last = max(keys, key=lambda key: key.epoch, default=None)
        return None if last is None else self._epochs[last]

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state but for the tables, as JSON."""
        return {
            "plan": asdict(self._plan),
            "next_token": self._next_token,
            "stopped": self._stopped,
            "epoch_number": self._epoch_number,
            "last_step": self._last_step,
            "reported": [_key_to_plain(key) for key in sorted(self._reported, key=str)],
            "marks": self._marks.to_plain(),
            "recalled": sorted(self._recalled),
            "idle": sorted(self._idle),
            "held_marks": self._marks.held_to_plain(),
            "round": None if self._round is None else self._round.to_plain(),
            "epochs": [
                {
                    "key": _key_to_plain(key),
                    "table": self._table_numbers[key],
                    "records_per_task": epoch.table.records_per_task,
                    "order_key": epoch.order_key,
                    "state": epoch.to_plain(),
                }
                for key, epoch in self._epochs.items()
            ],
        }

    @classmethod
    def from_plain(cls, tables: Sequence[Sequence[Shard]], plain: Mapping[str, Any]) -> TaskQueue:
        """Returns the queue whose `to_plain` this is."""
        marks = Marks.from_plain(plain["marks"], plain.get("held_marks", ()))
        queue = cls(tables, Plan.from_plain(plain["plan"]), marks.start)
        queue._next_token = plain["next_token"]
        queue._stopped = plain["stopped"]
        queue._epoch_number = plain["epoch_number"]
        queue._last_step = plain["last_step"]
        queue._reported = {_key_from_plain(key) for key in plain["reported"]}
        queue._marks = marks
        queue._recalled = set(plain["recalled"])
        queue._idle = set(plain["idle"])
        round_steps = plain.get("round")
        queue._round = None if round_steps is None else RoundSteps.from_plain(round_steps)
        queue._epochs, queue._open_epochs = {}, {}
        for each in plain["epochs"]:
            key = _key_from_plain(each["key"])
            queue._open(key, each["table"], each["records_per_task"], each["order_key"])
            queue._epochs[key].load_plain(each["state"])
            if queue._epochs[key].ended:
                del queue._open_epochs[key]
        return queue

    def _own_key(self, epoch: int) -> EpochKey:
        return EpochKey(self._plan.task_type, epoch)

    def _is_own(self, key: EpochKey) -> bool:
        """Whether it is one of the job's epochs, and not an evaluation in between."""
        return key.type is self._plan.task_type

    def _must_share(self, epoch: Epoch, worker_id: int) -> bool:
        """Whether what is waiting is for somebody who has nothing to do."""
        return not self._idle <= {worker_id} and epoch.untouched.get(worker_id, 0) > 0

    def _fair_number(self, steps: RoundSteps, epoch: Epoch, worker_id: int) -> int:
        """Returns how many leases leave as many to each other member.

        A member without data takes part in the others' steps all the same, so that an epoch takes
        as many steps as the one who has the most.
        """
        untouched = epoch.untouched
        unbegun = epoch.num_unleased + sum(untouched.values())
        return max(-(-unbegun // steps.num_members) - untouched.get(worker_id, 0), 0)

    def _go_to(self, mark: Mark) -> None:
        for key in list(self._epochs):
            if self._is_own(key) and key.epoch > mark.epoch:
                self._drop(key)
        self._drop_evaluations(mark.step)
        self._marks.undo_after(mark.step)
        # What stopped training stays true where no step is undone; a callback would not say it
        # again.
        self._stopped = self._stopped and mark.step == self._last_step
        self._epoch_number = mark.epoch
        self._last_step = mark.step
        self._recalled.clear()
        self._idle.clear()
        key = self._own_key(mark.epoch)
        if mark.position:
            if key not in self._epochs:
                self._open(key, mark.table, mark.records_per_task, mark.order_key)
            self._reopen(key, mark.position)
        elif self._is_as_planned(key):
            self._reopen(key, _UNTOUCHED)
        else:
            self._open_own_epoch()

    def _drop_evaluations(self, step: int) -> None:
        """Drops evaluations of steps that are undone, and those that are not finished.

        Of these the workers that are gone had the rest.
        """
        for key in list(self._epochs):
            if not self._is_own(key) and (key.step > step or key not in self._reported):
                self._drop(key)
        self._reported &= self._epochs.keys()

    def _drop(self, key: EpochKey) -> None:
        del self._epochs[key]
        self._open_epochs.pop(key, None)

    def _running_round(self) -> RoundSteps:
        if self._round is None:
            raise InvalidRequestError("there is no round")
        return self._round

    def _reopen(self, key: EpochKey, position: Mapping[str, Any]) -> None:
        epoch = self._epochs[key]
        epoch.restore(position)
        self._open_epochs[key] = epoch

    def _is_as_planned(self, key: EpochKey) -> bool:
        epoch, plan = self._epochs.get(key), self._plan
        return (
            epoch is not None
            and self._table_numbers[key] == plan.table
            and epoch.table.records_per_task == plan.records_per_task
        )

    def _mark(self, step: int) -> Mark:
        key = self._own_key(self._epoch_number)
        epoch = self._epochs.get(key)
        if epoch is None:
            return Mark(step, self._epoch_number, {})
        return Mark(
            step,
            self._epoch_number,
            epoch.position(),
            self._table_numbers[key],
            epoch.table.records_per_task,
            epoch.order_key,
        )

    def _end_if_over(self, epoch: Epoch) -> bool:
        if not epoch.ended or epoch.key not in self._open_epochs:
            return False
        epoch.check()
        del self._open_epochs[epoch.key]
        # Who had nothing to do in this epoch may have something in the next.
        self._idle.clear()
        if epoch.key == self._own_key(self._epoch_number):
            self._epoch_number += 1
            self._open_own_epoch()
        return True

    def _open_own_epoch(self) -> None:
        plan = self._plan
        if self._epoch_number < plan.num_epochs:
            key = self._own_key(self._epoch_number)
            order_key = None
            if plan.shuffle_seed is not None:
                order_key = derive_key(plan.shuffle_seed, key.epoch)
            self._open(key, plan.table, plan.records_per_task, order_key)

    def _open(
        self, key: EpochKey, table_number: int, records_per_task: int, order_key: int | None
    ) -> None:
        cut = (table_number, records_per_task)
        if cut not in self._cut_tables:
            self._cut_tables[cut] = ShardTable(self._tables[table_number], records_per_task)
        self._table_numbers[key] = table_number
        self._epochs[key] = Epoch(key, self._cut_tables[cut], order_key)
        self._open_epochs[key] = self._epochs[key]


_UNTOUCHED: Mapping[str, Any] = Epoch(
    EpochKey(TaskType.TRAINING, 0), ShardTable((), 1), None
).position()


def _key_to_plain(key: EpochKey) -> list[Any]:
    return [str(key.type), key.epoch, key.step]


def _key_from_plain(plain: Sequence[Any]) -> EpochKey:
    task_type, epoch, step = plain
    return EpochKey(TaskType(task_type), epoch, step)
