"""`elasticdl evaluate`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.flag import option
from elasticdl_like.cli.flag_groups import loss_option, metrics_option
from elasticdl_like.cli.inference_options import inference_options, make_inference_config
from elasticdl_like.cli.local_job import run_job
from elasticdl_like.cli.options import job_directory_path
from elasticdl_like.config import JobKind

if TYPE_CHECKING:
    from elasticdl_like.master.job import Job


@click.command()
@inference_options(
    option(
        "--validation_data",
        required=True,
        help="The data to evaluate on: a file, a directory, or what the data reader takes.",
    ),
    loss_option,
    metrics_option,
    option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)
def evaluate(as_json: bool, **flags: Any) -> None:
    """Evaluates a trained model on this machine.

    Loss and metrics are those of all records together, however many workers share them: each is
    exact, and each record counts once, whatever dies. A job that was cut off goes on where it was
    when the same command is given again.

    The model definition file has `loss`, `eval_metrics_fn`, and `feed_batch` or `feed`, as for
    `elasticdl train`.
    """
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.output import format_table, ledger_table

    config = make_inference_config(flags, JobKind.EVALUATION)
    job = run_job(config, flags)
    result = evaluation_result(job)
    if as_json or flags["log_format"] == "json":
        click.echo(json.dumps(result))
        return
    click.echo(f"job {config.name} finished: {result['records']:,} records evaluated\n")
    rows = [[name, f"{value:.7g}"] for name, value in result["metrics"].items()]
    click.echo(format_table(["metric", "value"], rows))
    click.echo(f"\nlogs and ledger: {job_directory_path(flags, config.name)}\n")
    click.echo(ledger_table(job.view.ledger()))


def evaluation_result(job: Job) -> Mapping[str, Any]:
    """Returns what a finished evaluation has found, as the JSON that is printed."""
    (entry,) = job.view.ledger()["epochs"]
    evaluation = job.status().evaluations[-1]
    return {
        "job": job.config.name,
        "records": entry["committed"],
        "quarantined": entry["quarantined"],
        "metrics": dict(evaluation.metrics),
    }
