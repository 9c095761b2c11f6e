"""`elasticdl master` and `elasticdl worker`: the two kinds of process of a job, by hand."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from elasticdl_like.cli.connection import (
    given_token,
    master_timeout_option,
    tls_config,
    tls_options,
    token_file_option,
)
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.flag_groups import log_options
from elasticdl_like.cli.options import job_directory_path, job_options, make_job_config
from elasticdl_like.cli.resume_command import resume_command
from elasticdl_like.cli.window_flags import window_address_options, window_config
from elasticdl_like.errors import JobFailedError
from elasticdl_like.job_directory import JobState

if TYPE_CHECKING:
    from elasticdl_like.config import JobConfig

_logger = logging.getLogger(__name__)

_GOODBYE_S = 2.5
_TICK_S = 0.1


@click.command()
@option("--master_host", default="127.0.0.1", help="Name or address to listen on.")
@option(
    "--master_port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on; 0 for a free one. It is printed, and kept in JOB_DIR/endpoint.",
)
@tls_options
@option(
    "--insecure",
    is_flag=True,
    help="Listen on other addresses than those of this machine without TLS.",
)
@window_address_options
@option(
    "--worker_timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="Seconds after which a silent worker is lost.",
)
@option(
    "--data_only",
    is_flag=True,
    help="Hand out the data to workers of your own, and train nothing.",
)
@option(
    "--resume",
    is_flag=True,
    help="Go on with the job that is in --job_dir; its other flags are kept there.",
)
@job_options(can_resume=True)
def master(
    master_host: str,
    master_port: int,
    insecure: bool,
    worker_timeout: float,
    data_only: bool,
    resume: bool,
    **flags: Any,
) -> None:
    """Runs the master of a job.

    Workers are started elsewhere: as many `elasticdl worker` as --num_workers says, which train
    the model, or, with --data_only or without --model_def, any number of workers of your own, as
    docs/data_flow.md shows. They need the job's token, which is in JOB_DIR/token.
    """
    from elasticdl_like.cli.output import configure_logging
    from elasticdl_like.master.main import MasterConfig, run_master
    from elasticdl_like.window.server import serve_window

    tls = tls_config(flags)
    window = window_config(flags | {"insecure": insecure})
    config = _config_of_master(flags, data_only, resume)
    configure_logging(flags["log_level"], flags["log_format"])
    directory = job_directory_path(flags, config.name if config else flags["job_name"])
    master_config = MasterConfig(
        job_directory=directory,
        overwrite=flags["overwrite"],
        resume=resume,
        host=master_host,
        port=master_port,
        insecure=insecure,
        tls=tls,
        worker_timeout_s=worker_timeout,
        journal_sync=flags["journal_sync"],
        allow_changed_data=flags["allow_changed_data"],
        resume_command=resume_command(),
    )
    with run_master(config, master_config) as running, serve_window(running, window):
        _logger.info("workers need the job's token, which is in %s", directory / "token")
        while running.job.state is JobState.RUNNING:
            running.tick()
            time.sleep(_TICK_S)
        # A worker whose last call got no answer asks again, and one that does not know of the end
        # yet sends a heartbeat: without an answer they would wait for another master.
        running.save()
        time.sleep(_GOODBYE_S)
        status = running.job.status()
    if status.state == "failed":
        raise JobFailedError(f"job {status.job} failed: {status.reason}")


def _config_of_master(flags: Mapping[str, Any], data_only: bool, resume: bool) -> JobConfig | None:
    """Returns the configuration of the flags, or None if the job directory has it."""
    if resume and flags["overwrite"]:
        raise click.UsageError("--resume goes on with the job that --overwrite would remove")
    if resume and not flags["job_dir"] and not flags["job_name"]:
        raise click.UsageError("--resume needs --job_dir, the directory of the job to go on with")
    if flags["training_data"]:
        return make_job_config(flags, data_only)
    if not resume:
        raise click.UsageError("Missing option '--training_data'; only --resume does without it")
    return None


@click.command()
@option(
    "--job_dir",
    default="",
    help="The job directory, where the worker finds the master's address and the token.",
)
@option("--master_addr", default="", help="The master, as HOST:PORT, instead of --job_dir.")
@token_file_option
@tls_options
@option(
    "--tls_workers_name",
    default="",
    help="The name in the certificates of all workers, which send each other the model; by "
    "default the address of each.",
)
@option(
    "--worker_id",
    type=click.IntRange(min=0),
    help="Number of this worker; by default the master gives it one.",
)
@click.option("--incarnation", hidden=True)
@master_timeout_option
@log_options
def worker(
    job_dir: str,
    master_addr: str,
    token_file: str,
    tls_workers_name: str,
    worker_id: int | None,
    incarnation: str | None,
    master_timeout: float,
    log_level: str,
    log_format: str,
    **tls_flags: Any,
) -> None:
    """Runs one worker of a job; the job's flags come from the master.

    On the master's machine --job_dir is all that it needs; elsewhere it needs --master_addr and
    the job's token.
    """
    from elasticdl_like.worker.leave_request import LeaveRequest
    from elasticdl_like.worker.logs import configure_worker_logging
    from elasticdl_like.worker.main import WorkerConfig, run_worker
    from elasticdl_like.worker.master_locator import MasterLocator
    from elasticdl_like.worker.memory import keep_freed_memory

    if bool(job_dir) is bool(master_addr):
        raise click.UsageError("give either --job_dir or --master_addr, to say where the master is")
    tls = replace(tls_config(tls_flags), workers_name=tls_workers_name)
    if job_dir:
        locator = MasterLocator.of_job(Path(job_dir).absolute(), tls)
    else:
        locator = MasterLocator.at(master_addr, given_token(token_file), tls)
    configure_worker_logging(log_level, log_format)
    leave_request = LeaveRequest()

    def leave_or_exit(signal_number: int, frame: FrameType | None) -> None:
        # One that trains alone has nobody to leave its work to.
        if not leave_request.ask():
            _exit_at_once(signal_number, frame)

    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit_at_once)
    signal.signal(signal.SIGTERM, leave_or_exit)
    keep_freed_memory()
    _logger.info("worker process %d starts", os.getpid())
    run_worker(
        WorkerConfig(locator, worker_id, incarnation, master_timeout, log_format, leave_request)
    )
    if leave_request.asked:
        sys.exit(128 + signal.SIGTERM)


def _exit_at_once(signal_number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception: inside TensorFlow it would become an error of the model, and fail the
    # job. The exit code says what it was, as shells put it.
    os.write(2, b"elasticdl: interrupted\n")
    os._exit(128 + signal_number)
