"""`elasticdl ledger` and `elasticdl status`: what became of a job, or becomes of it now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from elasticdl_like.cli.options import option
from elasticdl_like.errors import MasterUnavailableError
from elasticdl_like.job_directory import JobDirectory, JobState

_CALL_TIMEOUT_S = 5.0


@click.command()
@click.argument("job_dir", type=click.Path(path_type=Path))
@option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
def ledger(job_dir: Path, as_json: bool) -> None:
    """Prints what became of the records of each epoch.

    Exits with 1 if records of an ended epoch are missing.
    """
    from elasticdl_like.cli.output import ledger_table

    document = _ledger(JobDirectory(job_dir))
    click.echo(json.dumps(document, indent=1) if as_json else ledger_table(document))
    if any(entry["missing"] for entry in document["epochs"]):
        raise SystemExit(1)


@click.command()
@click.argument("job")
@option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(job: str, as_json: bool) -> None:
    """Prints how a job stands. JOB is a job directory, or the address of a running master."""
    document = _status(job)
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(f"job {document['job']}: {document['state']}")
    if document["reason"]:
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
    for evaluation in document["evaluations"]:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in evaluation["metrics"].items())
        click.echo(
            f"validation at step {evaluation['step']:,} (epoch {evaluation['epoch'] + 1}): "
            f"{metrics}"
        )


def _ledger(directory: JobDirectory) -> dict[str, Any]:
    endpoint = directory.endpoint()
    if endpoint is not None:
        try:
            live: dict[str, Any] = _ask_master(endpoint)["ledger"]
            return live
        except MasterUnavailableError:
            pass  # it ended just now; what it saved last is what counts
    return directory.load_ledger()


def _status(job: str) -> dict[str, Any]:
    if ":" in job and not Path(job).exists():
        return _without_ledger(_ask_master(job))
    directory = JobDirectory(Path(job))
    endpoint = directory.endpoint()
    if endpoint is not None:
        try:
            return _without_ledger(_ask_master(endpoint))
        except MasterUnavailableError:
            pass  # it ended just now; what it saved last is what counts
    saved: dict[str, Any] = directory.load_job()["status"]
    if saved["state"] == JobState.RUNNING and not directory.in_use():
        saved |= {
            "state": "cut off",
            "reason": "its master is gone without a word",
            "workers": [],
        }
    return saved


def _without_ledger(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "ledger"}


def _ask_master(address: str) -> dict[str, Any]:
    import grpc

    from elasticdl_like.proto import elasticdl_pb2 as pb
    from elasticdl_like.proto import elasticdl_pb2_grpc
    from elasticdl_like.proto.status_codes import error_from_status

    with grpc.insecure_channel(address) as channel:
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        try:
            reply = stub.Status(pb.StatusRequest(), timeout=_CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            raise error_from_status(
                error.code(), f"no master answers at {address}: {error.details()}"
            ) from error
    document: dict[str, Any] = json.loads(reply.status_json)
    return document
