"""The whole state of a job: a pure state machine that is driven by events.

No thread, no I/O, and the clock only says when a worker was last heard from, which decides
nothing in here. The same events in the same order give the same state, answers included: that is
what makes a journal of events a durable job.
"""

from __future__ import annotations

from typing import Any

from elasticdl_like.config import DistributionStrategy, JobConfig, JobKind
from elasticdl_like.errors import InvalidRequestError, JobFailedError, LedgerError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.membership import Membership
from elasticdl_like.master.plan import Plan
from elasticdl_like.master.prediction_output import PredictionOutput
from elasticdl_like.master.progress import Evaluation
from elasticdl_like.master.round_codec import plan_from_plain, uses_from_plain
from elasticdl_like.master.rounds import Rounds
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import (
    Commit,
    EpochKey,
    LeaseReply,
    LeaseRequest,
    StartPoint,
    TaskType,
)


class JobCore:
    """Task queue, workers and results of one job.

    Args:
        config: what the job is asked to do.
        queue: its tasks.
        worker_timeout_s: a silent worker that no platform watches is lost after this time.

    Attributes:
        config: likewise.
        queue: likewise.
        rounds: the rounds that its workers train in together; None where they do not.
        members: its workers.
        output: what it predicts; None where it does something else.
        evaluations: the results of evaluations, the oldest first.
        state: where it is in its life.
        reason: why it is there, or why it trains no more; "" if there is nothing to say.
        loss: the last loss that a worker has reported.
        adopted: the mark that the present worker, or the last round, started from.
    """

    def __init__(self, config: JobConfig, queue: TaskQueue, worker_timeout_s: float) -> None:
        self.config = config
        self.queue = queue
        self.rounds: Rounds | None = None
        if config.distribution_strategy is DistributionStrategy.ALL_REDUCE and config.trains_model:
            self.rounds = Rounds(config.workers)
            # The others would wait for as long as a member is silent, whoever watches it.
            self.members = Membership(worker_timeout_s, hanging_factor=1)
        else:
            self.members = Membership(worker_timeout_s)
        self.output: PredictionOutput | None = None
        if config.kind is JobKind.PREDICTION:
            self.output = PredictionOutput(in_files=bool(config.inference.output))
        self.evaluations: list[Evaluation] = []
        self.state = JobState.RUNNING
        self.reason = ""
        self.loss: float | None = None
        self.adopted = queue.marks.start

    def start_point(self) -> StartPoint:
        """Returns where a worker begins that registers now."""
        if not self.config.trains_model:
            return StartPoint(self.queue.epoch_number, self.queue.last_step)
        last = self.evaluations[-1] if self.evaluations else None
        return StartPoint(
            self.adopted.epoch,
            self.adopted.step,
            self.adopted.checkpoint,
            None if last is None else last.key,
            {} if last is None else last.metrics,
        )

    def apply(self, event: events.Event, now_s: float) -> Any:
        """Applies an event, and returns what the method for it returns.

        Raises:
            InvalidRequestError: the event breaks the protocol.
            UnknownWorkerError: its worker is not, or no longer, part of the job.
        """
        match event:
            case LeaseRequest():
                return self.commit_and_lease(event)
            case events.Registered():
                return self.register(event, now_s)
            case events.Dropped():
                return self.drop(event)
            case events.GivenBack():
                return self.queue.give_back(event.worker_id, event.tokens)
            case events.Split():
                return self.queue.split(event.token)
            case events.Evaluated():
                return self.evaluated(event)
            case events.CheckpointPublished():
                return self.queue.marks.publish(
                    event.step, event.checkpoint, self.config.checkpoint.keep_max
                )
            case events.Adopted():
                return self.adopt(event)
            case events.TrainingStopped():
                return self.stop_training(event)
            case events.Ended():
                return self.end(event)
            case events.GoneOn():
                return self.go_on(event)
            case events.RoundBegan():
                return self.begin_round(event, now_s)
            case events.RoundEnded():
                return self.end_round(event, now_s)
            case events.Scaled():
                return self.in_rounds().scale(event.num_workers)
            case events.WorkDone():
                return self.finish_work()
            case events.OutputBegun():
                return self.predicting().begin(event.state)
            case events.FinisherChosen():
                return self.predicting().choose(event.worker_id)
            case events.PartsPublished():
                return self.predicting().published(event.names)
            case events.OutputPublished():
                return self.end_output()

    def replay(self, event: events.Event) -> None:
        """Applies an event of a journal.

        Raises:
            ElasticdlError: the journal is not the whole story.
        """
        try:
            self.apply(event, 0.0)
        except (InvalidRequestError, LedgerError):
            # A request is in the journal before it is looked at, and in whatever state it left
            # the job when it was refused, that state is reached again.
            if not isinstance(event, LeaseRequest):
                raise

    def register(self, event: events.Registered, now_s: float) -> int:
        """Takes a worker in, and returns its number.

        Raises:
            UnknownWorkerError: this incarnation has left, or was given up for lost.
            InvalidRequestError: the number that it asks for is taken, or the job has as many
                workers as may take part.
        """
        self.members.check_registration(event.incarnation, event.requested_id)
        others = [each for each in self.members if each.incarnation != event.incarnation]
        is_new = len(others) == len(self.members)
        if self.rounds is not None:
            most = self.config.workers.max_workers
            if is_new and most and len(others) >= most:
                raise InvalidRequestError(
                    f"the job has {len(others)} workers, and --max_workers is {most}; start this "
                    "one again when another has left, or the job with a larger --max_workers"
                )
        elif others and self.config.trains_model:
            raise InvalidRequestError(
                f"worker {others[0].worker_id} ({others[0].description}) trains this job's "
                "model alone; start the job with --distribution_strategy AllReduce to train it on "
                "several workers"
            )
        worker = self.members.register(
            event.incarnation, event.requested_id, event.description, event.supervised, now_s
        )
        if self.rounds is not None and is_new:
            self.rounds.register(worker.worker_id, now_s)
        return worker.worker_id

    def commit_and_lease(self, request: LeaseRequest) -> LeaseReply:
        """Counts what a worker's steps used, and hands out more.

        A request that is the worker's last one again gets the reply that it got.

        Raises:
            InvalidRequestError: the request breaks the protocol.
            LedgerError: an epoch has ended and does not add up; the job has failed.
        """
        worker = self.members.get(request.worker_id)
        if worker is None:
            raise InvalidRequestError(f"worker {request.worker_id} is not part of this job")
        if request.sequence == worker.last_sequence and worker.last_reply is not None:
            return worker.last_reply
        if request.sequence != worker.last_sequence + 1:
            raise InvalidRequestError(
                f"worker {worker.worker_id} sent request {request.sequence} after "
                f"{worker.last_sequence}"
            )
        queue, key = self.queue, request.key
        try:
            fenced = [
                commit.step
                for commit in request.commits
                if not self._commit(worker.worker_id, key, commit)
            ]
            firm_step = 0
            if self.rounds is not None:
                queue.report_step(worker.worker_id, request.step)
                firm_step = queue.firm_step
            if request.returned:
                queue.give_back(worker.worker_id, request.returned)
            # Before the request, because by its answer the worker has been told.
            recalled = queue.recalled(worker.worker_id, key)
            answer, leases = queue.request(request)
        except LedgerError as error:
            self._fail(str(error))
            raise
        if request.loss is not None:
            self.loss = request.loss
        # In a round a problem takes effect when its step is firm, whoever makes it so.
        if request.round or any(commit.problem for commit in request.commits):
            self.check_quarantine()
        worker.last_sequence = request.sequence
        worker.last_reply = LeaseReply(answer, leases, fenced, recalled, firm_step)
        return worker.last_reply

    def drop(self, event: events.Dropped) -> None:
        """Lets a worker go. A job whose work is done is finished when the last one goes."""
        rounds = self.rounds
        # Leases belong to a round as long as it lasts: the others know what was used of them.
        if rounds is None or event.worker_id not in rounds.members:
            self.queue.take_back(event.worker_id, event.lost)
        self.members.remove(event.worker_id)
        if self.output is not None:
            self.output.forget(event.worker_id)
        if rounds is not None:
            rounds.drop(event.worker_id)
            self._finish_if_left()
        elif self.queue.ended and not (self.config.trains_model and event.lost):
            self._finish_if_left()

    def adopt(self, event: events.Adopted) -> None:
        """Goes back to the checkpoint of a step.

        Raises:
            InvalidRequestError: there is none.
        """
        self._go_to(event.step)
        if self.rounds is not None:
            self.rounds.adopt(event.step)

    def begin_round(self, event: events.RoundBegan, now_s: float) -> None:
        """Begins a round: its members number their requests from 1."""
        plan = plan_from_plain(event.plan)
        worker_ids = [member.worker_id for member in plan.members]
        for worker_id in worker_ids:
            worker = self.members.get(worker_id)
            if worker is not None:
                worker.last_sequence, worker.last_reply = 0, None
        self.in_rounds().begin(plan, now_s)
        self.queue.begin_round(worker_ids)

    def end_round(self, event: events.RoundEnded, now_s: float) -> int | None:
        """Ends a round: what its survivors know to be used is counted, all leases come back.

        Returns:
            As for `Rounds.end`.

        Raises:
            InvalidRequestError: the survivors do not know what one of the steps has used, or there
                is no checkpoint of the step to go on from; nothing is done.
        """
        rounds = self.in_rounds()
        try:
            self.queue.end_round(event.steps, uses_from_plain(event.uses), event.lost)
            self._go_to(event.adopted)
        except LedgerError as error:
            self._fail(str(error))
        self.check_quarantine()
        return rounds.end(event.adopted, now_s)

    def finish_work(self) -> None:
        """Notes that there is nothing left to do; the job is finished when all workers are gone."""
        self.in_rounds().finish()
        self._finish_if_left()

    def end_output(self) -> None:
        """Notes that the output is whole; the job is finished when all workers are gone."""
        self.predicting().end()
        self._finish_if_left()

    def evaluated(self, event: events.Evaluated) -> None:
        """Keeps the result of an evaluation; a new result replaces an old one."""
        task_type, epoch, step = event.key
        key = EpochKey(TaskType(task_type), epoch, step)
        self.evaluations = [each for each in self.evaluations if each.key != key]
        self.evaluations.append(Evaluation(key, event.metrics))
        self.queue.epochs.report(key)

    def stop_training(self, event: events.TrainingStopped) -> None:
        """Ends training early: nobody gets more to train on."""
        if not self.queue.ended:
            self.queue.stop()
            self.reason = event.reason

    def end(self, event: events.Ended) -> None:
        """Ends the job, unless it is over already."""
        if self.state is JobState.RUNNING:
            self.state, self.reason = JobState(event.state), event.reason

    def go_on(self, event: events.GoneOn) -> None:
        """Goes on with a job that was cut off, interrupted or failed."""
        config = JobConfig.from_json(event.config_json)
        if config.training != self.config.training:
            # A larger --max_step, say: whatever stopped training has to say so again.
            self.queue.unstop()
        self.config = config
        self.state, self.reason = JobState.RUNNING, ""
        # The plan first: whether the job is done when the last worker goes depends on it.
        self.queue.replan(Plan.from_plain(event.plan), event.dropped_shards)
        if self.rounds is not None:
            self.rounds.configure(config.workers)
            if not self.queue.ended:
                self.rounds.unfinish()
        if event.forget_workers:
            for worker in self.members:
                self.drop(events.Dropped(worker.worker_id, lost=True))
        if not self.config.trains_model:
            # Where a model is trained, what was set aside gets another chance.
            self.check_quarantine()

    def check_quarantine(self) -> None:
        """Fails the job if more records cannot be used than it may set aside."""
        allowed = self.config.training.max_quarantined_records
        if self.queue.epochs.num_unusable > allowed:
            last = self.queue.epochs.last_unusable
            self._fail(
                f"records [{last.start}, {last.end}) of shard {last.shard_name!r} cannot be used: "
                f"{last.problem}; --max_quarantined_records is {allowed}"
            )

    @property
    def workers_wanted(self) -> int:
        """How many workers there should be."""
        return self.config.workers.num_workers if self.rounds is None else self.rounds.wanted

    def check_running(self) -> None:
        """Checks that the job is not over.

        Raises:
            JobFailedError: it is.
        """
        if self.state is not JobState.RUNNING:
            raise JobFailedError(f"the job is {self.state}: {self.reason}")

    def in_rounds(self) -> Rounds:
        """Returns the rounds of a job that has some.

        Raises:
            InvalidRequestError: the job trains its model on one worker, or none.
        """
        if self.rounds is None and not self.config.trains_model:
            raise InvalidRequestError(
                "the workers of this job are independent of each other; interrupt it and give the "
                "same command with another --num_workers, and it goes on with those"
            )
        if self.rounds is None:
            raise InvalidRequestError(
                "this job trains its model on one worker; start it with --distribution_strategy "
                "AllReduce to have more"
            )
        return self.rounds

    def predicting(self) -> PredictionOutput:
        """Returns the output of a job that predicts.

        Raises:
            InvalidRequestError: the job does something else.
        """
        if self.output is None:
            raise InvalidRequestError(f"this is a job of {self.config.kind}: nothing is predicted")
        return self.output

    def _has_result(self) -> bool:
        match self.config.kind:
            case JobKind.EVALUATION:
                return self.queue.epochs.is_reported(EpochKey(TaskType.EVALUATION, 0))
            case JobKind.PREDICTION:
                return self.predicting().is_done
        return True

    def _commit(self, worker_id: int, key: EpochKey, commit: Commit) -> bool:
        if self.output is not None:
            self.output.check(worker_id, commit)
        is_counted = self.queue.commit(worker_id, key, commit)
        if is_counted and self.output is not None:
            self.output.count(commit)
        return is_counted

    def _go_to(self, step: int) -> None:
        self.adopted = self.queue.adopt(step)
        self.evaluations = [each for each in self.evaluations if each.key.step <= step]
        if self.state is JobState.RUNNING and not self.queue.stopped:
            self.reason = ""

    def _finish_if_left(self) -> None:
        is_done = self.queue.ended and (self.rounds is None or self.rounds.done)
        is_left = self.state is JobState.RUNNING and not len(self.members)
        if is_left and is_done and self._has_result():
            self.state = JobState.FINISHED

    def _fail(self, reason: str) -> None:
        self.end(events.Ended(JobState.FAILED, reason))
