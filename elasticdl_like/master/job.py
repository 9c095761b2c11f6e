"""The job as the master sees it: task queue, members and progress behind one lock."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import InvalidRequestError, JobDirectoryError, JobFailedError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.membership import Membership, Worker
from elasticdl_like.master.progress import Evaluation, JobStatus, RateMeter, WorkerStatus
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease, Shard

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommitAndLeaseResult:
    """What a worker is answered.

    Attributes:
        answer: what became of its request for leases.
        leases: the leases it gets.
        fenced_steps: the steps whose commit was refused.
    """

    answer: Answer
    leases: Sequence[Lease]
    fenced_steps: Sequence[int]


class Job:
    """One running job.

    Args:
        config: what it is asked to do.
        training_shards: the shards of the training data, normalised.
        validation_shards: those of the validation data; empty when nothing is evaluated.
        worker_timeout_s: a silent worker that no platform watches is lost after this time.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        config: JobConfig,
        training_shards: Sequence[Shard],
        validation_shards: Sequence[Shard],
        worker_timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        training = config.training
        self.config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._queue = TaskQueue(
            ShardTable(training_shards, training.records_per_task),
            ShardTable(validation_shards, training.records_per_task) if validation_shards else None,
            training.num_epochs,
            training.seed if training.shuffle else None,
        )
        self._members = Membership[CommitAndLeaseResult](worker_timeout_s)
        self._supervised: set[int] = set()
        self._rate = RateMeter()
        self._rate.add(clock(), 0)
        self._loss: float | None = None
        self._evaluations: list[Evaluation] = []
        self._state = JobState.RUNNING
        self._reason = ""

    def supervise(self, worker_id: int) -> None:
        """Notes that a platform watches this worker's process and will report its end."""
        with self._lock:
            self._supervised.add(worker_id)

    def register(self, incarnation: str, requested_id: int | None, description: str) -> int:
        """Takes a worker in, and returns its number.

        Raises:
            InvalidRequestError: the number that it asks for is taken, or the job trains a model
                and has its worker.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            others = [each for each in self._members if each.incarnation != incarnation]
            if others and not self.config.data_only:
                raise InvalidRequestError(
                    f"worker {others[0].worker_id} ({others[0].description}) trains this job's "
                    "model; training one model on several workers is not part of this release"
                )
            worker = self._members.register(
                incarnation,
                requested_id,
                description,
                requested_id in self._supervised,
                self._clock(),
            )
            _logger.info("worker %d registered: %s", worker.worker_id, description)
            return worker.worker_id

    @property
    def training_epoch(self) -> int:
        """The training epoch that the job is in."""
        with self._lock:
            return self._queue.training_epoch

    def commit_and_lease(
        self,
        worker_id: int,
        incarnation: str,
        sequence: int,
        key: EpochKey,
        commits: Sequence[Commit],
        max_leases: int,
        loss: float | None,
    ) -> CommitAndLeaseResult:
        """Counts what a worker's steps used, and hands out more.

        Args:
            worker_id: the worker.
            incarnation: its process.
            sequence: the number of this request; a repeated one gets the reply that it got.
            key: the epoch that commits and leases belong to.
            commits: what finished steps used, in the order of the steps.
            max_leases: how many leases it takes at most; 0 for none.
            loss: the mean training loss since the last report, if there is one.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            InvalidRequestError: the request breaks the protocol.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            worker = self._members.hear(worker_id, incarnation, self._clock())
            if sequence == worker.last_sequence and worker.last_reply is not None:
                return worker.last_reply
            if sequence != worker.last_sequence + 1:
                raise InvalidRequestError(
                    f"worker {worker_id} sent request {sequence} after {worker.last_sequence}"
                )
            fenced = [
                commit.step for commit in commits if not self._queue.commit(worker_id, key, commit)
            ]
            answer, leases = self._queue.request(worker_id, key, max_leases)
            if loss is not None:
                self._loss = loss
            worker.last_sequence = sequence
            worker.last_reply = CommitAndLeaseResult(answer, leases, fenced)
            return worker.last_reply

    def heartbeat(self, worker_id: int, incarnation: str) -> None:
        """Notes that a worker is alive.

        Raises:
            UnknownWorkerError: it is not, or no longer, part of the job.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_running()
            self._members.hear(worker_id, incarnation, self._clock())

    def report_evaluation(
        self, worker_id: int, incarnation: str, key: EpochKey, metrics: Mapping[str, float]
    ) -> None:
        """Keeps the result of an evaluation; reporting it again replaces it.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
        """
        with self._lock:
            self._members.hear(worker_id, incarnation, self._clock())
            self._evaluations = [each for each in self._evaluations if each.key != key]
            # The loss first, the others by name: a message's map has no order.
            metrics = dict(sorted(metrics.items(), key=lambda item: (item[0] != "loss", item[0])))
            self._evaluations.append(Evaluation(key, metrics))
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            _logger.info("evaluation at step %d (epoch %d): %s", key.step, key.epoch + 1, shown)

    def publish(self, worker_id: int, incarnation: str, written: Path, published: Path) -> None:
        """Renames what a member has written to the name that people look for.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job; nothing is done.
            InvalidRequestError: the path is not one that the job writes to.
            JobDirectoryError: the rename failed.
        """
        with self._lock:
            self._check_running()
            self._members.hear(worker_id, incarnation, self._clock())
            places = [self.config.output, self.config.checkpoint.directory]
            if str(published.parent) not in places or written.parent != published.parent:
                raise InvalidRequestError(
                    f"worker {worker_id} wants {written} to be renamed to {published}, which is "
                    "not a place that this job writes to"
                )
            try:
                _replace(written, published)
            except OSError as error:
                raise JobDirectoryError(
                    f"{written} cannot be renamed to {published}: {error.strerror}"
                ) from error

    def stop_training(self, worker_id: int, incarnation: str, reason: str) -> None:
        """Ends training early: nobody gets more to train on.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
        """
        with self._lock:
            self._check_running()
            self._members.hear(worker_id, incarnation, self._clock())
            if not self._queue.ended:
                self._queue.stop()
                self._reason = reason
                _logger.info("training stops: %s", reason)

    def leave(self, worker_id: int, incarnation: str, failure: str) -> None:
        """Lets a worker go, its work done or not; a failure fails the job.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
        """
        with self._lock:
            worker = self._members.hear(worker_id, incarnation, self._clock())
            if failure:
                self._fail(failure)
            self._drop(worker, lost=bool(failure))

    def lose(self, worker_id: int, reason: str) -> None:
        """Notes that a worker has died or fallen silent.

        Where a model is trained its only copy is gone, which fails the job. Elsewhere the
        worker's leases go to others.
        """
        with self._lock:
            # Before the worker is dropped, which finishes a job that has trained its last epoch:
            # the model may not be written yet.
            if not self.config.data_only:
                self._fail(reason)
            else:
                _logger.warning("worker %d is lost: %s", worker_id, reason)
            for worker in [each for each in self._members if each.worker_id == worker_id]:
                self._drop(worker, lost=True)

    def lose_silent_workers(self) -> None:
        """Gives up the workers that have been silent for too long."""
        with self._lock:
            silent = [
                (worker.worker_id, self._clock() - worker.heard_s)
                for worker in self._members.silent(self._clock())
            ]
        for worker_id, silent_s in silent:
            self.lose(worker_id, f"worker {worker_id} was silent for {silent_s:.0f} s")

    def fail(self, reason: str) -> None:
        """Fails the job, unless it is over already."""
        with self._lock:
            self._fail(reason)

    def interrupt(self) -> None:
        """Ends the job because its user said so."""
        with self._lock:
            if self._state is JobState.RUNNING:
                self._state, self._reason = JobState.INTERRUPTED, "interrupted"

    @property
    def state(self) -> JobState:
        """Where the job is in its life."""
        with self._lock:
            return self._state

    def status(self) -> JobStatus:
        """Returns how the job stands."""
        with self._lock:
            now_s = self._clock()
            entry = self._queue.training_ledger()
            epoch_records = entry.committed + entry.quarantined
            num_epochs = self.config.training.num_epochs
            records = entry.key.epoch * entry.records + epoch_records
            total = self._total_records(num_epochs * entry.records)
            if self._state is JobState.RUNNING and not self._queue.ended:
                self._rate.add(now_s, records)
            rate = self._rate.per_second()
            return JobStatus(
                job=self.config.name,
                state=str(self._state),
                reason=self._reason,
                epoch=entry.key.epoch,
                num_epochs=num_epochs,
                epoch_records=epoch_records,
                records_per_epoch=entry.records,
                records=records,
                total_records=total,
                records_per_s=rate,
                remaining_s=(total - records) / rate if rate > 0 else None,
                step=self._queue.last_step,
                loss=self._loss,
                evaluations=tuple(self._evaluations),
                workers=[
                    WorkerStatus(each.worker_id, each.description, now_s - each.heard_s)
                    for each in self._members
                ],
            )

    def ledger(self) -> dict[str, Any]:
        """Returns the ledger, as its JSON."""
        with self._lock:
            entries = [entry.to_plain() for entry in self._queue.ledger()]
        return {"job": self.config.name, "epochs": entries}

    def _check_running(self) -> None:
        if self._state is not JobState.RUNNING:
            raise JobFailedError(f"the job is {self._state}: {self._reason}")

    def _drop(self, worker: Worker[CommitAndLeaseResult], lost: bool) -> None:
        self._queue.take_back(worker.worker_id, lost)
        self._members.remove(worker.worker_id)
        if self._state is JobState.RUNNING and self._queue.ended and not list(self._members):
            self._state = JobState.FINISHED

    def _fail(self, reason: str) -> None:
        if self._state is JobState.RUNNING:
            self._state, self._reason = JobState.FAILED, reason

    def _total_records(self, all_records: int) -> int:
        training = self.config.training
        if training.max_step:
            return min(all_records, training.max_step * training.minibatch_size)
        return all_records


def _replace(written: Path, published: Path) -> None:
    """Renames a file or a directory, also over an older one of the same kind."""
    if not published.is_dir():
        written.replace(published)
        return
    # A directory cannot be renamed over another; the old one steps aside for the moment.
    old = published.with_name(f"{published.name}.old")
    if old.exists():
        shutil.rmtree(old)
    published.replace(old)
    written.replace(published)
    shutil.rmtree(old)
