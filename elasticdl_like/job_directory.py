"""The directory of a job: what is kept of it, and who may write there.

job.json       the job's state and configuration
ledger.json    the ledger, as of the last time it was saved
endpoint       the address of the running master
lock           held by the running master
logs/          the output of each worker
checkpoints/   unless --checkpoint_dir says otherwise
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from elasticdl_like.errors import JobDirectoryError


class JobState(StrEnum):
    """Where a job is in its life."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class JobDirectory:
    """The files of one job.

    Args:
        path: the directory; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.checkpoints = path / "checkpoints"
        self._job = path / "job.json"
        self._ledger = path / "ledger.json"
        self._endpoint = path / "endpoint"
        self._lock = path / "lock"

    @contextmanager
    def own(self, overwrite: bool) -> Iterator[None]:
        """Makes this process the master of the directory.

        Args:
            overwrite: whether there may be an earlier job; it stays until `clear` is called.

        Raises:
            JobDirectoryError: another master has it, or an earlier job is there.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JobDirectoryError(
                f"--job_dir {self.path} cannot be written to: {error.strerror}"
            ) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JobDirectoryError(
                    f"--job_dir {self.path} is in use by a running job; wait for it or choose "
                    "another directory"
                ) from None
            if self._job.exists() and not overwrite:
                self._refuse_earlier_job()
            self.logs.mkdir(exist_ok=True)
            try:
                yield
            finally:
                self._endpoint.unlink(missing_ok=True)
        finally:
            os.close(lock)

    def in_use(self) -> bool:
        """Returns whether a master has the directory now."""
        try:
            lock = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def clear(self) -> None:
        """Removes what an earlier job left."""
        if self.checkpoints.exists():
            shutil.rmtree(self.checkpoints)
        for path in (self._job, self._ledger, self._endpoint, *self.logs.glob("worker-*.log")):
            path.unlink(missing_ok=True)

    def save_job(self, document: Mapping[str, Any]) -> None:
        """Keeps the state and the configuration of the job.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._job, json.dumps(document, indent=1) + "\n")

    def save_ledger(self, document: Mapping[str, Any]) -> None:
        """Keeps the ledger.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._ledger, json.dumps(document, indent=1) + "\n")

    def save_endpoint(self, address: str) -> None:
        """Keeps the address of the master, for the processes that look for it."""
        _write_atomically(self._endpoint, address)

    def endpoint(self) -> str | None:
        """Returns the address of the running master, or None when none is running."""
        try:
            return self._endpoint.read_text(encoding="utf-8") if self.in_use() else None
        except FileNotFoundError:
            return None

    def load_job(self) -> dict[str, Any]:
        """Returns what `save_job` kept.

        Raises:
            JobDirectoryError: there is no job in the directory, or its file is damaged.
        """
        return self._load(self._job)

    def load_ledger(self) -> dict[str, Any]:
        """Returns what `save_ledger` kept.

        Raises:
            JobDirectoryError: there is no ledger in the directory, or its file is damaged.
        """
        return self._load(self._ledger)

    def _refuse_earlier_job(self) -> None:
        state = str(self.load_job().get("state"))
        outcomes: dict[str, str] = {
            JobState.FINISHED: "has finished",
            JobState.FAILED: "failed",
            JobState.INTERRUPTED: "was interrupted",
            # Nobody holds the lock any more, and nobody has said how it ended.
            JobState.RUNNING: "was cut off",
        }
        outcome = outcomes.get(state, f"is in the unknown state {state!r}")
        raise JobDirectoryError(
            f"--job_dir {self.path} holds a job that {outcome}; nothing was changed. "
            "--overwrite starts anew, or choose another directory"
        )

    def _load(self, path: Path) -> dict[str, Any]:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise JobDirectoryError(f"{self.path} is not a job directory: no {path.name}") from None
        except (OSError, ValueError) as error:
            raise JobDirectoryError(f"{path} cannot be read: {error}") from error
        if not isinstance(document, dict):
            raise JobDirectoryError(f"{path} cannot be read: not a JSON object")
        return document


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise JobDirectoryError(f"{path} cannot be written: {error.strerror}") from error
