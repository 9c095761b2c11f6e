"""What the master renames for workers: the trained model, and checkpoints."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from elasticdl_like.errors import InvalidRequestError, JobDirectoryError, RetryableError
from elasticdl_like.master import checkpoints, events
from elasticdl_like.master.job_core import JobCore

_logger = logging.getLogger(__name__)


class Publications:
    """Publishes one thing at a time, while the job goes on.

    Args:
        core: the job.
        lock: whoever has it has the job to itself.
        do: applies an event, writes it down, and returns what it returns.
        check_caller: raises an error if a worker, an incarnation and a round are not part of the
            job; called with the lock.
        flush: makes what was done durable; takes the lock.
    """

    def __init__(
        self,
        core: JobCore,
        lock: threading.Lock,
        do: Callable[[Any], Any],
        check_caller: Callable[[int, str, int], None],
        flush: Callable[[], None],
    ) -> None:
        self._core = core
        self._lock = lock
        self._do = do
        self._check_caller = check_caller
        self._flush = flush
        self._publishing = threading.Lock()

    def publish(
        self,
        worker_id: int,
        incarnation: str,
        written: Path,
        published: Path,
        round_number: int = 0,
    ) -> None:
        """Renames what a member has written to the name that people look for.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job; nothing is done.
            RoundOverError: its round is over; nothing is done.
            InvalidRequestError: the path is not one that the job writes to.
            JobDirectoryError: the rename failed.
            JobFailedError: the job is over.
        """
        with self._publishing:
            with self._lock:
                self._check_caller(worker_id, incarnation, round_number)
            output = self._core.config.output
            if str(published.parent) != output or written.parent != published.parent:
                raise InvalidRequestError(
                    f"{written} cannot be renamed to {published}, which is not a place that this "
                    "job writes to"
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
        round_number: int = 0,
    ) -> Path:
        """Makes a checkpoint of what a worker has written, and removes the oldest ones.

        Args:
            worker_id: the worker.
            incarnation: its process.
            written: the directory that it has written, beside the other checkpoints.
            step: the step after which the state was saved, and whose commit was marked.
            files: size in bytes and SHA-256 of each file.
            round_number: the round that it trains in; 0 where one worker trains alone.

        Returns:
            The directory's name from now on.

        Raises:
            RetryableError: not every member of the round is known to have finished the step.
            UnknownWorkerError: the worker is not, or no longer, part of the job; nothing is done.
            RoundOverError: its round is over; nothing is done.
            InvalidRequestError: the step was never marked, or the path is not the job's.
            JobDirectoryError: the checkpoint cannot be written.
            JobFailedError: the job is over.
        """
        core = self._core
        directory = Path(core.config.checkpoint.directory)
        if written.parent != directory or not written.name.startswith(".checkpoint-"):
            raise InvalidRequestError(f"{written} is not where this job writes checkpoints to")
        published = checkpoints.checkpoint_path(directory, step)
        with self._publishing:
            with self._lock:
                self._check_caller(worker_id, incarnation, round_number)
                mark = core.queue.marks.find(step)
                if mark is None and core.rounds is not None and step > core.queue.firm_step:
                    raise RetryableError(f"step {step} is not known to be finished by all workers")
                if mark is None:
                    raise InvalidRequestError(f"step {step} has no mark, or was undone since")
                if mark.checkpoint and not written.exists():
                    return published  # asked a second time
                shards = core.queue.tables.shards(mark.table)
            details = {"job": core.config.name, "seed": core.config.training.seed}
            checkpoints.publish_checkpoint(written, published, mark, shards, files, details)
            with self._lock:
                # The time that it took is long enough for the worker to be given up.
                self._check_caller(worker_id, incarnation, round_number)
                dropped = self._do(events.CheckpointPublished(step, str(published)))
            self._flush()
        _logger.info("checkpoint: %s", published)
        for old in dropped:
            checkpoints.remove_checkpoint(Path(old.checkpoint))
        return published

    def remove_unfinished(self) -> None:
        """Removes the checkpoints that nobody will finish any more."""
        # One that is being published is left alone: it may succeed, or is removed next time.
        if self._publishing.acquire(blocking=False):
            try:
                checkpoints.remove_unfinished(Path(self._core.config.checkpoint.directory))
            finally:
                self._publishing.release()
