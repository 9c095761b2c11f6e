"""Keeps one worker of a job alive, one process after the other, until it is no longer wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from elasticdl_like.config import JobKind
from elasticdl_like.errors import JobDirectoryError, JobFailedError
from elasticdl_like.job_directory import JobState
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.succession import TRY_AGAIN_S, Loss, Succession, SupervisedJob
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

_LEAVE_GRACE_S = 60.0


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
        self._succession = Succession(job, worker_id, policy, clock)
        self._clock = clock
        self._environment = environment
        self._process: WorkerProcess | None = None
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
            self._succession.started()
            return
        if self._succession.takes_part:
            loss = Loss("it ended while there was no master")
            self._succession.lose(loss.description)
            self._say_lost(loss)

    def watch(self) -> None:
        """Does what is due; to be called a few times a second while the job runs."""
        if self._process is None:
            if not self.retiring and self._succession.next_is_needed():
                self._start()
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
            self._succession.lose("it was ended with the command")

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
            self._succession.put_off(TRY_AGAIN_S)
            _logger.warning(
                "worker %d cannot be started, next try in %.0f s: %s",
                self._worker_id,
                TRY_AGAIN_S,
                error,
            )
            return
        self._killed_because = ""
        self._succession.started()
        _logger.info("worker %d started (pid %d)", self._worker_id, self._process.pid)

    def _ended(self, process: WorkerProcess) -> None:
        # A worker that says goodbye does so before it exits: look again for what it said.
        if self._job.state is not JobState.RUNNING:
            return
        if self.retiring:
            self._retired()
            return
        self._records.remove(self._worker_id)
        self._process = None
        if process.exit_code == 0 and not self._succession.takes_part:
            self._succession.let_go()
            return
        if self._killed_because:
            loss = self._succession.ended(EndKind.LOSS, f"{self._killed_because}, and was killed")
        else:
            kind = end_kind(process.exit_code)
            loss = self._succession.ended(kind, f"it {describe_end(process.exit_code)}")
        if loss is not None:
            self._say_lost(loss)
            return
        self._job.fail(
            f"{self._succession.times_crashed}: worker {self._worker_id} "
            f"{describe_end(process.exit_code)}; the end of {self._log_path}:"
            f"{process.last_lines()}"
        )

    def _retired(self) -> None:
        if self._killed_because:
            _logger.warning("worker %d: %s, and was killed", self._worker_id, self._killed_because)
        else:
            _logger.info("worker %d has left", self._worker_id)
        self._records.remove(self._worker_id)
        self._process = None
        self._succession.lose("it was no longer wanted")

    def _say_lost(self, loss: Loss) -> None:
        if self._job.state is not JobState.RUNNING:
            return
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
            loss.description,
            how,
            loss.successor_starts,
            self._log_path,
        )


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
