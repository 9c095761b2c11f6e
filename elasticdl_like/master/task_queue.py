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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.epoch import Epoch
from elasticdl_like.master.epochs import Epochs
from elasticdl_like.master.marks import Marks
from elasticdl_like.master.plan import Mark, Plan
from elasticdl_like.master.shard_table import ShardTables
from elasticdl_like.master.sharing import Sharing, fair_number
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
        self._plan = plan
        self._tables = ShardTables(tables)
        self._epochs = Epochs(self._tables, plan.task_type)
        self._next_token = 1
        self._stopped = False
        self._epoch_number = 0
        self._last_step = 0
        self._marks = Marks(start or Mark(step=0, epoch=0, position={}))
        self._sharing = Sharing()
        self._round: RoundSteps | None = None
        self._go_to(self._marks.start)

    @property
    def plan(self) -> Plan:
        """What the epochs that begin from now on are made of."""
        return self._plan

    @property
    def tables(self) -> ShardTables:
        """The shards of each data set, of which there may be more for a new plan."""
        return self._tables

    @property
    def epochs(self) -> Epochs:
        """The epochs that have begun, and their ledger."""
        return self._epochs

    @property
    def num_records(self) -> int:
        """The number of records in one of the job's epochs."""
        return sum(shard.count for shard in self._tables.shards(self._plan.table))

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
        self._sharing.was_asked(worker_id)
        if self._epochs.is_own(key):
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
            self._epochs.open_new(
                key, self._plan.validation_table, self._plan.records_per_task, None
            )
        epoch = self._epochs.get(key)
        if epoch is None or epoch.ended:
            return Answer.EPOCH_ENDED, []
        max_leases = min(request.max_leases, _MOST_LEASES_AT_ONCE)
        if self._sharing.must_wait(epoch, worker_id):
            max_leases = 0
        elif self._round is not None:
            max_leases = min(max_leases, fair_number(epoch, worker_id, self._round.num_members))
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
            self._sharing.not_idle(worker_id)
            return Answer.LEASED, leases
        self._sharing.found_nothing(epoch, worker_id)
        return Answer.WAIT, []

    def recalled(self, worker_id: int, key: EpochKey) -> int:
        """Returns how many leases a worker should give back, because another has nothing to do."""
        epoch = self._epochs.get(key)
        return 0 if epoch is None else self._sharing.num_recalled(epoch, worker_id)

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
        if self._round is not None and self._epochs.is_own(key):
            self._round.check(worker_id, commit.step)
            if commit.step > self._last_step:
                is_counted = epoch.commit(worker_id, commit, tentative=True)
                if is_counted:
                    self._round.committed(worker_id, commit.step, commit.mark)
                return is_counted
        if not epoch.commit(worker_id, commit):
            return False
        if self._epochs.is_own(key):
            self._last_step = max(self._last_step, commit.step)
        self._end_if_over(epoch)
        if commit.mark:
            self._marks.add(self._epochs.mark(commit.step, self._epoch_number))
        return True

    def take_back(self, worker_id: int, lost: bool) -> None:
        """Takes back every lease of a worker; what it committed stays committed.

        Those to train on belong to the round, if there is one, and stay until it ends.

        Args:
            worker_id: the worker.
            lost: whether it was lost, which is counted, or left by itself.
        """
        self._sharing.not_idle(worker_id)
        for epoch in self._epochs.open:
            if self._round is None or not self._epochs.is_own(epoch.key):
                epoch.take_back(worker_id, lost)

    def give_back(self, worker_id: int, tokens: Collection[int]) -> None:
        """Takes back some leases of a worker."""
        for epoch in self._epochs.open:
            epoch.give_back(worker_id, tokens)

    def unlisted(self, worker_id: int, sequence: int, held: Collection[int]) -> list[int]:
        """Returns the leases that a worker should have, of all epochs, and does not.

        Those to train on belong to the round, if there is one: the others know what was used of
        them.
        """
        return [
            token
            for epoch in self._epochs.open
            if self._round is None or not self._epochs.is_own(epoch.key)
            for token in epoch.unlisted(worker_id, sequence, held)
        ]

    def split(self, token: int) -> None:
        """Cuts off the later half of what is left of a lease, for somebody else."""
        for epoch in self._epochs.open:
            if token in epoch.tokens:
                epoch.split(token, self._plan.records_per_task // 8 or 1)

    def stop(self) -> None:
        """Ends training early: there are no more leases of the job's epochs for anybody."""
        self._stopped = True

    def unstop(self) -> None:
        """Takes `stop` back."""
        self._stopped = False

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
        epoch = self._epochs.own(self._epoch_number)
        tentative_steps = epoch.tentative_steps if epoch is not None else ()
        for each in sorted({*tentative_steps, *steps.marks}):
            if each > firm_step:
                break
            if epoch is not None:
                epoch.make_firm(each)
                self._end_if_over(epoch)
            if steps.take_mark(each):
                self._marks.add(self._epochs.mark(each, self._epoch_number))
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
        epoch = self._epochs.own(self._epoch_number)
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
                self._marks.hold(self._epochs.mark(step, self._epoch_number))
        self._last_step = last_step
        self._epochs.drop_evaluations(last_step)
        self._sharing.forget()

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
        epoch = self._epochs.own(self._epoch_number)
        if epoch is None:
            self._open_own_epoch()
        else:
            epoch.drop_shards(dropped_shards)

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state but for the tables, as JSON."""
        return {
            "plan": asdict(self._plan),
            "next_token": self._next_token,
            "stopped": self._stopped,
            "epoch_number": self._epoch_number,
            "last_step": self._last_step,
            "reported": self._epochs.reported_to_plain(),
            "marks": self._marks.to_plain(),
            **self._sharing.to_plain(),
            "held_marks": self._marks.held_to_plain(),
            "round": None if self._round is None else self._round.to_plain(),
            "epochs": self._epochs.to_plain(),
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
        queue._marks = marks
        queue._sharing = Sharing(plain["idle"], plain["recalled"])
        round_steps = plain.get("round")
        queue._round = None if round_steps is None else RoundSteps.from_plain(round_steps)
        queue._epochs = Epochs.from_plain(
            queue._tables, queue._plan.task_type, plain["epochs"], plain["reported"]
        )
        return queue

    def _go_to(self, mark: Mark) -> None:
        self._epochs.drop_after(mark.epoch)
        self._epochs.drop_evaluations(mark.step)
        self._marks.undo_after(mark.step)
        # What stopped training stays true where no step is undone; a callback would not say it
        # again.
        self._stopped = self._stopped and mark.step == self._last_step
        self._epoch_number = mark.epoch
        self._last_step = mark.step
        self._sharing.forget()
        if mark.position:
            self._epochs.restore(mark)
        elif not self._epochs.rewind(mark.epoch, self._plan.table, self._plan.records_per_task):
            self._open_own_epoch()

    def _running_round(self) -> RoundSteps:
        if self._round is None:
            raise InvalidRequestError("there is no round")
        return self._round

    def _end_if_over(self, epoch: Epoch) -> bool:
        if not self._epochs.close_if_ended(epoch):
            return False
        # Who had nothing to do in this epoch may have something in the next.
        self._sharing.nobody_idle()
        if epoch.key == self._epochs.own_key(self._epoch_number):
            self._epoch_number += 1
            self._open_own_epoch()
        return True

    def _open_own_epoch(self) -> None:
        plan = self._plan
        if self._epoch_number < plan.num_epochs:
            key = self._epochs.own_key(self._epoch_number)
            order_key = None
            if plan.shuffle_seed is not None:
                order_key = derive_key(plan.shuffle_seed, key.epoch)
            self._epochs.open_new(key, plan.table, plan.records_per_task, order_key)
