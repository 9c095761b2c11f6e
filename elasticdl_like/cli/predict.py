"""`elasticdl predict`."""

from __future__ import annotations

import json
from typing import Any

import click

from elasticdl_like.cli.compatibility.inference_flags import NOT_FOR_PREDICTION
from elasticdl_like.cli.elasticdl_flags import elasticdl_flags
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.inference_options import FORMATS, inference_options
from elasticdl_like.config import JobKind


@click.command()
@inference_options(
    option(
        "--prediction_data",
        required=True,
        help="The data to predict for: a file, a directory, or what the data reader takes.",
    ),
    option(
        "--prediction_output",
        default="",
        help="Folder, or its URL, for files of predictions. Without it the "
        "PredictionOutputsProcessor of the model definition file takes them.",
    ),
    option(
        "--prediction_format",
        type=click.Choice(FORMATS),
        default=None,
        help=f"Format of the files; {FORMATS[0]} by default.",
    ),
    option(
        "--keep_columns",
        default="",
        help="Columns of the data that are passed through to the files: a,b.",
    ),
    option(
        "--prediction_outputs_processor",
        default="PredictionOutputsProcessor",
        help="Name of the class in the model definition file that takes the predictions; '' for "
        "none.",
    ),
    elasticdl_flags(NOT_FOR_PREDICTION),
)
def predict(**flags: Any) -> None:
    """Predicts something for each record, on this machine or with --platform kubernetes.

    The files of --prediction_output have a row for each record, with its shard and its index, each
    record once, whatever dies; _SUCCESS is there when all are. A job that was cut off goes on where
    it was when the same command is given again.

    The model definition file has `feed_batch` or `feed`, as for `elasticdl train`.
    """
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.inference_job import run_inference
    from elasticdl_like.cli.output import ledger_table

    ended = run_inference(flags, JobKind.PREDICTION)
    if ended is None:
        return
    outcome = ended.outcome
    if flags["log_format"] == "json":
        click.echo(json.dumps(outcome))
        return
    rows = f"{outcome['records']:,} records"
    if "output" in outcome:
        click.echo(
            f"job {outcome['job']} finished: {rows} predicted, in {_parts(outcome['parts'])}"
        )
        click.echo(f"predictions: {outcome['output']}")
    else:
        click.echo(f"job {outcome['job']} finished: {rows} predicted")
    click.echo(f"{ended.further}\n")
    click.echo(ledger_table(ended.ledger))


def _parts(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"
