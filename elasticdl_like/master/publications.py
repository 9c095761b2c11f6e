"""What the master renames for workers: the trained model, and checkpoints."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from elasticdl_like.errors import InvalidRequestError, JobDirectoryError, RetryableError
from elasticdl_like.master import checkpoints, events
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.shared_core import SharedCore

_logger = logging.getLogger(__name__)


class Publications:
    """Publishes one thing at a time, while the job goes on.

    Args:
        shared: the job, behind its lock.
    """

    def __init__(self, shared: SharedCore) -> None:
        self._shared = shared
        self._core = shared.core
        self._publishing = threading.Lock()

    def publish(
        self,
        caller: Caller,
        written: Path,
        published: Path,
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
            with self._shared.lock:
                self._shared.hear(caller)
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
        caller: Caller,
        written: Path,
        step: int,
        files: Mapping[str, tuple[int, str]],
    ) -> Path:
        """Makes a checkpoint of what a worker has written, and removes the oldest ones.

        Args:
            caller: who calls.
            written: the directory that it has written, beside the other checkpoints.
            step: the step after which the state was saved, and whose commit was marked.
            files: size in bytes and SHA-256 of each file.

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
            with self._shared.lock:
                self._shared.hear(caller)
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
            with self._shared.lock:
                # The time that it took is long enough for the worker to be given up.
                self._shared.hear(caller)
                dropped = self._shared.do(events.CheckpointPublished(step, str(published)))
            self._shared.flush()
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
