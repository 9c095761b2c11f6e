"""One process of a worker: started here, or taken over from a master that is gone."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import psutil

from elasticdl_like.errors import JobDirectoryError, JobFailedError
from elasticdl_like.platforms.worker_record import (
    WorkerRecord,
    WorkerRecords,
    find_process,
    is_alive,
)

_logger = logging.getLogger(__name__)

_POLL_S = 0.02
_TERMINATE_GRACE_S = 2.0
_KILL_GRACE_S = 10.0
_LAST_LINES = 20
_LAST_LINES_BYTES = 64 * 1024
# What a user may have set for other commands, and what would lead the worker to another master.
_VARIABLES_NOT_INHERITED = frozenset(
    {
        "ELASTICDL_MASTER_ADDR",
        "ELASTICDL_TOKEN_FILE",
        "ELASTICDL_TLS_CA_FILE",
        "ELASTICDL_TLS_CERT_FILE",
        "ELASTICDL_TLS_KEY_FILE",
    }
)

MakeCommand = Callable[[int, str], Sequence[str]]
"""Makes the command line of a worker's process from the worker's number and the incarnation."""


class WorkerProcess:
    """A process of a worker.

    Args:
        process: the process, a child of this one or not.
        log_path: where its output goes.
        log_start_bytes: where in the log its output begins.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes] | psutil.Process,
        log_path: Path,
        log_start_bytes: int = 0,
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._log_path = log_path
        self._log_start_bytes = log_start_bytes

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll() is None
        return is_alive(self._process)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that has ended; None if only its parent could know it."""
        return self._process.returncode if isinstance(self._process, subprocess.Popen) else None

    def wait(self, timeout_s: float) -> bool:
        """Waits for the end of the process; returns whether it came in time."""
        return not wait_for_ends([self], timeout_s)

    def terminate(self) -> None:
        """Asks the process to end, without waiting for it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.terminate()

    def kill(self) -> None:
        """Kills the process, without waiting for its end."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.kill()

    def end(self) -> bool:
        """Ends the process, by force if it has to be; returns whether it has ended."""
        return not end_processes([self])

    def last_lines(self) -> str:
        """Returns the end of the log, as far as it is this process's, indented."""
        try:
            with self._log_path.open("rb") as log:
                size_bytes = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start_bytes, size_bytes - _LAST_LINES_BYTES))
                text = log.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        return "".join(f"\n    {line}" for line in text.splitlines()[-_LAST_LINES:]) or " (empty)"


def wait_for_ends(processes: Sequence[WorkerProcess], timeout_s: float) -> list[WorkerProcess]:
    """Waits for the ends of processes; returns those that still run when the time is over."""
    deadline_s = time.monotonic() + timeout_s
    while running := [process for process in processes if process.running]:
        if time.monotonic() > deadline_s:
            break
        time.sleep(_POLL_S)
    return running


def end_processes(processes: Sequence[WorkerProcess]) -> list[WorkerProcess]:
    """Ends processes side by side, by force if it has to be; returns those that have not ended."""
    try:
        for process in processes:
            if process.running:
                process.terminate()
        for process in wait_for_ends(processes, _TERMINATE_GRACE_S):
            _logger.info("worker process %d does not end by itself; it is killed", process.pid)
    finally:
        # Also when a second Ctrl-C cuts the wait short.
        for process in processes:
            process.kill()
        left = wait_for_ends(processes, _KILL_GRACE_S)
    return left


def start_process(
    records: WorkerRecords,
    worker_id: int,
    make_command: MakeCommand,
    log_path: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> WorkerProcess:
    """Starts a process for a worker that has none.

    Args:
        records: where it is noted.
        worker_id: the worker.
        make_command: makes its command line.
        log_path: where its output goes.
        environment: variables that it has and this process has not.

    Raises:
        JobDirectoryError: its record or its log cannot be written; nothing is started.
        JobFailedError: the system does not start a process.
    """
    incarnation = uuid.uuid4().hex
    records.save(worker_id, WorkerRecord(incarnation))
    try:
        log = log_path.open("ab")
    except OSError as error:
        raise JobDirectoryError(f"{log_path} cannot be written: {error.strerror}") from error
    with log:
        log_start_bytes = log.tell()
        try:
            child = subprocess.Popen(
                make_command(worker_id, incarnation),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the command, which then ends its workers in its own order.
                start_new_session=True,
                env={**_inherited_environment(), **environment},
            )
        except OSError as error:
            raise JobFailedError(f"worker {worker_id} cannot be started: {error}") from error
    process = WorkerProcess(child, log_path, log_start_bytes)
    try:
        started = psutil.Process(child.pid).create_time()
        records.save(worker_id, WorkerRecord(incarnation, child.pid, started))
    except (psutil.NoSuchProcess, JobDirectoryError) as error:
        # It has ended already, or is to be found by its command line.
        _logger.info("worker process %d is not noted: %s", child.pid, error)
    return process


def find_left_process(
    records: WorkerRecords, worker_id: int, log_path: Path
) -> WorkerProcess | None:
    """Returns the process of a worker that a master before this one left, or None.

    Raises:
        JobDirectoryError: the record cannot be read.
    """
    record = records.load(worker_id)
    found = None if record is None else find_process(record)
    return None if found is None else WorkerProcess(found, log_path)


def _inherited_environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name not in _VARIABLES_NOT_INHERITED
    }
    return kept | {"PYTHONUNBUFFERED": "1"}
