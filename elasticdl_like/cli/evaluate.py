"""`elasticdl evaluate`."""

from __future__ import annotations

import json
from typing import Any

import click

from elasticdl_like.cli.flag import option
from elasticdl_like.cli.flag_groups import loss_option, metrics_option
from elasticdl_like.cli.inference_options import inference_options
from elasticdl_like.config import JobKind


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
    """Evaluates a trained model, on this machine unless --platform kubernetes says otherwise.

    Loss and metrics are those of all records together, however many workers share them: each is
    exact, and each record counts once, whatever dies. A job that was cut off goes on where it was
    when the same command is given again.

    The model definition file has `loss`, `eval_metrics_fn`, and `feed_batch` or `feed`, as for
    `elasticdl train`.
    """
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.inference_job import run_inference
    from elasticdl_like.cli.output import format_table, ledger_table

    ended = run_inference(flags, JobKind.EVALUATION)
    if ended is None:
        return
    outcome = ended.outcome
    if as_json or flags["log_format"] == "json":
        click.echo(json.dumps(outcome))
        return
    click.echo(f"job {outcome['job']} finished: {outcome['records']:,} records evaluated\n")
    rows = [[name, f"{value:.7g}"] for name, value in outcome["metrics"].items()]
    click.echo(format_table(["metric", "value"], rows))
    click.echo(f"\n{ended.further}\n")
    click.echo(ledger_table(ended.ledger))
