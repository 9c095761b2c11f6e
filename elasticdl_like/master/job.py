"""The running job, as those who run it and its workers see it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import checkpoints, events
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.finishing import Finishing
from elasticdl_like.master.going_back import adopt_newest
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.job_view import JobView
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.membership import Worker
from elasticdl_like.master.orders import Orders
from elasticdl_like.master.output_files import OutputFiles
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.master.publications import Publications
from elasticdl_like.master.record import JobRecord
from elasticdl_like.master.shared_core import SharedCore
from elasticdl_like.master.stragglers import StragglerWatch
from elasticdl_like.proto import convert
from elasticdl_like.tasks import LeaseReply, LeaseRequest, StartPoint, TaskType
from elasticdl_like.time_shares import check_seconds

_logger = logging.getLogger(__name__)


class Job:
    """One running job; any thread may call it.

    What a method changes is safe from the death of this process once `flush` has returned; nobody
    may be told of it before.

    Args:
        core: its state.
        journal: gets every event.
        clock: monotonic time in seconds.
        record: gets what people are shown of its past; without one, it begins now.

    Attributes:
        publications: publishes the model and checkpoints.
        finishing: makes results of evaluations and predictions that come to their end.
        output_files: publishes the files of a prediction.
        orders: tells workers what to do that train together.
        view: what people are shown of it.
    """

    def __init__(
        self,
        core: JobCore,
        journal: Journal,
        clock: Callable[[], float],
        record: JobRecord | None = None,
    ) -> None:
        self._shared = shared = SharedCore(core, journal, clock, record or JobRecord(time.time))
        self._core = core
        self._supervised: set[int] = set()
        self._evicted: dict[int, tuple[str, str]] = {}
        self._stragglers = StragglerWatch()
        core.members.start_deadlines(clock())
        self.publications = Publications(shared)
        self.finishing = Finishing(shared)
        self.output_files = OutputFiles(shared)
        self.orders = Orders(shared, self._after_round)
        self.view = JobView(shared)

    @property
    def config(self) -> JobConfig:
        """What the job is asked to do."""
        return self._core.config

    @property
    def state(self) -> JobState:
        """Where the job is in its life."""
        return self._core.state

    @property
    def workers_wanted(self) -> int:
        """How many workers there should be."""
        return self._core.workers_wanted

    def flush(self) -> None:
        """Makes everything that has happened durable.

        Raises:
            JournalWriteError: the journal cannot be written now; it is tried again next time.
        """
        self._shared.flush()

    def adopt_if_alone(self) -> None:
        """Goes back to the newest checkpoint, if a model is trained and nobody has it any more."""
        with self._shared.lock:
            core = self._core
            if core.rounds is not None:
                # Which knows who has it; where there is a round, its members are waited for.
                self.orders.advance()
                return
            if (
                not core.config.trains_model
                or len(core.members)
                or core.state is not JobState.RUNNING
            ):
                return
            self._adopt_newest()
        checkpoints.remove_unfinished(Path(core.config.checkpoint.directory))

    def supervise(self, worker_id: int) -> None:
        """Notes that a platform watches this worker's process and will report its end."""
        with self._shared.lock:
            self._supervised.add(worker_id)
            worker = self._core.members.get(worker_id)
            if worker is not None:
                worker.supervised = True

    def registered_incarnation(self, worker_id: int) -> str | None:
        """Returns which incarnation of a worker takes part now, or None when none does.

        One that was given up because it hangs counts until its platform says that it is gone.
        """
        with self._shared.lock:
            worker = self._core.members.get(worker_id)
            if worker is None:
                return self._evicted[worker_id][0] if worker_id in self._evicted else None
            return worker.incarnation

    def register(
        self, incarnation: str, requested_id: int | None, description: str
    ) -> tuple[int, StartPoint]:
        """Takes a worker in.

        Returns:
            Its number, and where it begins.

        Raises:
            InvalidRequestError: the number that it asks for is taken, or the job has as many
                workers as may take part.
            UnknownWorkerError: this incarnation has left, or was given up for lost.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._core.check_running()
            event = events.Registered(
                incarnation, requested_id, description, requested_id in self._supervised
            )
            known = self._core.members.find(incarnation)
            worker_id: int = self._core.register(event, self._shared.clock())
            if known is None:
                self._shared.note(event, worker_id)
                self._evicted.pop(worker_id, None)
                _logger.info("worker %d registered: %s", worker_id, description)
            return worker_id, self._core.start_point()

    def commit_and_lease(self, request: LeaseRequest, encoded: bytes | None = None) -> LeaseReply:
        """Counts what a worker's steps used, and hands out more.

        Args:
            request: what the worker says; one that it has sent before gets the same reply.
            encoded: the request as the message that it came in, if it came in one.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            RoundOverError: the round that it trains in is over.
            InvalidRequestError: the request breaks the protocol.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            worker = self._shared.hear(
                Caller(request.worker_id, request.incarnation, request.round)
            )
            now_s = self._shared.clock()
            if request.sequence == worker.last_sequence + 1:
                if encoded is None:
                    encoded = convert.lease_request_to_proto(request).SerializeToString()
                self._shared.note_request(encoded)
                worker.num_records += request.num_used
            reply = self._core.commit_and_lease(request)
            if self._core.config.splits_tasks:
                self._stragglers.note(request, reply, now_s)
            self._shared.record.look(self._core)
            if self._core.state is JobState.FAILED:
                _logger.error("the job fails: %s", self._core.reason)
                self._core.check_running()
            return reply

    def heartbeat(
        self,
        caller: Caller,
        answered_sequence: int,
        held: Sequence[int],
        seconds_spent: Mapping[str, float] | None = None,
        num_retries: int = 0,
    ) -> None:
        """Notes that a worker is alive, and takes back leases that it does not have.

        Args:
            caller: who calls.
            answered_sequence: the last request whose reply it has got.
            held: the tokens of the leases that it has.
            seconds_spent: where its time went so far, by activity; not kept in the journal.
            num_retries: how often it had to ask a service again; likewise.

        Raises:
            UnknownWorkerError: it is not, or no longer, part of the job.
            RoundOverError: its round is over.
            InvalidRequestError: its time went into something that is not known, or in no number.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            worker = self._shared.hear(caller)
            worker_id = worker.worker_id
            if seconds_spent:
                check_seconds(seconds_spent)
                now_s = self._shared.clock()
                worker.time.note(caller.round, seconds_spent, num_retries)
                warning = worker.starvation.look(now_s, worker.time.seconds)
                if warning is not None:
                    _logger.warning("worker %d: %s", worker_id, warning)
                    self._shared.record.warn(f"worker {worker_id}: {warning}", worker_id)
            tokens = self._core.queue.unlisted(worker_id, answered_sequence, frozenset(held))
            if tokens:
                _logger.info("worker %d does not have %d of its leases", worker_id, len(tokens))
                self._shared.do(events.GivenBack(worker_id, tokens))

    def stop_training(self, caller: Caller, reason: str) -> None:
        """Ends training early: nobody gets more to train on.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            RoundOverError: its round is over.
            InvalidRequestError: the job evaluates or predicts, which has to be whole.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._shared.hear(caller)
            if self._core.config.task_type is not TaskType.TRAINING:
                raise InvalidRequestError(f"a job of {self._core.config.kind} is not ended early")
            if not self._core.queue.ended:
                self._shared.do(events.TrainingStopped(reason))
                _logger.info("training stops: %s", reason)

    def leave(self, worker_id: int, incarnation: str, failure: str) -> None:
        """Lets a worker go, its work done or not; a failure fails the job.

        One that has gone already is let go again: it did not get the answer.

        Raises:
            UnknownWorkerError: the worker was never part of the job.
        """
        with self._shared.lock:
            if self._core.members.has_gone(incarnation):
                return
            self._core.members.hear(worker_id, incarnation, self._shared.clock())
            if failure:
                self._shared.record.explain(worker_id, failure)
                self._shared.end(JobState.FAILED, failure)
                self.orders.advance()
            self._drop(worker_id, lost=bool(failure))

    def lose(self, worker_id: int, reason: str) -> None:
        """Notes that a worker has died or fallen silent; what it had goes to others.

        Where it was the only one that trained a model, the only copy is gone: the ledger goes back
        to the newest checkpoint, for the worker that comes next.
        """
        with self._shared.lock:
            self._evicted.pop(worker_id, None)
            if self._core.members.get(worker_id) is not None:
                # Who reports it tells the user, and knows more.
                _logger.debug("worker %d is lost: %s", worker_id, reason)
                self._lose(worker_id, reason)
        if self.config.trains_model and self._core.rounds is None:
            checkpoints.remove_unfinished(Path(self.config.checkpoint.directory))

    def tick(self) -> None:
        """Does what is due; to be called a few times a second."""
        now_s = self._shared.clock()
        with self._shared.lock:
            silent = [
                worker
                for worker in self._core.members.silent(now_s)
                if self._core.rounds is not None or not worker.supervised
            ]
            for key in self._stragglers.keys(now_s):
                tokens = self._core.queue.epochs.live_tokens(key)
                slow = self._stragglers.slowest(key, tokens, now_s)
                if slow is not None:
                    self._shared.do(events.Split(slow))
            self.orders.advance()
            self.view.sample_if_due()
        for worker in silent:
            reason = f"it was silent for {now_s - worker.heard_s:.0f} s"
            _logger.warning("worker %d is lost: %s", worker.worker_id, reason)
            self._give_up(worker, reason)

    def hung_workers(self) -> list[tuple[int, str]]:
        """Returns the supervised workers that are silent although their process lives, and why.

        Where they train together, the others have gone on without them by then.
        """
        now_s = self._shared.clock()
        with self._shared.lock:
            if self._core.rounds is not None:
                return [(worker_id, reason) for worker_id, (_, reason) in self._evicted.items()]
            return [
                (worker.worker_id, f"it was silent for {now_s - worker.heard_s:.0f} s")
                for worker in self._core.members.silent(now_s)
                if worker.supervised
            ]

    def fail(self, reason: str) -> None:
        """Fails the job, unless it is over already."""
        with self._shared.lock:
            self._shared.end(JobState.FAILED, reason)
            self.orders.advance()

    def interrupt(self) -> None:
        """Ends the job because its user said so; the same command goes on with it."""
        with self._shared.lock:
            self._shared.end(JobState.INTERRUPTED, "interrupted")
            self.orders.advance()

    def status(self) -> JobStatus:
        """Returns how the job stands."""
        return self.view.status()

    def _give_up(self, worker: Worker, reason: str) -> None:
        """Goes on without a silent worker; the platform has to end its process, if there is one."""
        if self._core.rounds is None:
            self.lose(worker.worker_id, reason)
            return
        with self._shared.lock:
            if self._core.members.find(worker.incarnation) is None:
                return
            if worker.supervised:
                self._evicted[worker.worker_id] = (worker.incarnation, reason)
            self._lose(worker.worker_id, reason)

    def _lose(self, worker_id: int, reason: str) -> None:
        if self._core.rounds is not None:
            self._core.rounds.explain(worker_id, reason)
        self._shared.record.explain(worker_id, reason)
        self._drop(worker_id, lost=True)

    def _drop(self, worker_id: int, lost: bool) -> None:
        self._shared.do(events.Dropped(worker_id, lost))
        self.orders.advance()
        # A job that is over keeps the ledger that tells why; it goes back when it goes on.
        if (
            self._core.rounds is None
            and self._core.config.trains_model
            and self._core.state is JobState.RUNNING
        ):
            self._adopt_newest()

    def _adopt_newest(self) -> None:
        if adopt_newest(self._shared):
            self.view.start_rate()

    def _after_round(self) -> None:
        """Removes the checkpoints that nobody will finish, and measures the rate anew."""
        self.publications.remove_unfinished()
        self.view.start_rate()
