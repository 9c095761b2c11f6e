"""Which process is which worker: small files that outlive a master that is killed.

A record is written before its process starts, without a process id, and completed afterwards. So
there is no moment at which a process runs that a later master could not find.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from elasticdl_like.errors import JobDirectoryError

# The kernel counts in hundredths of a second, from a moment of start-up that is rounded.
_START_TOLERANCE_S = 1.0


@dataclass(frozen=True)
class WorkerRecord:
    """One process of a worker.

    Attributes:
        incarnation: its random name, which is on its command line.
        pid: its process id; None as long as it may not have started.
        started: its start in seconds since 1970, as the system tells it; None likewise.
    """

    incarnation: str
    pid: int | None = None
    started: float | None = None


class WorkerRecords:
    """The records of a job's workers, one file each.

    Args:
        directory: where the files are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, worker_id: int) -> WorkerRecord | None:
        """Returns the record of a worker, or None when there is none.

        Raises:
            JobDirectoryError: the file cannot be read, so it is not known whether a process runs.
        """
        path = self._path(worker_id)
        try:
            return _parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise JobDirectoryError(
                f"{path} cannot be read ({error}); make sure that no worker process of this job "
                "runs, then remove the file"
            ) from error

    def save(self, worker_id: int, record: WorkerRecord) -> None:
        """Keeps the record of a worker.

        Raises:
            JobDirectoryError: the file cannot be written.
        """
        path = self._path(worker_id)
        temporary = path.with_name(f"{path.name}.tmp")
        try:
            temporary.write_text(json.dumps(dataclasses.asdict(record)) + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise JobDirectoryError(f"{path} cannot be written: {error.strerror}") from error

    def worker_ids(self) -> list[int]:
        """Returns the workers that have a record."""
        names = (path.stem for path in self._directory.glob("*.json"))
        return sorted(int(name) for name in names if name.isdecimal())

    def remove(self, worker_id: int) -> None:
        """Removes the record of a worker whose process has ended."""
        self._path(worker_id).unlink(missing_ok=True)

    def _path(self, worker_id: int) -> Path:
        return self._directory / f"{worker_id}.json"


def find_process(record: WorkerRecord) -> psutil.Process | None:
    """Returns the live process of a record, or None when there is none (any more)."""
    if record.pid is None:
        return _find_by_command_line(record.incarnation)
    try:
        process = psutil.Process(record.pid)
        return process if is_alive(process) and _is_of(process, record) else None
    except psutil.NoSuchProcess:
        return None


def is_alive(process: psutil.Process) -> bool:
    """Returns whether a process runs; one that waits to be collected by its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_of(process: psutil.Process, record: WorkerRecord) -> bool:
    """Tells the process of a record from a later one that got the same number."""
    started = record.started
    if started is not None and abs(process.create_time() - started) <= _START_TOLERANCE_S:
        return True
    # The start time, as the system tells it, moves with the clock; the command line does not.
    return _has_on_command_line(process, record.incarnation)


def _find_by_command_line(incarnation: str) -> psutil.Process | None:
    for process in psutil.process_iter():
        # A process that the worker has forked has the same command line, but not a session.
        if is_alive(process) and _has_on_command_line(process, incarnation):
            try:
                if os.getsid(process.pid) == process.pid:
                    return process
            except ProcessLookupError:
                continue
    return None


def _has_on_command_line(process: psutil.Process, incarnation: str) -> bool:
    try:
        return process.uids().real == os.getuid() and incarnation in process.cmdline()
    except psutil.Error:  # it has just ended, or belongs to somebody else
        return False


def _parse(text: str) -> WorkerRecord:
    plain = json.loads(text)
    if not isinstance(plain, dict):
        raise ValueError("not a JSON object")
    incarnation, pid, started = (plain.get(name) for name in ("incarnation", "pid", "started"))
    if not isinstance(incarnation, str) or not incarnation:
        raise ValueError("no incarnation")
    if not isinstance(pid, int | None) or not isinstance(started, int | float | None):
        raise ValueError("pid or started is not a number")
    return WorkerRecord(incarnation, pid, started)
