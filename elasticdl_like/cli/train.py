"""`elasticdl train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.kubernetes_flags import platform_options, refuse_kubernetes_flags
from elasticdl_like.cli.local_job import local_job_options, run_job
from elasticdl_like.cli.options import job_directory_path, job_options, make_job_config
from elasticdl_like.config import JobKind
from elasticdl_like.errors import ConfigError

if TYPE_CHECKING:
    from elasticdl_like.config import JobConfig
    from elasticdl_like.master.job import Job


@click.command()
@local_job_options
@job_options()
@platform_options
def train(**flags: Any) -> None:
    """Trains a model, on this machine unless --platform kubernetes says otherwise.

    A job that was cut off, interrupted or failed goes on where it was when the same command is
    given again. With --num_workers several workers train one model; `elasticdl scale` changes
    their number while the job runs.

    The model definition file has a function that makes a Keras model, `loss`, `optimizer`, and
    `feed_batch` or `feed`. The data is RecordIO files, unless the model definition file has a
    CustomDataReader.
    """
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.output import ledger_table

    if flags["platform"] == "kubernetes":
        from elasticdl_like.cli.kubernetes_job import run_pod_job

        ended = run_pod_job(flags, JobKind.TRAINING, _config)
        if ended is not None and flags["log_format"] == "text":
            from elasticdl_like.cli.submitted_job import print_trained

            print_trained(ended)
        return
    refuse_kubernetes_flags()
    config = _config(flags)
    job = run_job(config, flags)
    if flags["log_format"] == "text":
        _print_summary(config, job, job_directory_path(flags, config.name))
        click.echo(ledger_table(job.view.ledger()))


def _config(flags: Mapping[str, Any]) -> JobConfig:
    config = make_job_config(flags)
    if config.model is None:
        raise ConfigError("--model_zoo and --model_def are missing; they name the model to train")
    return config


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
