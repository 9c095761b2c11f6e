"""`elasticdl ledger`, `status` and `scale`: what becomes of a job, and with how many workers."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import click

from elasticdl_like.activity import Activity
from elasticdl_like.cli.connection import (
    RunningMaster,
    given_token,
    is_address,
    master_of,
    tls_config,
    tls_options,
    token_file_option,
)
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.status_source import StatusSource, live_status
from elasticdl_like.config import JobKind, TlsConfig
from elasticdl_like.errors import JobDirectoryError
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.time_shares import TimeShares

_SHOWN_EVALUATIONS = 3

_namespace_option = option(
    "--namespace",
    default="",
    help="A job that is no job directory is looked for, by its name, in this namespace of the "
    "cluster that the current kubeconfig names.",
)


@click.command()
@click.argument("job_dir", type=click.Path(path_type=Path))
@option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@option(
    "--verify",
    is_flag=True,
    help="Recompute the ledger from the journal and the reader's shards, and name each difference.",
)
@tls_options
@_namespace_option
def ledger(job_dir: Path, as_json: bool, verify: bool, namespace: str, **tls_flags: Any) -> None:
    """Prints what became of the records of each epoch.

    Exits with 1 if records of an ended epoch are missing, or if --verify finds a difference.
    """
    from elasticdl_like.cli.output import ledger_table, quarantine_lines
    from elasticdl_like.master.reports import verify_ledger

    if _is_in_cluster(str(job_dir), namespace):
        from elasticdl_like.cli.cluster_job import ClusterJobSource

        document = ClusterJobSource(str(job_dir), namespace).ledger(verify)
        differences = document.get("differences", [])
    else:
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
@option(
    "--watch",
    "watches",
    is_flag=True,
    help="Show the job until it ends, each second anew in a terminal, each 10 s otherwise; with "
    "--json one document a line, each second. Exits with 0 when the job has finished, with 1 when "
    "it failed or was interrupted.",
)
@click.option("--watch_s", type=click.IntRange(min=1), hidden=True)
@token_file_option
@tls_options
@_namespace_option
def status(
    job: str,
    as_json: bool,
    watches: bool,
    watch_s: int | None,
    token_file: str,
    namespace: str,
    **tls_flags: Any,
) -> None:
    """Prints how a job stands.

    JOB is a job directory, the address of a running master, or, with --namespace, the name of a job
    in a cluster.
    """
    in_cluster = _is_in_cluster(job, namespace)
    if in_cluster:
        if watches:
            raise SystemExit(_watch_in_cluster(job, namespace, as_json))
        from elasticdl_like.cli.cluster_job import ClusterJobSource

        document = ClusterJobSource(job, namespace).status()
    else:
        source = StatusSource(job, token_file, tls_config(tls_flags))
        if watches:
            from elasticdl_like.cli.watch import watch

            if watch_s is not None:
                # Whoever watches from afar may be gone without a word, and nobody read this.
                signal.alarm(watch_s)
            raise SystemExit(watch(lambda: source.ask(details=True), as_json))
        document = source.ask()
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(f"job {document['job']}: {document['state']}")
    if document["reason"] not in ("", document["state"]):
        click.echo(document["reason"])
    loss = "" if document["loss"] is None else f", loss {document['loss']:.4f}"
    infers = document["kind"] in (JobKind.EVALUATION, JobKind.PREDICTION)
    trip = f"epoch {document['epoch'] + 1} of {document['num_epochs']}, step {document['step']:,}"
    click.echo(
        f"{document['kind'] if infers else trip}, {document['records']:,} of "
        f"{document['total_records']:,} records, {document['records_per_s']:,.0f} records/s{loss}"
    )
    if not in_cluster and not is_address(job) and (link := JobDirectory(Path(job)).status_page()):
        click.echo(f"status page: {link}")
    for line in _round_lines(document):
        click.echo(line)
    for worker in sorted(document["workers"], key=lambda each: each["worker_id"]):
        click.echo(
            f"worker {worker['worker_id']}: {worker['description']}, {_standing(worker)}"
            f"heard from {worker['silent_s']:.1f} s ago"
        )
        for line in _time_lines(worker):
            click.echo(f"  {line}")
    for evaluation in document["evaluations"][-_SHOWN_EVALUATIONS:]:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in evaluation["metrics"].items())
        at = f"validation at step {evaluation['step']:,} (epoch {evaluation['epoch'] + 1})"
        click.echo(f"{'result' if infers else at}: {metrics}")
    if "output" in (outcome := document.get("outcome", {})):
        click.echo(f"predictions: {outcome['output']}, files: {outcome['parts']:,}")


def _watch_in_cluster(job: str, namespace: str, as_json: bool) -> int:
    from elasticdl_like.cli.cluster_watch import ClusterJobWatch
    from elasticdl_like.cli.watch import watch
    from elasticdl_like.platforms.kubernetes.client import Cluster
    from elasticdl_like.platforms.kubernetes.names import job_name_in_cluster

    def say(why: str) -> None:
        click.echo(why, err=True)

    cluster = Cluster.connect(namespace)
    source = ClusterJobWatch(cluster, job_name_in_cluster(job), say, time.sleep)
    try:
        return watch(source.ask, as_json)
    finally:
        source.close()


@click.command()
@click.argument("job")
@option(
    "--num_workers",
    type=click.IntRange(min=1),
    required=True,
    help="How many workers are to train the model from now on.",
)
@token_file_option
@tls_options
@_namespace_option
def scale(job: str, num_workers: int, token_file: str, namespace: str, **tls_flags: Any) -> None:
    """Changes how many workers train a model, while they train it.

    JOB is a job directory, the address of a running master, or, with --namespace, the name of a job
    in a cluster. Workers join and leave between two
    steps, and no step is lost. `elasticdl train` starts and ends them by itself; with `elasticdl
    master` they are started by hand.
    """
    if _is_in_cluster(job, namespace):
        from elasticdl_like.cli.cluster_job import ClusterJobSource

        click.echo(ClusterJobSource(job, namespace).scale(num_workers))
        return
    tls = tls_config(tls_flags)
    if is_address(job):
        master: RunningMaster | None = RunningMaster(job, given_token(token_file), tls)
    else:
        master = master_of(JobDirectory(Path(job)), tls)
    if master is None:
        raise JobDirectoryError(
            f"no job runs in {job}, so there are no workers to change; a job that is started again "
            "takes --num_workers"
        )
    document = master.status()
    master.scale(num_workers)
    click.echo(_describe_scaling(document["job"], document["workers_wanted"], num_workers))


def _is_in_cluster(job: str, namespace: str) -> bool:
    """Returns whether the JOB of a command is the name of one in a cluster."""
    return bool(namespace) and not is_address(job) and not JobDirectory(Path(job)).has_job()


def _describe_scaling(job: str, before: int, after: int) -> str:
    """Returns what happens to a job that is scaled from so many workers to so many."""
    change = abs(after - before)
    those = f"{change} worker{'' if change == 1 else 's'}"
    if after > before:
        return f"job {job} goes from {before} to {after}: {those} will join, between two steps"
    if after < before:
        return f"job {job} goes from {before} to {after}: {those} will leave, between two steps"
    return f"job {job} stays as it is: {_workers_are(after)} wanted already"


def _workers_are(number: int) -> str:
    return "1 worker is" if number == 1 else f"{number} workers are"


def _round_lines(document: dict[str, Any]) -> list[str]:
    """Returns who trains together; nothing where one worker trains alone, or none any more."""
    together = document["round"]
    if together is None or document["state"] != JobState.RUNNING:
        return []
    members = ", ".join(map(str, together["members"])) or "none yet"
    return [
        f"{_workers_are(document['workers_wanted'])} wanted; round {together['number']} is "
        f"{together['state']}, members: {members}"
    ]


def _standing(worker: dict[str, Any]) -> str:
    """Returns what a member of a round does; nothing for a worker that trains alone."""
    if not worker["phase"]:
        return ""
    rank = "" if worker["rank"] is None else f"rank {worker['rank']}, "
    return f"{worker['phase']}, {rank}step {worker['step']:,}, "


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

    live = live_status(directory, tls)
    if live is None:
        return load_ledger(directory.path)
    ledger: dict[str, Any] = live["ledger"]
    return ledger
