"""`elasticdl jobs list`, `stop` and `logs`: the jobs in a cluster."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time

import click

from elasticdl_like.cli.flag import option
from elasticdl_like.cli.kubernetes_flags import namespace_option


@click.group()
def jobs() -> None:
    """Looks at the jobs of a cluster, the one that the current kubeconfig names."""


@jobs.command("list")
@namespace_option
@option("--json", "as_json", is_flag=True, help="Print the jobs as JSON.")
def list_(namespace: str, as_json: bool) -> None:
    """Prints the jobs of a namespace, the oldest first; those that are over stay until `stop`."""
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.output import format_table
    from elasticdl_like.platforms.kubernetes.client import Cluster
    from elasticdl_like.platforms.kubernetes.jobs import list_jobs

    found = list_jobs(Cluster.connect(namespace))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(job) for job in found], indent=1))
        return
    if not found:
        click.echo(f"no jobs in namespace {namespace}")
        return
    now = datetime.datetime.now(datetime.UTC)
    rows = [[job.name, job.state, str(job.workers), _age(job.created, now)] for job in found]
    click.echo(format_table(["job", "state", "workers", "age"], rows))
    for job in found:
        if job.reason:
            click.echo(f"{job.name}: {job.reason}")


@click.command()
@click.argument("job")
@namespace_option
def stop(job: str, namespace: str) -> None:
    """Ends a job in a cluster, and removes it from there.

    JOB is its name. What it has written to its volumes stays: with a --job_volume the job goes on
    where it was when it is submitted again. A job on this machine is ended with Ctrl-C.
    """
    from elasticdl_like.platforms.kubernetes.client import Cluster
    from elasticdl_like.platforms.kubernetes.jobs import stop_job
    from elasticdl_like.platforms.kubernetes.names import job_name_in_cluster

    name = job_name_in_cluster(job)
    stop_job(Cluster.connect(namespace), name, time.monotonic, time.sleep)
    click.echo(f"job {name} is stopped, and removed from namespace {namespace}")


@click.command()
@click.argument("job")
@namespace_option
@option(
    "--worker",
    "worker_id",
    type=click.IntRange(min=0),
    help="Number of a worker; without it the log is the master's.",
)
@option("--follow", "-f", is_flag=True, help="Go on until the pod ends.")
@option("--json", "as_json", is_flag=True, help="Print each line as it was written.")
def logs(job: str, namespace: str, worker_id: int | None, follow: bool, as_json: bool) -> None:
    """Prints what the master of a job in a cluster has written, or one of its workers.

    JOB is its name. Of several pods it is the newest, and of that what it has written since it was
    last restarted.
    """
    from elasticdl_like.platforms.kubernetes import places
    from elasticdl_like.platforms.kubernetes.client import Cluster
    from elasticdl_like.platforms.kubernetes.follow import pod_log
    from elasticdl_like.platforms.kubernetes.jobs import read_root
    from elasticdl_like.platforms.kubernetes.master_log import LogLine, parse_line
    from elasticdl_like.platforms.kubernetes.names import job_name_in_cluster

    name = job_name_in_cluster(job)
    cluster = Cluster.connect(namespace)
    read_root(cluster, name)
    if worker_id is None:
        selector, whose = places.pod_selector(name, places.MASTER_ROLE), f"the master of job {name}"
    else:
        selector = f"{places.pod_selector(name, places.WORKER_ROLE)},{places.WORKER_LABEL}="
        selector, whose = f"{selector}{worker_id}", f"worker {worker_id} of job {name}"
    for line in pod_log(cluster, cluster.list_pods(selector).items, whose, follow):
        entry = parse_line(line)
        if as_json:
            click.echo(line.decode("utf-8", "replace"))
        elif isinstance(entry, LogLine):
            click.echo(_readable(entry.time_s, entry.level, entry.message))


def _readable(time_s: float | None, level: str, message: str) -> str:
    if time_s is None:
        return message
    written = datetime.datetime.fromtimestamp(time_s).strftime("%H:%M:%S")
    return f"{written} {level} {message}"


def _age(created: str, now: datetime.datetime) -> str:
    from elasticdl_like.cli.output import duration

    age = now - datetime.datetime.fromisoformat(created)
    return duration(max(0.0, age.total_seconds()))
