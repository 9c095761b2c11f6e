"""What a job's state says to people: status and ledger, and the check of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elasticdl_like.config import JobKind
from elasticdl_like.errors import ElasticdlError, LedgerError
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.master.coverage import Coverage
from elasticdl_like.master.data_changes import compare_shards
from elasticdl_like.master.event_log import EventFile
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.membership import Worker
from elasticdl_like.master.progress import JobStatus, RateMeter, RoundStatus, WorkerStatus
from elasticdl_like.master.recovery import load_core
from elasticdl_like.master.rounds import Rounds
from elasticdl_like.master.shard_listing import list_job_shards
from elasticdl_like.starvation import starvation
from elasticdl_like.time_shares import time_shares

# As much of an epoch's coverage, and so many events, as a terminal has room for.
DETAIL_CELLS = 200
DETAIL_EVENTS = 20


def job_status(
    core: JobCore, rate: RateMeter, now_s: float, started_s: float | None = None
) -> JobStatus:
    """Returns how a job stands.

    Args:
        core: the job.
        rate: gets the records that it has used by now.
        now_s: the time, on the clock of the other calls.
        started_s: when it began, in Unix seconds; None when that is not known.
    """
    training, num_epochs = core.config.training, core.queue.plan.num_epochs
    last = core.queue.epochs.last()
    entry = None if last is None else last.ledger()
    # An epoch that is already over may have had other shards, and then another number of records.
    per_epoch = core.queue.num_records if entry is None else entry.records
    epoch = num_epochs - 1 if entry is None else entry.key.epoch
    epoch_records = per_epoch if entry is None else entry.committed + entry.quarantined
    records = epoch * per_epoch + epoch_records
    total = num_epochs * per_epoch
    if training.max_step and core.config.trains_model:
        total = min(total, training.max_step * _records_per_step(core))
    if core.state is JobState.RUNNING and not core.queue.ended:
        rate.add(now_s, records)
    per_second = rate.per_second()
    return JobStatus(
        job=core.config.name,
        state=str(core.state),
        reason=core.reason,
        epoch=epoch,
        num_epochs=num_epochs,
        epoch_records=epoch_records,
        records_per_epoch=per_epoch,
        records=records,
        total_records=total,
        records_per_s=per_second,
        remaining_s=(total - records) / per_second if per_second > 0 else None,
        step=core.queue.last_step,
        loss=core.loss,
        evaluations=tuple(core.evaluations),
        workers=[worker_status(each, core.rounds, now_s) for each in core.members],
        workers_wanted=core.workers_wanted,
        round=None if core.rounds is None else round_status(core.rounds, now_s),
        started_s=started_s,
        kind=str(core.config.kind),
    )


def round_status(rounds: Rounds, now_s: float) -> RoundStatus:
    """Returns which workers train together; `now_s` is on the clock of the other calls."""
    return RoundStatus(
        rounds.number, str(rounds.state), tuple(rounds.members), now_s - rounds.since_s
    )


def worker_status(worker: Worker, rounds: Rounds | None, now_s: float) -> WorkerStatus:
    """Returns how a worker stands.

    Args:
        worker: the worker.
        rounds: those of its job, if it has some.
        now_s: the time, on the clock of the other calls.
    """
    window = worker.starvation.window
    starves = starvation(window)
    worker.rate.add(now_s, worker.num_records)
    agent = None if rounds is None else rounds.agent(worker.worker_id)
    report = None if agent is None else agent.report
    rank = None
    if rounds is not None and rounds.running is not None and worker.worker_id in rounds.members:
        rank = rounds.running.rank(worker.worker_id)
    return WorkerStatus(
        worker.worker_id,
        worker.description,
        now_s - worker.heard_s,
        worker.time.seconds,
        time_shares(worker.time.seconds),
        window.length_s,
        time_shares(window.seconds()),
        "" if starves is None else str(starves),
        worker.time.num_retries,
        "" if report is None else str(report.phase),
        rank,
        0 if report is None else report.step,
        worker.rate.per_second(),
    )


def _records_per_step(core: JobCore) -> int:
    """Returns how many records a step uses, if as many workers train as are wanted."""
    training = core.config.training
    if core.rounds is None:
        return training.minibatch_size
    return training.global_batch_size or training.minibatch_size * core.rounds.wanted


def ledger_document(core: JobCore) -> dict[str, Any]:
    """Returns the ledger, as its JSON."""
    return {
        "job": core.config.name,
        "epochs": [entry.to_plain() for entry in core.queue.epochs.ledger()],
        "quarantined": [
            {
                "type": str(epoch.key.type),
                "epoch": epoch.key.epoch,
                "shard": each.shard_name,
                "start": each.start,
                "end": each.end,
                "problem": each.problem,
            }
            for epoch in core.queue.epochs
            for each in epoch.quarantine
        ],
    }


def outcome_document(core: JobCore) -> dict[str, Any]:
    """Returns what a finished evaluation has found or a prediction has left, as its JSON.

    Args:
        core: the job, of one of these kinds.
    """
    config = core.config
    (epoch,) = core.queue.epochs.ledger()
    document: dict[str, Any] = {
        "job": config.name,
        "records": epoch.committed,
        "quarantined": epoch.quarantined,
    }
    if config.kind is JobKind.EVALUATION:
        document["metrics"] = dict(core.evaluations[-1].metrics)
    elif config.inference.output:
        document |= {
            "output": config.inference.output,
            "format": config.inference.output_format,
            "parts": len(core.predicting().parts),
        }
    return document


def load_outcome(job_directory: Path) -> dict[str, Any]:
    """Returns the outcome of a job that has finished, from its journal.

    Raises:
        JournalError: there is no job in the directory, or its journal cannot be read.
    """
    return outcome_document(load_core(job_directory))


def load_ledger(job_directory: Path) -> dict[str, Any]:
    """Returns the ledger of a job, from its journal.

    Raises:
        JournalError: there is no job in the directory, or its journal cannot be read.
    """
    return ledger_document(load_core(job_directory))


def load_status(job_directory: Path) -> dict[str, Any]:
    """Returns how a job without a master stands, as `elasticdl status --json` prints it.

    Raises:
        JournalError: there is no job in the directory, or its journal cannot be read.
    """
    core = load_core(job_directory)
    started_s = JobDirectory(job_directory).started_s()
    return job_status(core, RateMeter(), 0.0, started_s).to_plain() | {"workers": []}


def load_coverage(job_directory: Path, most_cells: int) -> dict[str, Any]:
    """Returns the coverage of a job's epoch, as `Coverage` tells it, from its journal.

    Raises:
        JournalError: there is no job in the directory, or its journal cannot be read.
    """
    epoch = load_core(job_directory).queue.epochs.last()
    return Coverage().document(None if epoch is None else epoch.view(), most_cells)


def load_details(job_directory: Path) -> dict[str, Any]:
    """Returns what a terminal shows of a job beside its status: "coverage" and the last "events".

    Raises:
        JournalError: there is no job in the directory, or its journal cannot be read.
    """
    events = EventFile(JobDirectory(job_directory).events).load()
    return {
        "coverage": load_coverage(job_directory, DETAIL_CELLS),
        "events": [event.to_plain() for event in events[-DETAIL_EVENTS:]],
    }


def verify_ledger(job_directory: Path) -> list[str]:
    """Computes the ledger again, from the journal and the shards that the reader has now.

    For each epoch it counts what is committed a second time, from what is not, and compares
    number, sum and sum of squares of the records' ordinals.

    Returns:
        What does not add up, in words; empty when everything does.

    Raises:
        JournalError: there is no job in the directory, or its journal cannot be read.
    """
    core = load_core(job_directory)
    differences = []
    for epoch in core.queue.epochs:
        entry = epoch.ledger()
        accounted = entry.committed + entry.quarantined + entry.leased + entry.waiting
        if accounted != entry.records or entry.waiting < 0:
            differences.append(f"{entry.key}: {accounted} of {entry.records} records are counted")
        if entry.missing:
            differences.append(f"{entry.key} has ended, and {entry.missing} records are missing")
        try:
            epoch.check()
        except LedgerError as error:
            differences.append(str(error))
    directory = JobDirectory(job_directory)
    try:
        listed, validation = list_job_shards(core.config, directory.logs / "shards.log")
    except ElasticdlError as error:
        return [*differences, f"the shards cannot be listed again: {error}"]
    plan = core.queue.plan
    tables = [(str(core.config.task_type), plan.table, listed)]
    if plan.validation_table is not None:
        tables.append(("validation", plan.validation_table, validation))
    for name, table, shards in tables:
        change = compare_shards(core.queue.tables.shards(table), shards)
        if change:
            differences.append(f"the {name} data has changed: {change.description}")
    return differences
