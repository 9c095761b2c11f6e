"""A job that runs on this machine, as the commands that train, evaluate and predict start it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.connection import master_timeout_option
from elasticdl_like.cli.flag import option, together
from elasticdl_like.cli.options import job_directory_path
from elasticdl_like.cli.resume_command import resume_command
from elasticdl_like.cli.window_flags import window_config, window_options
from elasticdl_like.errors import JobFailedError

if TYPE_CHECKING:
    from elasticdl_like.config import JobConfig
    from elasticdl_like.master.job import Job

local_job_options = together(
    option(
        "--max_worker_restarts",
        type=click.IntRange(min=0),
        default=3,
        help="How often a worker may crash before the job fails. One that is killed from outside "
        "is always replaced, and not counted.",
    ),
    master_timeout_option,
    window_options,
)


def run_job(config: JobConfig, flags: Mapping[str, Any]) -> Job:
    """Runs a job to its end and shows how it goes.

    Args:
        config: the job.
        flags: those of `local_job_options`, `safety_options`, `place_options` and `log_options`.

    Returns:
        The job, which has finished.

    Raises:
        JobFailedError: it has failed.
        ElasticdlError: it could not be started.
    """
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.output import configure_logging, job_reporter
    from elasticdl_like.master.main import MasterConfig
    from elasticdl_like.platforms.local import run_local_job

    window = window_config(flags)
    console = configure_logging(flags["log_level"], flags["log_format"])
    with job_reporter(console, flags["log_format"]) as report:
        job = run_local_job(
            config,
            MasterConfig(
                job_directory=job_directory_path(flags, config.name),
                overwrite=flags["overwrite"],
                journal_sync=flags["journal_sync"],
                allow_changed_data=flags["allow_changed_data"],
                resume_command=resume_command(),
            ),
            [
                *("--master_timeout", str(flags["master_timeout"])),
                *("--log_format", flags["log_format"]),
            ],
            flags["max_worker_restarts"],
            report,
            window,
        )
    status = job.status()
    if status.state == "failed":
        raise JobFailedError(f"job {config.name} failed: {status.reason}")
    return job
