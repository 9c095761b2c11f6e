"""Keeps one worker of a job alive, one process after the other, until it is no longer wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from elasticdl_like.config import JobKind
from elasticdl_like.errors import JobDirectoryError, JobFailedError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.worker_process import (
    MakeCommand,
    WorkerProcess,
    end_processes,
    find_left_process,
    start_process,
)
from elasticdl_like.platforms.worker_record import WorkerRecords
from elasticdl_like.process_end import EndKind, describe_end, end_kind

_logger = logging.getLogger(__name__)

_TRY_AGAIN_S = 10.0
_LEAVE_GRACE_S = 60.0


class SupervisedJob(Protocol):
    """What a supervisor asks of a job, and tells it."""

    @property
    def state(self) -> JobState:
        """Where the job is in its life."""

    def supervise(self, worker_id: int) -> None:
        """Notes that the worker's process is watched."""

    def registered_incarnation(self, worker_id: int) -> str | None:
        """Returns the process that takes part in the job under this number."""

    def lose(self, worker_id: int, reason: str) -> None:
        """Notes that the worker's process is gone."""

    def fail(self, reason: str) -> None:
        """Fails the job."""

    def status(self) -> JobStatus:
        """Returns how the job stands."""


class WorkerSupervisor:
    """Starts and watches the processes of one worker, of which there is one at a time.

    Args:
        job: the job that the worker takes part in.
        worker_id: the worker's number.
        records: where the processes are noted.
        log_path: where their output goes.
        make_command: makes their command lines.
        policy: when the next one starts.
        clock: monotonic time in seconds.
        environment: variables that the processes have and this one has not.
    """

    def __init__(
        self,
        job: SupervisedJob,
        worker_id: int,
        records: WorkerRecords,
        log_path: Path,
        make_command: MakeCommand,
        policy: RestartPolicy,
        clock: Callable[[], float],
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._job = job
        self._worker_id = worker_id
        self._records = records
        self._log_path = log_path
        self._make_command = make_command
        self._policy = policy
        self._clock = clock
        self._environment = environment
        self._process: WorkerProcess | None = None
        self._due_s = float("-inf")
        self._let_go_of = False
        self._killed_because = ""
        self._leave_by_s: float | None = None

    @property
    def worker_id(self) -> int:
        """The worker's number."""
        return self._worker_id

    @property
    def process(self) -> WorkerProcess | None:
        """The process, or None while there is none."""
        return self._process

    @property
    def retiring(self) -> bool:
        """Whether the worker is no longer wanted."""
        return self._leave_by_s is not None

    def begin(self, anew: bool) -> None:
        """Takes over the process that an earlier master left, if there is one.

        Args:
            anew: whether it belongs to an earlier job, and is to be ended.

        Raises:
            JobDirectoryError: it cannot be told whether there is a process.
            JobFailedError: the process of an earlier job cannot be ended.
        """
        self._job.supervise(self._worker_id)
        left = find_left_process(self._records, self._worker_id, self._log_path)
        if left is not None and anew:
            _logger.warning("a worker of an earlier job still runs (pid %d); it is ended", left.pid)
            if not left.end():
                raise JobFailedError(f"worker process {left.pid} of an earlier job cannot be ended")
        elif left is not None:
            _logger.info("worker %d (pid %d) is taken over", self._worker_id, left.pid)
            self._process = left
            self._policy.started(self._clock())
            return
        if self._job.registered_incarnation(self._worker_id) is not None:
            self._replace("it ended while there was no master", 0.0)

    def watch(self) -> None:
        """Does what is due; to be called a few times a second while the job runs."""
        if self._process is None:
            if self._clock() >= self._due_s and not self.retiring:
                self._start_if_needed()
            return
        if not self._process.running:
            self._ended(self._process)
            return
        if self._leave_by_s is not None and self._clock() >= self._leave_by_s:
            self.kill(f"it did not leave within {_LEAVE_GRACE_S:.0f} s")

    def kill(self, reason: str) -> None:
        """Kills a process that has hung; it is lost, and replaced.

        Args:
            reason: how that is known, as "it was silent for 60 s".
        """
        if self._process is not None and not self._killed_because:
            self._killed_because = reason
            self._process.kill()

    def retire(self) -> None:
        """Asks the process to leave the job, with what it has finished; there will be no other."""
        self._leave_by_s = self._clock() + _LEAVE_GRACE_S
        if self._process is not None:
            _logger.info("worker %d is no longer wanted; it is asked to leave", self._worker_id)
            self._process.terminate()

    def find_process(self) -> WorkerProcess | None:
        """Returns the process, also where Ctrl-C came between its start and the note of it.

        Raises:
            JobDirectoryError: it cannot be told whether there is a process.
        """
        return self._process or find_left_process(self._records, self._worker_id, self._log_path)

    def forget(self) -> None:
        """Notes that the process has been ended, and that there will be no other.

        Where the job is not over, because its user ends the command, it goes on later without it.
        """
        self._records.remove(self._worker_id)
        if self._job.state is JobState.RUNNING:
            self._lose("it was ended with the command")

    def _start_if_needed(self) -> None:
        if self._let_go_of and self._job.status().workers:
            # It had nothing left to do, and the others are at the end of their work.
            self._due_s = self._clock() + _TRY_AGAIN_S
            return
        self._start()

    def _start(self) -> None:
        try:
            self._process = start_process(
                self._records,
                self._worker_id,
                self._make_command,
                self._log_path,
                self._environment,
            )
        except JobDirectoryError as error:
            # Such as a full disk, which somebody may make room on.
            self._due_s = self._clock() + _TRY_AGAIN_S
            _logger.warning(
                "worker %d cannot be started, next try in %.0f s: %s",
                self._worker_id,
                _TRY_AGAIN_S,
                error,
            )
            return
        self._killed_because = ""
        self._let_go_of = False
        self._policy.started(self._clock())
        _logger.info("worker %d started (pid %d)", self._worker_id, self._process.pid)

    def _ended(self, process: WorkerProcess) -> None:
        # A worker that says goodbye does so before it exits: look again for what it said.
        if self._job.state is not JobState.RUNNING:
            return
        if self.retiring:
            self._retired()
            return
        if self._has_left(process):
            self._let_go()
            return
        kind = EndKind.LOSS if self._killed_because else end_kind(process.exit_code)
        pause_s = self._policy.ended(self._clock(), kind)
        if self._killed_because:
            description = f"{self._killed_because}, and was killed"
        else:
            description = f"it {describe_end(process.exit_code)}"
        self._records.remove(self._worker_id)
        self._process = None
        if pause_s is None:
            self._lose(description)
            self._job.fail(
                f"{self._times_crashed()}: worker {self._worker_id} "
                f"{describe_end(process.exit_code)}; the end of {self._log_path}:"
                f"{process.last_lines()}"
            )
            return
        if kind is EndKind.CRASH:
            description += f" ({self._times_crashed()})"
        self._replace(description, pause_s)

    def _has_left(self, process: WorkerProcess) -> bool:
        """Whether the master has let it go; then the job is over, or will be in a moment."""
        registered = self._job.registered_incarnation(self._worker_id) is not None
        return process.exit_code == 0 and not registered

    def _let_go(self) -> None:
        _logger.info("worker %d has left the job", self._worker_id)
        self._records.remove(self._worker_id)
        self._process = None
        self._let_go_of = True
        self._due_s = self._clock() + _TRY_AGAIN_S

    def _retired(self) -> None:
        if self._killed_because:
            _logger.warning("worker %d: %s, and was killed", self._worker_id, self._killed_because)
        else:
            _logger.info("worker %d has left", self._worker_id)
        self._records.remove(self._worker_id)
        self._process = None
        self._lose("it was no longer wanted")

    def _replace(self, description: str, pause_s: float) -> None:
        self._lose(description)
        if self._job.state is not JobState.RUNNING:
            return
        self._due_s = self._clock() + pause_s
        status = self._job.status()
        num_others = len(status.workers)
        if num_others:
            others = f"{num_others} other{'s' if num_others > 1 else ''}"
            how = f"the job goes on with {others}, and"
        elif status.kind != JobKind.TRAINING:
            how = f"the job goes on at record {status.records:,} of {status.total_records:,}"
        else:
            how = f"the job goes on from step {status.step:,} (epoch {status.epoch + 1})"
        _logger.warning(
            "worker %d is lost: %s; %s with a new process %s; log: %s",
            self._worker_id,
            description,
            how,
            f"in {pause_s:.0f} s" if pause_s else "now",
            self._log_path,
        )

    def _lose(self, description: str) -> None:
        # A process may end before it takes part.
        if self._job.registered_incarnation(self._worker_id) is not None:
            self._job.lose(self._worker_id, description)

    def _times_crashed(self) -> str:
        return f"crash {self._policy.crashes}, --max_worker_restarts {self._policy.max_crashes}"


def end_all(supervisors: Sequence[WorkerSupervisor]) -> None:
    """Ends the processes of workers, side by side; there will be no others."""
    found: list[tuple[WorkerSupervisor, WorkerProcess | None]] = []
    for supervisor in supervisors:
        try:
            found.append((supervisor, supervisor.find_process()))
        except JobDirectoryError as error:
            _logger.warning("worker %d cannot be ended: %s", supervisor.worker_id, error)
    left = end_processes([process for _, process in found if process is not None])
    for supervisor, process in found:
        if process is not None and process in left:
            _logger.warning("worker process %d cannot be ended", process.pid)
        else:
            supervisor.forget()
