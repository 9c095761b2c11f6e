"""Runs a whole job on this machine: the master in this process, the worker in one of its own."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.job import Job
from elasticdl_like.master.main import Master, MasterConfig, run_master
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.worker_record import WorkerRecords
from elasticdl_like.platforms.worker_supervisor import WorkerSupervisor

_logger = logging.getLogger(__name__)

_TICK_S = 0.1
_EXIT_GRACE_S = 10.0


def run_local_job(
    config: JobConfig,
    master_config: MasterConfig,
    num_workers: int,
    worker_arguments: Sequence[str],
    max_worker_restarts: int,
    on_progress: Callable[[JobStatus], None],
) -> Job:
    """Runs a job to its end; one that was cut off, interrupted or failed goes on.

    Args:
        config: the job.
        master_config: how the master runs.
        num_workers: 1; more are refused for now.
        worker_arguments: further arguments of `elasticdl worker`.
        max_worker_restarts: how often a worker may crash before the job fails. A worker that is
            killed from outside is replaced for ever.
        on_progress: called a few times a second, and once at the end.

    Returns:
        The job, which has finished or failed.

    Raises:
        ConfigError: the job cannot be run in this way.
        ElasticdlError: the job could not be started.
    """
    if num_workers != 1:
        raise ConfigError(
            f"--num_workers {num_workers}: training one model on several workers is not part of "
            "this release; use --num_workers 1"
        )
    with run_master(config, master_config) as master:
        job = master.job
        with _supervised(master, worker_arguments, max_worker_restarts) as supervisor:
            supervisor.begin(master_config.overwrite)
            if master.goes_on:
                _say_where_it_goes_on(job.status())
            while job.state is JobState.RUNNING:
                for _, reason in job.hung_workers():
                    supervisor.kill(reason)
                supervisor.watch()
                master.tick()
                on_progress(job.status())
                time.sleep(_TICK_S)
            if job.state is JobState.FINISHED:
                supervisor.wait(_EXIT_GRACE_S)
        on_progress(job.status())
        return job


@contextmanager
def _supervised(
    master: Master, worker_arguments: Sequence[str], max_worker_restarts: int
) -> Iterator[WorkerSupervisor]:
    """Yields the supervisor of worker 0, whose process ends with the context."""

    def make_command(worker_id: int, incarnation: str) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "elasticdl_like", "worker"),
            *("--job_dir", str(master.directory.path), "--worker_id", str(worker_id)),
            *("--incarnation", incarnation, *worker_arguments),
        ]

    supervisor = WorkerSupervisor(
        master.job,
        0,
        WorkerRecords(master.directory.workers),
        master.directory.logs / "worker-0.log",
        make_command,
        RestartPolicy(max_worker_restarts),
        time.monotonic,
    )
    try:
        yield supervisor
    finally:
        supervisor.end()


def _say_where_it_goes_on(status: JobStatus) -> None:
    _logger.info(
        "job %s goes on at epoch %d, step %s", status.job, status.epoch + 1, f"{status.step:,}"
    )
