"""The running job: its state behind one lock, with clock and journal."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import (
    InvalidRequestError,
    JobDirectoryError,
    JobFailedError,
)
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import checkpoints, events
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.progress import JobStatus, RateMeter
from elasticdl_like.master.reports import job_status, ledger_document
from elasticdl_like.master.stragglers import StragglerWatch
from elasticdl_like.proto import convert
from elasticdl_like.tasks import EpochKey, LeaseReply, LeaseRequest, StartPoint
from elasticdl_like.time_shares import check_seconds

_logger = logging.getLogger(__name__)

_EVENTS_PER_SNAPSHOT = 5000


class Job:
    """One running job; any thread may call it.

    What a method changes is safe from the death of this process once `flush` has returned; nobody
    may be told of it before.

    Args:
        core: its state.
        journal: gets every event.
        clock: monotonic time in seconds.
    """

    def __init__(self, core: JobCore, journal: Journal, clock: Callable[[], float]) -> None:
        self._core = core
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._supervised: set[int] = set()
        self._stragglers = StragglerWatch()
        core.members.start_deadlines(clock())
        self._start_rate()

    @property
    def config(self) -> JobConfig:
        """What the job is asked to do."""
        return self._core.config

    @property
    def state(self) -> JobState:
        """Where the job is in its life."""
        return self._core.state

    def flush(self) -> None:
        """Makes everything that has happened durable.

        Raises:
            JournalWriteError: the journal cannot be written now; it is tried again next time.
        """
        with self._lock:
            # Also when they are from before a restart: replaying them takes time.
            if self._journal.num_events > _EVENTS_PER_SNAPSHOT:
                self._journal.save_snapshot(self._core.to_plain())
            else:
                self._journal.flush()

    def adopt_if_alone(self) -> None:
        """Goes back to the newest checkpoint, if a model is trained and nobody has it any more."""
        with self._lock:
            core = self._core
            if core.config.data_only or len(core.members) or core.state is not JobState.RUNNING:
                return
            self._adopt_newest()
        checkpoints.remove_unfinished(Path(core.config.checkpoint.directory))

    def supervise(self, worker_id: int) -> None:
        """Notes that a platform watches this worker's process and will report its end."""
        with self._lock:
            self._supervised.add(worker_id)
            worker = self._core.members.get(worker_id)
            if worker is not None:
                worker.supervised = True

    def registered_incarnation(self, worker_id: int) -> str | None:
        """Returns which incarnation of a worker takes part now, or None when none does."""
        with self._lock:
            worker = self._core.members.get(worker_id)
            return None if worker is None else worker.incarnation

    def register(
        self, incarnation: str, requested_id: int | None, description: str
    ) -> tuple[int, StartPoint]:
        """Takes a worker in.

        Returns:
            Its number, and where it begins.

        Raises:
            InvalidRequestError: the number that it asks for is taken, or the job trains a model
                and has its worker.
            UnknownWorkerError: this incarnation has left, or was given up for lost.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            event = events.Registered(
                incarnation, requested_id, description, requested_id in self._supervised
            )
            known = self._core.members.find(incarnation)
            worker_id: int = self._core.register(event, self._clock())
            if known is None:
                self._append(event)
                _logger.info("worker %d registered: %s", worker_id, description)
            return worker_id, self._core.start_point()

    def commit_and_lease(self, request: LeaseRequest, encoded: bytes | None = None) -> LeaseReply:
        """Counts what a worker's steps used, and hands out more.

        Args:
            request: what the worker says; one that it has sent before gets the same reply.
            encoded: the request as the message that it came in, if it came in one.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            InvalidRequestError: the request breaks the protocol.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            now_s = self._clock()
            worker = self._core.members.hear(request.worker_id, request.incarnation, now_s)
            if request.sequence == worker.last_sequence + 1:
                if encoded is None:
                    encoded = convert.lease_request_to_proto(request).SerializeToString()
                self._journal.append(events.LEASE_REQUEST, encoded)
            reply = self._core.commit_and_lease(request)
            self._stragglers.note(request, reply, now_s)
            if self._core.state is JobState.FAILED:
                _logger.error("the job fails: %s", self._core.reason)
                self._check_running()
            return reply

    def heartbeat(
        self,
        worker_id: int,
        incarnation: str,
        answered_sequence: int,
        held: Sequence[int],
        seconds_spent: Mapping[str, float] | None = None,
        num_retries: int = 0,
    ) -> None:
        """Notes that a worker is alive, and takes back leases that it does not have.

        Args:
            worker_id: the worker.
            incarnation: its process.
            answered_sequence: the last request whose reply it has got.
            held: the tokens of the leases that it has.
            seconds_spent: where its time went so far, by activity; not kept in the journal.
            num_retries: how often it had to ask a service again; likewise.

        Raises:
            UnknownWorkerError: it is not, or no longer, part of the job.
            InvalidRequestError: its time went into something that is not known, or in no number.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            now_s = self._clock()
            worker = self._core.members.hear(worker_id, incarnation, now_s)
            if seconds_spent:
                check_seconds(seconds_spent)
                worker.seconds_spent = seconds_spent
                worker.num_retries = num_retries
                warning = worker.starvation.look(now_s, seconds_spent)
                if warning is not None:
                    _logger.warning("worker %d: %s", worker_id, warning)
            tokens = self._core.queue.unlisted(worker_id, answered_sequence, frozenset(held))
            if tokens:
                _logger.info("worker %d does not have %d of its leases", worker_id, len(tokens))
                self._do(events.GivenBack(worker_id, tokens))

    def report_evaluation(
        self, worker_id: int, incarnation: str, key: EpochKey, metrics: Mapping[str, float]
    ) -> None:
        """Keeps the result of an evaluation; reporting it again replaces it.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            self._core.members.hear(worker_id, incarnation, self._clock())
            # The loss first, the others by name: a message's map has no order.
            metrics = dict(sorted(metrics.items(), key=lambda item: (item[0] != "loss", item[0])))
            self._do(events.Evaluated((str(key.type), key.epoch, key.step), metrics))
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            _logger.info("evaluation at step %d (epoch %d): %s", key.step, key.epoch + 1, shown)

    def publish(self, worker_id: int, incarnation: str, written: Path, published: Path) -> None:
        """Renames what a member has written to the name that people look for.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job; nothing is done.
            InvalidRequestError: the path is not one that the job writes to.
            JobDirectoryError: the rename failed.
            JobFailedError: the job is over.
        """
        with self._publishing:
            with self._lock:
                self._check_running()
                self._core.members.hear(worker_id, incarnation, self._clock())
            if str(published.parent) != self.config.output or written.parent != published.parent:
                raise InvalidRequestError(
                    f"worker {worker_id} wants {written} to be renamed to {published}, which is "
                    "not a place that this job writes to"
                )
            if published.exists() and not written.exists():
                return  # asked a second time, maybe of the master before this one
            try:
                checkpoints.replace_durably(written, published)
            except OSError as error:
                raise JobDirectoryError(
                    f"{written} cannot be renamed to {published}: {error.strerror}"
                ) from error

    def publish_checkpoint(
        self,
        worker_id: int,
        incarnation: str,
        written: Path,
        step: int,
        files: Mapping[str, tuple[int, str]],
    ) -> Path:
        """Makes a checkpoint of what a worker has written, and removes the oldest ones.

        Args:
            worker_id: the worker.
            incarnation: its process.
            written: the directory that it has written, beside the other checkpoints.
            step: the step after which the state was saved, and whose commit was marked.
            files: size in bytes and SHA-256 of each file.

        Returns:
            The directory's name from now on.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job; nothing is done.
            InvalidRequestError: the step was never marked, or the path is not the job's.
            JobDirectoryError: the checkpoint cannot be written.
            JobFailedError: the job is over.
        """
        directory = Path(self.config.checkpoint.directory)
        if written.parent != directory or not written.name.startswith(".checkpoint-"):
            raise InvalidRequestError(f"worker {worker_id} wrote a checkpoint to {written}")
        published = checkpoints.checkpoint_path(directory, step)
        with self._publishing:
            with self._lock:
                self._check_running()
                self._core.members.hear(worker_id, incarnation, self._clock())
                mark = self._core.queue.marks.find(step)
                if mark is None:
                    raise InvalidRequestError(f"step {step} has no mark, or was undone since")
                if mark.checkpoint and not written.exists():
                    return published  # asked a second time
                shards = self._core.queue.shards(mark.table)
            details = {"job": self.config.name, "seed": self.config.training.seed}
            checkpoints.publish_checkpoint(written, published, mark, shards, files, details)
            with self._lock:
                # The time that it took is long enough for the worker to be given up.
                self._core.members.hear(worker_id, incarnation, self._clock())
                dropped = self._do(events.CheckpointPublished(step, str(published)))
            self.flush()
        _logger.info("checkpoint: %s", published)
        for old in dropped:
            checkpoints.remove_checkpoint(Path(old.checkpoint))
        return published

    def stop_training(self, worker_id: int, incarnation: str, reason: str) -> None:
        """Ends training early: nobody gets more to train on.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            self._core.members.hear(worker_id, incarnation, self._clock())
            if not self._core.queue.ended:
                self._do(events.TrainingStopped(reason))
                _logger.info("training stops: %s", reason)

    def leave(self, worker_id: int, incarnation: str, failure: str) -> None:
        """Lets a worker go, its work done or not; a failure fails the job.

        One that has gone already is let go again: it did not get the answer.

        Raises:
            UnknownWorkerError: the worker was never part of the job.
        """
        with self._lock:
            if self._core.members.has_gone(incarnation):
                return
            self._core.members.hear(worker_id, incarnation, self._clock())
            if failure:
                self._end(JobState.FAILED, failure)
            self._drop(worker_id, lost=bool(failure))

    def lose(self, worker_id: int, reason: str) -> None:
        """Notes that a worker has died or fallen silent; what it had goes to others.

        Where a model is trained its only copy is gone: the ledger goes back to the newest
        checkpoint, for the worker that comes next.
        """
        with self._lock:
            if self._core.members.get(worker_id) is not None:
                # Who reports it tells the user, and knows more.
                _logger.debug("worker %d is lost: %s", worker_id, reason)
                self._drop(worker_id, lost=True)
        if not self.config.data_only:
            checkpoints.remove_unfinished(Path(self.config.checkpoint.directory))

    def tick(self) -> None:
        """Does what is due; to be called a few times a second."""
        now_s = self._clock()
        with self._lock:
            silent = [
                (worker.worker_id, now_s - worker.heard_s)
                for worker in self._core.members.silent(now_s)
                if not worker.supervised
            ]
            for key in self._stragglers.keys(now_s):
                slow = self._stragglers.slowest(key, self._core.queue.live_tokens(key), now_s)
                if slow is not None:
                    self._do(events.Split(slow))
        for worker_id, silent_s in silent:
            reason = f"it was silent for {silent_s:.0f} s"
            _logger.warning("worker %d is lost: %s", worker_id, reason)
            self.lose(worker_id, reason)

    def hung_workers(self) -> list[tuple[int, str]]:
        """Returns the supervised workers that are silent although their process lives, and why."""
        now_s = self._clock()
        with self._lock:
            return [
                (worker.worker_id, f"it was silent for {now_s - worker.heard_s:.0f} s")
                for worker in self._core.members.silent(now_s)
                if worker.supervised
            ]

    def fail(self, reason: str) -> None:
        """Fails the job, unless it is over already."""
        with self._lock:
            self._end(JobState.FAILED, reason)

    def interrupt(self) -> None:
        """Ends the job because its user said so; the same command goes on with it."""
        with self._lock:
            self._end(JobState.INTERRUPTED, "interrupted")

    def status(self) -> JobStatus:
        """Returns how the job stands."""
        with self._lock:
            return job_status(self._core, self._rate, self._clock())

    def ledger(self) -> dict[str, Any]:
        """Returns the ledger, as its JSON."""
        with self._lock:
            return ledger_document(self._core)

    def _start_rate(self) -> None:
        """Measures the rate from here on."""
        self._rate = RateMeter()
        job_status(self._core, self._rate, self._clock())

    def _check_running(self) -> None:
        if self._core.state is not JobState.RUNNING:
            raise JobFailedError(f"the job is {self._core.state}: {self._core.reason}")

    def _append(self, event: Any) -> None:
        self._journal.append(*events.encode_event(event))

    def _do(self, event: Any) -> Any:
        result = self._core.apply(event, self._clock())
        self._append(event)
        return result

    def _end(self, state: JobState, reason: str) -> None:
        if self._core.state is JobState.RUNNING:
            self._do(events.Ended(state, reason))

    def _drop(self, worker_id: int, lost: bool) -> None:
        self._do(events.Dropped(worker_id, lost))
        # A job that is over keeps the ledger that tells why; it goes back when it goes on.
        if not self._core.config.data_only and self._core.state is JobState.RUNNING:
            self._adopt_newest()

    def _adopt_newest(self) -> None:
        marks = self._core.queue.marks.published
        whole = [
            mark
            for mark in marks
            if not mark.checkpoint or checkpoints.is_complete(Path(mark.checkpoint))
        ]
        if not whole:
            self._end(
                JobState.FAILED,
                f"the checkpoint that the job began with is gone: {marks[0].checkpoint}",
            )
            return
        self._do(events.Adopted(whole[-1].step))
        self._start_rate()
