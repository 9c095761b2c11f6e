"""`elasticdl train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.connection import master_timeout_option
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.options import (
    job_directory_path,
    job_options,
    make_job_config,
)
from elasticdl_like.errors import ConfigError, JobFailedError

if TYPE_CHECKING:
    from elasticdl_like.config import JobConfig
    from elasticdl_like.master.job import Job


@click.command()
@option(
    "--max_worker_restarts",
    type=click.IntRange(min=0),
    default=3,
    help="How often a worker may crash before the job fails. One that is killed from outside is "
    "always replaced, and not counted.",
)
@master_timeout_option
@job_options()
def train(max_worker_restarts: int, master_timeout: float, **flags: Any) -> None:
    """Trains a model on this machine.

    A job that was cut off, interrupted or failed goes on where it was when the same command is
    given again. With --num_workers several workers train one model; `elasticdl scale` changes
    their number while the job runs.

    The model definition file has a function that makes a Keras model, `loss`, `optimizer`, and
    `feed_batch` or `feed`. The data is RecordIO files, unless the model definition file has a
    CustomDataReader.
    """
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.output import configure_logging, job_reporter, ledger_table
    from elasticdl_like.master.main import MasterConfig
    from elasticdl_like.platforms.local import run_local_job

    config = make_job_config(flags)
    if config.model is None:
        raise ConfigError("--model_zoo and --model_def are missing; they name the model to train")
    console = configure_logging(flags["log_level"], flags["log_format"])
    directory = job_directory_path(flags, config.name)
    with job_reporter(console, flags["log_format"]) as report:
        job = run_local_job(
            config,
            MasterConfig(
                job_directory=directory,
                overwrite=flags["overwrite"],
                journal_sync=flags["journal_sync"],
                allow_changed_data=flags["allow_changed_data"],
            ),
            [
                *("--master_timeout", str(master_timeout)),
                *("--log_format", flags["log_format"]),
            ],
            max_worker_restarts,
            report,
        )
    status = job.status()
    if status.state == "failed":
        raise JobFailedError(f"job {config.name} failed: {status.reason}")
    if flags["log_format"] == "text":
        _print_summary(config, job, directory)
        click.echo(ledger_table(job.ledger()))


def _print_summary(config: JobConfig, job: Job, directory: Path) -> None:
    status = job.status()
    early = f", ended early: {status.reason}" if status.reason else ""
    click.echo(
        f"job {status.job} finished: {status.step:,} steps, {status.records:,} records{early}"
    )
    for evaluation in status.evaluations[-1:]:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items())
        click.echo(f"validation at step {evaluation.key.step:,}: {metrics}")
    if config.output:
        click.echo(f"model: {config.output} (model.keras, saved_model)")
    click.echo(f"logs and ledger: {directory}\n")
