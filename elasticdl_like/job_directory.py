"""The directory of a job: what is kept of it, and who may write there.

journal.sqlite…    everything that has happened to the job (see master/journal.py)
token              what every call to the master has to know
endpoint           the address of the running master
status_page        the link to its status page
resume_command     the command that goes on with the job
started            when the job began, in Unix seconds
events.jsonl       what has happened to the job, for people, one event a line
history.json       how it went over time
lock               held by the running master
quarantine.jsonl   the records that were set aside, one range a line
workers/           the processes that the local platform has started
logs/              the output of each worker
checkpoints/       unless --checkpoint_dir says otherwise
index/             indexes of the data, unless --index_dir says otherwise
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from elasticdl_like.errors import JobDirectoryError

_LOCK_WAIT_S = 1.0
_LOCK_POLL_S = 0.05


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
        self.index = path / "index"
        self.workers = path / "workers"
        self.journal = path / "journal.sqlite"
        self.events = path / "events.jsonl"
        self._history = path / "history.json"
        self._started = path / "started"
        self._endpoint = path / "endpoint"
        self._status_page = path / "status_page"
        self._resume_command = path / "resume_command"
        self._token = path / "token"
        self._quarantine = path / "quarantine.jsonl"
        self._lock = path / "lock"

    @contextmanager
    def own(self) -> Iterator[None]:
        """Makes this process the master of the directory.

        Raises:
            JobDirectoryError: another master has it, or it cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JobDirectoryError(
                f"--job_dir {self.path} cannot be written to: {error.strerror}"
            ) from error
        try:
            self._take(lock)
            # One that was killed has left it; the next one may have no page.
            self._status_page.unlink(missing_ok=True)
            for directory in (self.logs, self.workers):
                directory.mkdir(exist_ok=True)
            try:
                yield
            finally:
                for path in (self._endpoint, self._status_page):
                    path.unlink(missing_ok=True)
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

    def has_job(self) -> bool:
        """Returns whether there is a job, whatever has become of it."""
        return self.journal.exists()

    def journal_version(self) -> object:
        """Returns what is another value once the journal has changed; None if there is none."""
        found = []
        for path in (self.journal, self.journal.with_name(f"{self.journal.name}-wal")):
            with suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_ino, state.st_size, state.st_mtime_ns))
        return found or None

    def clear(self) -> None:
        """Removes what an earlier job left, but for the records of processes: some may live."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for path in (
            *(self._endpoint, self._status_page, self._resume_command),
            *(self._token, self._quarantine, self._started, self.events, self._history),
            # The file itself last: without it there is no job.
            *self.path.glob(f"{self.journal.name}-*"),
            self.journal,
            *self.logs.glob("worker-*.log"),
        ):
            path.unlink(missing_ok=True)

    def token(self) -> str:
        """Returns the job's token.

        Raises:
            JobDirectoryError: there is none, or it is not this user's.
        """
        try:
            return self._token.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise JobDirectoryError(f"{self._token} cannot be read: {error}") from error

    def make_token(self, given: str = "") -> str:
        """Returns the job's token, and makes it, readable by this user alone, if there is none.

        Args:
            given: the token, where somebody else has made it; "" for a random one.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        if given or not self._token.exists():
            _write_atomically(self._token, given or secrets.token_hex(32), mode=0o600)
        return self.token()

    def save_endpoint(self, address: str) -> None:
        """Keeps the address of the master, for the processes that look for it.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._endpoint, address)

    def endpoint(self) -> str | None:
        """Returns the address of the running master, or None when none is running."""
        try:
            return self._endpoint.read_text(encoding="utf-8") if self.in_use() else None
        except FileNotFoundError:
            return None

    def save_status_page(self, link: str) -> None:
        """Keeps the link to the status page of the running master.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._status_page, link)

    def status_page(self) -> str | None:
        """Returns the link to the status page of the running master, or None without one."""
        try:
            return self._status_page.read_text(encoding="utf-8") if self.in_use() else None
        except FileNotFoundError:
            return None

    def save_resume_command(self, command: str) -> None:
        """Keeps the command that goes on with the job, for people.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._resume_command, command)

    def resume_command(self) -> str:
        """Returns the command that goes on with the job, or "" when it is not known."""
        try:
            return self._resume_command.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def save_started(self, started_s: float) -> None:
        """Keeps when the job began, in Unix seconds.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._started, f"{started_s:.3f}")

    def started_s(self) -> float | None:
        """Returns when the job began, in Unix seconds, or None when it is not known."""
        try:
            return float(self._started.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def save_history(self, history: Mapping[str, Any]) -> None:
        """Keeps how the job went over time.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._history, json.dumps(history))

    def history(self) -> dict[str, Any] | None:
        """Returns what was kept of how the job went over time, or None without any.

        Raises:
            JobDirectoryError: the file cannot be read.
        """
        try:
            plain: dict[str, Any] = json.loads(self._history.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise JobDirectoryError(f"{self._history} cannot be read: {error}") from error
        return plain

    def save_quarantine(self, ranges: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the list of records that were set aside.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        _write_atomically(self._quarantine, "".join(f"{json.dumps(each)}\n" for each in ranges))

    def _take(self, lock: int) -> None:
        # Who asks whether the directory is in use holds the lock for an instant, too.
        deadline_s = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise JobDirectoryError(
                        f"--job_dir {self.path} is in use by a running job; wait for it or choose "
                        "another directory"
                    ) from None
                time.sleep(_LOCK_POLL_S)
            else:
                return


def _write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"
        ) as file:
            # A command line may hold what is no text.
            file.write(text.encode("utf-8", "replace"))
        temporary.replace(path)
    except OSError as error:
        raise JobDirectoryError(f"{path} cannot be written: {error.strerror}") from error
