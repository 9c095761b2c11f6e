"""`elasticdl master` and `elasticdl worker`: the two kinds of process of a job, by hand."""

from __future__ import annotations

from typing import Any

import click

from elasticdl_like.cli.options import (
    job_directory_path,
    job_options,
    log_options,
    make_job_config,
    option,
)
from elasticdl_like.errors import JobFailedError


@click.command()
@option("--master_host", default="127.0.0.1", help="Name or address to listen on.")
@option(
    "--master_port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on; 0 for a free one. It is printed, and kept in JOB_DIR/endpoint.",
)
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
@job_options
def master(
    master_host: str, master_port: int, worker_timeout: float, data_only: bool, **flags: Any
) -> None:
    """Runs the master of a job.

    Workers are started elsewhere: one `elasticdl worker`, which trains the model, or, with
    --data_only or without --model_def, any number of workers of your own, as docs/data_flow.md
    shows.
    """
    from elasticdl_like.cli.output import configure_logging
    from elasticdl_like.master.main import MasterConfig, run_stand_alone

    config = make_job_config(flags, data_only)
    configure_logging(flags["log_level"], flags["log_format"])
    job = run_stand_alone(
        config,
        MasterConfig(
            job_directory_path(flags, config.name),
            flags["overwrite"],
            master_host,
            master_port,
            worker_timeout,
        ),
    )
    status = job.status()
    if status.state == "failed":
        raise JobFailedError(f"job {config.name} failed: {status.reason}")


@click.command()
@option("--master_addr", required=True, help="The master, as HOST:PORT.")
@option(
    "--worker_id",
    type=click.IntRange(min=0),
    help="Number of this worker; by default the master gives it one.",
)
@option(
    "--master_timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    help="Seconds that the worker waits for a silent master.",
)
@log_options
def worker(
    master_addr: str,
    worker_id: int | None,
    master_timeout: float,
    log_level: str,
    log_format: str,
) -> None:
    """Runs one worker of a job; the job's flags come from the master."""
    from elasticdl_like.cli.output import configure_worker_logging
    from elasticdl_like.worker.main import WorkerConfig, run_worker

    configure_worker_logging(log_level, log_format)
    run_worker(WorkerConfig(master_addr, worker_id, master_timeout))
