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
        flush: makes that durable; takes the lock.
    """

    def __init__(
        self,
        core: JobCore,
        lock: threading.Lock,
        do: Callable[[Any], Any],
        flush: Callable[[], None],
    ) -> None:
        self._core = core
        self._lock = lock
        self._do = do
        self._flush = flush
        self._publishing = threading.Lock()

    def publish(self, check: Callable[[], object], written: Path, published: Path) -> None:
        """Renames what a worker has written to the name that people look for.

        Args:
            check: raises an error if the caller may not do that; called with the lock.
            written: what it has written.
            published: the name.

        Raises:
            InvalidRequestError: the path is not one that the job writes to.
            JobDirectoryError: the rename failed.
        """
        with self._publishing:
            with self._lock:
                check()
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
        check: Callable[[], object],
        written: Path,
        step: int,
        files: Mapping[str, tuple[int, str]],
    ) -> Path:
        """Makes a checkpoint of what a worker has written, and removes the oldest ones.

        Args:
            check: raises an error if the caller may not do that; called with the lock.
            written: the directory that it has written, beside the other checkpoints.
            step: the step after which the state was saved, and whose commit was marked.
            files: size in bytes and SHA-256 of each file.

        Returns:
            The directory's name from now on.

        Raises:
            RetryableError: not every member of the round is known to have finished the step.
            InvalidRequestError: the step was never marked, or the path is not the job's.
            JobDirectoryError: the checkpoint cannot be written.
        """
        core = self._core
        directory = Path(core.config.checkpoint.directory)
        if written.parent != directory or not written.name.startswith(".checkpoint-"):
            raise InvalidRequestError(f"{written} is not where this job writes checkpoints to")
        published = checkpoints.checkpoint_path(directory, step)
        with self._publishing:
            with self._lock:
                check()
                mark = core.queue.marks.find(step)
                if mark is None and core.rounds is not None and step > core.queue.firm_step:
                    raise RetryableError(f"step {step} is not known to be finished by all workers")
                if mark is None:
                    raise InvalidRequestError(f"step {step} has no mark, or was undone since")
                if mark.checkpoint and not written.exists():
                    return published  # asked a second time
                shards = core.queue.shards(mark.table)
            details = {"job": core.config.name, "seed": core.config.training.seed}
            checkpoints.publish_checkpoint(written, published, mark, shards, files, details)
            with self._lock:
                # The time that it took is long enough for the worker to be given up.
                check()
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
