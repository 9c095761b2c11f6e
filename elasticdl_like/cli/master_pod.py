"""`elasticdl master-pod`: what the master's container runs. Nobody types it."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from elasticdl_like.errors import JobDirectoryError, PermanentError
from elasticdl_like.job_directory import JobState

if TYPE_CHECKING:
    from elasticdl_like.config import JobConfig
    from elasticdl_like.master.progress import JobStatus

_logger = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 1.0
_TRY_AGAIN = 75
_TERMINATION_LOG = Path("/dev/termination-log")


@click.command("master-pod", hidden=True)
@click.option("--name", required=True, help="The job's name in the cluster.")
@click.option("--root_uid", required=True, help="The uid of the job's root object.")
def master_pod(name: str, root_uid: str) -> None:
    """Runs the master of a job in its pod.

    Its lines of JSON are read by the command that has submitted the job: log lines,
    `{"progress": …}`, at the end of the job `{"ledger": …}`, for an evaluation and a prediction
    `{"outcome": …}`, and as the last one `{"result": {"state": …, "reason": …}}`, which is in the
    pod's status as well. The exit code is 0 when the job is over, also when it has failed: with any
    other the container is started again, and the job goes on.
    """
    from elasticdl_like.cli.output import configure_logging
    from elasticdl_like.platforms.kubernetes import places
    from elasticdl_like.platforms.kubernetes.client import Cluster
    from elasticdl_like.platforms.kubernetes.run_master import (
        AskedToEnd,
        had_finished,
        has_another_master,
        read_job,
        run_kubernetes_master,
        wait_for_predecessor,
    )

    configure_logging("INFO", "json")
    asked_to_end = AskedToEnd()
    try:
        job, settings = read_job(Path(places.CONFIG_DIRECTORY))
        logging.getLogger().setLevel(job.log_level)
        wait_for_predecessor(name, asked_to_end)
        with Cluster.connect(settings.namespace) as cluster:
            status = run_kubernetes_master(
                job, settings, name, root_uid, cluster, _Progress().show, asked_to_end
            )
    except JobDirectoryError as error:
        if has_another_master(name):
            _logger.warning("%s; this container makes way for it", error)
            sys.exit(_TRY_AGAIN)
        if had_finished(name, root_uid):
            _tell_kept_status(name)
            _tell_end(name, job, JobState.FINISHED, "")
        else:
            _tell_result(JobState.FAILED, str(error))
        return
    except PermanentError as error:
        _tell_result(JobState.FAILED, str(error))
        return
    if status.state == JobState.RUNNING:
        _logger.info("the master's pod is ended; the job goes on in another one")
        sys.exit(128 + signal.SIGTERM)
    _tell_end(name, job, JobState(status.state), status.reason)


class _Progress:
    """Writes how the job stands, when that has changed and now and then."""

    def __init__(self) -> None:
        self._said_s = float("-inf")
        self._said: tuple[object, ...] = ()

    def show(self, status: JobStatus) -> None:
        now = (status.state, status.epoch, status.step, status.records, len(status.workers))
        is_due = time.monotonic() - self._said_s >= _PROGRESS_INTERVAL_S
        if now != self._said and (is_due or status.state != JobState.RUNNING):
            self._said_s, self._said = time.monotonic(), now
            told = status.shortened() if status.state == JobState.RUNNING else status
            click.echo(json.dumps({"progress": told.to_plain()}), err=True)


def _tell_kept_status(name: str) -> None:
    from elasticdl_like.master.reports import load_status
    from elasticdl_like.platforms.kubernetes import places

    status = load_status(Path(places.job_directory(name)))
    click.echo(json.dumps({"progress": status}), err=True)


def _tell_end(name: str, job: JobConfig, state: JobState, reason: str) -> None:
    from elasticdl_like.master.reports import load_ledger, load_outcome
    from elasticdl_like.platforms.kubernetes import places

    directory = Path(places.job_directory(name))
    click.echo(json.dumps({"ledger": load_ledger(directory)}), err=True)
    if state is JobState.FINISHED and not job.trains_model:
        click.echo(json.dumps({"outcome": load_outcome(directory)}), err=True)
    _tell_result(state, reason)


def _tell_result(state: JobState, reason: str) -> None:
    if state is JobState.FAILED:
        _logger.error("the job has failed: %s", reason)
    result = {"state": str(state), "reason": reason}
    click.echo(json.dumps({"result": result}), err=True)
    if _TERMINATION_LOG.exists():
        _TERMINATION_LOG.write_text(json.dumps(result), encoding="utf-8")
