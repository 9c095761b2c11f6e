"""Runs a whole job on this machine: the master in this process, the worker in one of its own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.job import Job
from elasticdl_like.master.main import Master, MasterConfig, run_master
from elasticdl_like.master.progress import JobStatus

_logger = logging.getLogger(__name__)

_TICK_S = 0.1
_EXIT_GRACE_S = 10.0
_TERMINATE_GRACE_S = 2.0
_LAST_LINES = 20


def run_local_job(
    config: JobConfig,
    master_config: MasterConfig,
    num_workers: int,
    worker_arguments: list[str],
    on_progress: Callable[[JobStatus], None],
) -> Job:
    """Runs a job to its end.

    Args:
        config: the job.
        master_config: how the master runs.
        num_workers: 1; more are refused for now.
        worker_arguments: further arguments of `elasticdl worker`.
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
        log_path = master.directory.logs / "worker-0.log"
        master.job.supervise(0)
        with _worker_process(master.address, 0, worker_arguments, log_path) as process:
            while master.job.state is JobState.RUNNING:
                _watch(process, master, log_path)
                master.tick()
                on_progress(master.job.status())
                time.sleep(_TICK_S)
            if master.job.state is JobState.FINISHED:
                _wait_for_exit(process)
        on_progress(master.job.status())
        return master.job


def _watch(process: subprocess.Popen[bytes], master: Master, log_path: Path) -> None:
    exit_code = process.poll()
    # A worker that says goodbye does so before it exits: look again for what it said.
    if exit_code is None or master.job.state is not JobState.RUNNING:
        return
    master.job.lose(0, _describe_end(exit_code, log_path))


def _describe_end(exit_code: int, log_path: Path) -> str:
    if exit_code < 0:
        ended = f"was killed by {signal.Signals(-exit_code).name}"
    else:
        ended = f"ended with exit code {exit_code}"
    lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    shown = "".join(f"\n    {line}" for line in lines)
    return f"worker 0 {ended}; the end of {log_path}:{shown or ' (empty)'}"


def _wait_for_exit(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_EXIT_GRACE_S)
    except subprocess.TimeoutExpired:
        _logger.warning("the worker has left the job but does not exit; it is ended")


@contextmanager
def _worker_process(
    address: str, worker_id: int, arguments: list[str], log_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "elasticdl_like", "worker"),
                *("--master_addr", address, "--worker_id", str(worker_id)),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the command, which then ends its workers in its own order.
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(_TERMINATE_GRACE_S)
    except subprocess.TimeoutExpired:
        _logger.warning("the worker does not end by itself; it is killed")
    finally:
        # Also when a second Ctrl-C cuts the wait short.
        process.kill()
        process.wait()
