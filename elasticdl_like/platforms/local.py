"""Runs a whole job on this machine: the master in this process, workers in processes of theirs."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from elasticdl_like.config import DistributionStrategy, JobConfig
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.job import Job
from elasticdl_like.master.main import Master, MasterConfig, run_master
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.devices import (
    VISIBLE_DEVICES,
    count_devices,
    usable_devices,
    worker_environment,
)
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.worker_fleet import WorkerFleet
from elasticdl_like.platforms.worker_record import WorkerRecords
from elasticdl_like.platforms.worker_supervisor import WorkerSupervisor
from elasticdl_like.window.server import WindowConfig, serve_window

_logger = logging.getLogger(__name__)

_TICK_S = 0.1
# The others, who have started the next round by then, need the processors more.
_LEAST_PAUSE_IN_ROUNDS_S = 0.7
_EXIT_GRACE_S = 10.0


def run_local_job(
    config: JobConfig,
    master_config: MasterConfig,
    worker_arguments: Sequence[str],
    max_worker_restarts: int,
    on_progress: Callable[[JobStatus], None],
    window: WindowConfig | None = None,
) -> Job:
    """Runs a job to its end; one that was cut off, interrupted or failed goes on.

    Args:
        config: the job; it says how many workers there are at first.
        master_config: how the master runs.
        worker_arguments: further arguments of `elasticdl worker`.
        max_worker_restarts: how often a worker may crash before the job fails. A worker that is
            killed from outside is replaced for ever.
        on_progress: called a few times a second, and once at the end.
        window: where the status page is, or None for none.

    Returns:
        The job, which has finished or failed.

    Raises:
        ConfigError: the job cannot be run in this way.
        ElasticdlError: the job could not be started.
    """
    with run_master(config, master_config) as master, serve_window(master, window):
        job = master.job
        with _fleet(master, worker_arguments, max_worker_restarts) as fleet:
            left = WorkerRecords(master.directory.workers).worker_ids()
            fleet.begin(left, master_config.overwrite)
            if master.goes_on:
                _say_where_it_goes_on(job.status())
            while job.state is JobState.RUNNING:
                fleet.watch()
                master.tick()
                on_progress(job.status())
                time.sleep(_TICK_S)
            if job.state is JobState.FINISHED:
                fleet.wait(_EXIT_GRACE_S)
        on_progress(job.status())
        return job


@contextmanager
def _fleet(
    master: Master, worker_arguments: Sequence[str], max_worker_restarts: int
) -> Iterator[WorkerFleet]:
    """Yields the workers of a job, whose processes end with the context."""
    config = master.job.config
    devices = _devices(config)
    in_rounds = config.distribution_strategy is DistributionStrategy.ALL_REDUCE
    least_pause_s = _LEAST_PAUSE_IN_ROUNDS_S if in_rounds else 0.0

    def make_command(worker_id: int, incarnation: str) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "elasticdl_like", "worker"),
            *("--job_dir", str(master.directory.path), "--worker_id", str(worker_id)),
            *("--incarnation", incarnation, *worker_arguments),
        ]

    def make_supervisor(worker_id: int) -> WorkerSupervisor:
        return WorkerSupervisor(
            master.job,
            worker_id,
            WorkerRecords(master.directory.workers),
            master.directory.logs / f"worker-{worker_id}.log",
            make_command,
            RestartPolicy(max_worker_restarts, least_pause_s),
            time.monotonic,
            worker_environment(worker_id, devices),
        )

    fleet = WorkerFleet(master.job, make_supervisor)
    try:
        yield fleet
    finally:
        fleet.end()


def _devices(config: JobConfig) -> list[str]:
    """Returns the GPUs to share out: one worker that works alone may use all of them."""
    local = config.distribution_strategy is DistributionStrategy.LOCAL
    if local and config.workers.num_workers == 1:
        return []
    visible = os.environ.get(VISIBLE_DEVICES)
    return usable_devices(visible, count_devices() if visible is None else 0)


def _say_where_it_goes_on(status: JobStatus) -> None:
    _logger.info(
        "job %s goes on at epoch %d, step %s", status.job, status.epoch + 1, f"{status.step:,}"
    )
