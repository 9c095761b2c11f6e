"""`elasticdl predict`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.compatibility import NOT_FOR_PREDICTION
from elasticdl_like.cli.elasticdl_flags import elasticdl_flags
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.inference_options import (
    FORMATS,
    inference_options,
    make_inference_config,
)
from elasticdl_like.cli.local_job import run_job
from elasticdl_like.cli.options import job_directory_path
from elasticdl_like.config import JobKind

if TYPE_CHECKING:
    from elasticdl_like.master.job import Job


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
    """Predicts something for each record, on this machine.

    The files of --prediction_output have a row for each record, with its shard and its index, each
    record once, whatever dies; _SUCCESS is there when all are. A job that was cut off goes on where
    it was when the same command is given again.

    The model definition file has `feed_batch` or `feed`, as for `elasticdl train`.
    """
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.output import ledger_table

    config = make_inference_config(flags, JobKind.PREDICTION)
    job = run_job(config, flags)
    result = prediction_result(job)
    if flags["log_format"] == "json":
        click.echo(json.dumps(result))
        return
    rows = f"{result['records']:,} records"
    if config.inference.output:
        click.echo(f"job {config.name} finished: {rows} predicted, in {_parts(result['parts'])}")
        click.echo(f"predictions: {config.inference.output}")
    else:
        click.echo(f"job {config.name} finished: {rows} predicted")
    click.echo(f"logs and ledger: {job_directory_path(flags, config.name)}\n")
    click.echo(ledger_table(job.view.ledger()))


def prediction_result(job: Job) -> Mapping[str, Any]:
    """Returns what a finished prediction has left, as the JSON that is printed."""
    from elasticdl_like.prediction_outputs.files import OutputFolder

    (entry,) = job.view.ledger()["epochs"]
    result: dict[str, Any] = {
        "job": job.config.name,
        "records": entry["committed"],
        "quarantined": entry["quarantined"],
    }
    inference = job.config.inference
    if inference.output:
        success = OutputFolder(inference.output).success()
        result |= {
            "output": inference.output,
            "format": inference.output_format,
            "parts": len(success["parts"]),
        }
    return result


def _parts(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"
