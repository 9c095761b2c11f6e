"""A job in the cluster, as the command that submits it shows it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from elasticdl_like.cli.kubernetes_job import PodJob
from elasticdl_like.cli.output import configure_logging, job_reporter, ledger_table
from elasticdl_like.errors import ClusterError, JobFailedError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.follow import Follower
from elasticdl_like.platforms.kubernetes.master_log import (
    Entry,
    FinalLedger,
    JobResult,
    LogLine,
    Outcome,
)
from elasticdl_like.platforms.kubernetes.submit import submit

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """A job in the cluster that has finished.

    Attributes:
        job: what was submitted.
        early: why it ended early, or "".
        status: how it stood at its end; None if its log does not tell.
        ledger: what became of the records; no epochs if its log does not tell.
        outcome: what an evaluation has found or a prediction has left; empty for a training.
    """

    job: PodJob
    early: str
    status: JobStatus | None
    ledger: Mapping[str, Any]
    outcome: Mapping[str, Any]

    @property
    def further(self) -> str:
        """Where there is more about it, in words."""
        place = f"{self.job.name} --namespace {self.job.settings.namespace}"
        return f"it stays in the list of jobs until: elasticdl stop {place}"


class Screen:
    """Shows what a master writes as if the master ran here.

    Args:
        report: shows how the job stands.
    """

    def __init__(self, report: Callable[[JobStatus], None]) -> None:
        self._report = report
        self.status: JobStatus | None = None
        self.ledger: FinalLedger | None = None
        self.outcome: Outcome | None = None

    def show(self, entry: Entry) -> None:
        """Shows an entry of the master's log."""
        match entry:
            case LogLine():
                show_line(entry)
            case JobStatus():
                self.status = entry
                self._report(entry)
            case FinalLedger():
                self.ledger = entry
            case Outcome():
                self.outcome = entry
            case JobResult():
                pass  # the command ends with it


def show_line(line: LogLine) -> None:
    """Passes a line of a pod on to the log of this process."""
    plain = {"name": "elasticdl_like.pod", "msg": line.message, "levelname": line.level or "INFO"}
    record = logging.makeLogRecord(plain)
    record.levelno = logging.getLevelNamesMapping().get(record.levelname, logging.INFO)
    if line.time_s is not None:
        record.created, record.msecs = line.time_s, line.time_s % 1 * 1000
    if record.levelno >= logging.getLogger().level:
        logging.getLogger().handle(record)


def run_submitted(job: PodJob, detach: bool, log_level: str, log_format: str) -> Ended | None:
    """Submits a job and follows it to its end, unless it is to be left alone.

    Returns:
        Its end; None when it is left alone.

    Raises:
        JobFailedError: it has failed, or was deleted.
        ClusterError: its log does not tell the outcome, if it is to have one.
        ElasticdlError: it cannot be submitted.
    """
    console = configure_logging(log_level, log_format)
    namespace = job.settings.namespace
    cluster = Cluster.connect(namespace)
    uid = submit(cluster, job.objects(), time.monotonic, time.sleep)
    _logger.info("job %s is submitted to namespace %s", job.name, namespace)
    if detach:
        click.echo(_what_can_be_done(job.name, namespace))
        return None
    with job_reporter(console, log_format) as report:
        screen = Screen(report)
        try:
            result = Follower(cluster, job.name, uid, screen.show, time.sleep).follow()
        except KeyboardInterrupt:
            _logger.warning(
                "job %s goes on in the cluster; %s",
                job.name,
                _what_can_be_done(job.name, namespace),
            )
            raise
    if result.state is not JobState.FINISHED:
        raise JobFailedError(f"job {job.name} failed: {result.reason}")
    if not job.config.trains_model and screen.outcome is None:
        raise ClusterError(
            f"job {job.name} has finished, and its log has lost with what outcome; see: elasticdl "
            f"logs {job.name} --namespace {namespace} --json"
        )
    return Ended(
        job,
        result.reason,
        screen.status,
        {"epochs": []} if screen.ledger is None else screen.ledger.ledger,
        {} if screen.outcome is None else screen.outcome.document,
    )


def _what_can_be_done(name: str, namespace: str) -> str:
    place = f"{name} --namespace {namespace}"
    return (
        f"see it with: elasticdl status {place}; follow it with: elasticdl logs {place} -f; end it "
        f"with: elasticdl stop {place}"
    )


def print_trained(ended: Ended) -> None:
    """Prints what has become of a job that trains a model."""
    job, status = ended.job, ended.status
    early = f", ended early: {ended.early}" if ended.early else ""
    if status is not None:
        click.echo(
            f"job {job.name} finished: {status.step:,} steps, {status.records:,} records{early}"
        )
        for evaluation in status.evaluations[-1:]:
            metrics = ", ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items())
            click.echo(f"validation at step {evaluation.key.step:,}: {metrics}")
    if job.config.output:
        click.echo(f"model: {job.config.output} (model.keras, saved_model), in the pods' volume")
    if ended.ledger["epochs"]:
        click.echo(f"\n{ledger_table(ended.ledger)}")
    click.echo(f"\n{ended.further}")
