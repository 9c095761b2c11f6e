"""`elasticdl ledger` and `elasticdl status`: what became of a job, or becomes of it now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from elasticdl_like.activity import Activity
from elasticdl_like.cli.connection import (
    ask_master,
    given_token,
    tls_config,
    tls_options,
    token_file_option,
)
from elasticdl_like.cli.options import option
from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import MasterUnavailableError
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.time_shares import TimeShares

_SHOWN_EVALUATIONS = 3


@click.command()
@click.argument("job_dir", type=click.Path(path_type=Path))
@option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@option(
    "--verify",
    is_flag=True,
    help="Recompute the ledger from the journal and the reader's shards, and name each difference.",
)
@tls_options
def ledger(job_dir: Path, as_json: bool, verify: bool, **tls_flags: Any) -> None:
    """Prints what became of the records of each epoch.

    Exits with 1 if records of an ended epoch are missing, or if --verify finds a difference.
    """
    from elasticdl_like.cli.output import ledger_table, quarantine_lines
    from elasticdl_like.master.reports import verify_ledger

    document = _ledger(JobDirectory(job_dir), tls_config(tls_flags))
    differences = verify_ledger(job_dir) if verify else []
    if as_json:
        verified = {"differences": differences} if verify else {}
        click.echo(json.dumps(document | verified, indent=1))
    else:
        click.echo(ledger_table(document))
        for line in quarantine_lines(document):
            click.echo(line)
        for difference in differences:
            click.echo(f"difference: {difference}")
        if verify and not differences:
            click.echo("verified: the ledger agrees with the journal and with the reader's shards")
    if differences or any(entry["missing"] for entry in document["epochs"]):
        raise SystemExit(1)


@click.command()
@click.argument("job")
@option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@token_file_option
@tls_options
def status(job: str, as_json: bool, token_file: str, **tls_flags: Any) -> None:
    """Prints how a job stands. JOB is a job directory, or the address of a running master."""
    document = _status(job, token_file, tls_config(tls_flags))
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(f"job {document['job']}: {document['state']}")
    if document["reason"] not in ("", document["state"]):
        click.echo(document["reason"])
    loss = "" if document["loss"] is None else f", loss {document['loss']:.4f}"
    click.echo(
        f"epoch {document['epoch'] + 1} of {document['num_epochs']}, step {document['step']:,}, "
        f"{document['records']:,} of {document['total_records']:,} records, "
        f"{document['records_per_s']:,.0f} records/s{loss}"
    )
    for worker in document["workers"]:
        click.echo(
            f"worker {worker['worker_id']}: {worker['description']}, "
            f"heard from {worker['silent_s']:.1f} s ago"
        )
        for line in _time_lines(worker):
            click.echo(f"  {line}")
    for evaluation in document["evaluations"][-_SHOWN_EVALUATIONS:]:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in evaluation["metrics"].items())
        click.echo(
            f"validation at step {evaluation['step']:,} (epoch {evaluation['epoch'] + 1}): "
            f"{metrics}"
        )


def _time_lines(worker: dict[str, Any]) -> list[str]:
    """Returns where a worker's time goes, and what to do about it; nothing if it does not tell."""
    spans = (
        (f"last {worker['recent_s']:.0f} s", worker["recent_time_shares"]),
        ("since its start", worker["time_shares"]),
    )
    lines = [f"{span}: {TimeShares(**shares)}" for span, shares in spans if shares is not None]
    retrying_s = worker["seconds_spent"].get(Activity.RETRYING, 0.0)
    if worker["num_retries"]:
        lines.append(
            f"{worker['num_retries']:,} retries of a failing or busy service, {retrying_s:.1f} s "
            "of waiting for them"
        )
    if worker["starvation"]:
        lines.append(f"warning: {worker['starvation']}")
    return lines


def _ledger(directory: JobDirectory, tls: TlsConfig) -> dict[str, Any]:
    from elasticdl_like.master.reports import load_ledger

    live = _ask_master_of(directory, tls)
    if live is None:
        return load_ledger(directory.path)
    ledger: dict[str, Any] = live["ledger"]
    return ledger


def _status(job: str, token_file: str, tls: TlsConfig) -> dict[str, Any]:
    from elasticdl_like.master.reports import load_status

    if ":" in job and not Path(job).exists():
        return _without_ledger(ask_master(job, given_token(token_file), tls))
    directory = JobDirectory(Path(job))
    live = _ask_master_of(directory, tls)
    if live is not None:
        return _without_ledger(live)
    saved = load_status(directory.path)
    if saved["state"] == JobState.RUNNING and not directory.in_use():
        saved |= {
            "state": "cut off",
            "reason": "its master is gone without a word",
        }
    return saved


def _ask_master_of(directory: JobDirectory, tls: TlsConfig) -> dict[str, Any] | None:
    """Returns what the running master of a job says, or None when there is none."""
    endpoint = directory.endpoint()
    if endpoint is None:
        return None
    try:
        return ask_master(endpoint, directory.token(), tls)
    except MasterUnavailableError:
        return None  # it ended just now; what it kept is what counts


def _without_ledger(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "ledger"}
