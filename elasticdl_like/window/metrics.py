"""What a job says to Prometheus: names, units and labels of the metrics.

docs/status_page.md lists them. What a restart from a checkpoint sets back (steps, committed
records) is a gauge: a counter that went back would be taken for one that began anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from elasticdl_like.activity import Activity
from elasticdl_like.job_directory import JobState

_RECORD_STATES = ("committed", "tentative", "leased", "quarantined")


@dataclass(frozen=True)
class Measured:
    """What the metrics are made of.

    Attributes:
        status: the document `status`.
        ledger: the document `ledger`.
        journal_writable: whether the job can be written down.
    """

    status: Mapping[str, Any]
    ledger: Mapping[str, Any]
    journal_writable: bool


class JobCollector(Collector):
    """Turns what is known of a job into metrics when Prometheus asks.

    Args:
        measure: returns what is known now.
    """

    def __init__(self, measure: Callable[[], Measured]) -> None:
        self._measure = measure

    def describe(self) -> Iterable[Metric]:
        """Returns nothing: names that only a running job knows are not asked for beforehand."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics as they are now."""
        measured = self._measure()
        yield from _job_metrics(measured)
        yield from _progress_metrics(measured.status)
        yield from _ledger_metrics(measured.ledger)
        yield from _worker_metrics(measured.status)


def make_registry(measure: Callable[[], Measured]) -> CollectorRegistry:
    """Returns the metrics of a job and of this process, its master."""
    registry = CollectorRegistry()
    registry.register(JobCollector(measure))
    ProcessCollector(registry=registry)
    return registry


def _job_metrics(measured: Measured) -> Iterator[Metric]:
    status = measured.status
    info = GaugeMetricFamily(
        "elasticdl_job_info", "Always 1; the label is the name of the job.", labels=["job"]
    )
    info.add_metric([status["job"]], 1)
    yield info
    state = GaugeMetricFamily(
        "elasticdl_job_state", "1 for the state that the job is in, else 0.", labels=["state"]
    )
    for each in JobState:
        state.add_metric([str(each)], status["state"] == each)
    yield state
    if status["started_s"] is not None:
        yield GaugeMetricFamily(
            "elasticdl_job_start_time_seconds",
            "When the job began, in Unix seconds.",
            status["started_s"],
        )
    yield GaugeMetricFamily(
        "elasticdl_journal_writable",
        "1, or 0 while the job waits because it cannot be written down.",
        measured.journal_writable,
    )


def _progress_metrics(status: Mapping[str, Any]) -> Iterator[Metric]:
    for name, help_text, value in (
        ("elasticdl_step", "The last finished step.", status["step"]),
        ("elasticdl_loss", "The training loss last reported.", status["loss"]),
        ("elasticdl_epoch", "The epoch that the job is in, from 0.", status["epoch"]),
        ("elasticdl_epochs", "How many epochs there will be.", status["num_epochs"]),
        (
            "elasticdl_records_done",
            "Records of all epochs that are committed or quarantined.",
            status["records"],
        ),
        (
            "elasticdl_records_expected",
            "What elasticdl_records_done will be at the end.",
            status["total_records"],
        ),
        (
            "elasticdl_records_per_second",
            "Records per second, over the last 10 seconds.",
            status["records_per_s"],
        ),
        (
            "elasticdl_remaining_seconds",
            "The time left at that rate; absent when it cannot be told.",
            status["remaining_s"],
        ),
    ):
        if value is not None:
            yield GaugeMetricFamily(name, help_text, value)
    for last in status["evaluations"][-1:]:
        yield GaugeMetricFamily(
            "elasticdl_evaluation_step", "The step of the last evaluation.", last["step"]
        )
        metrics = GaugeMetricFamily(
            "elasticdl_evaluation", "A metric of the last evaluation.", labels=["metric"]
        )
        for name, value in last["metrics"].items():
            metrics.add_metric([name], value)
        yield metrics


def _ledger_metrics(ledger: Mapping[str, Any]) -> Iterator[Metric]:
    records = GaugeMetricFamily(
        "elasticdl_records",
        "Records of the newest epoch of each type, by what became of them.",
        labels=["type", "epoch", "state"],
    )
    newest = {entry["type"]: entry for entry in ledger["epochs"]}
    for entry in newest.values():
        for state, number in _record_states(entry).items():
            records.add_metric([entry["type"], str(entry["epoch"]), state], number)
    yield records
    for name, help_text, field in (
        ("elasticdl_leases_granted", "Leases handed out, second ones too.", "leases_granted"),
        ("elasticdl_leases_lost", "Leases taken back from lost workers.", "leases_lost"),
        (
            "elasticdl_reports_fenced",
            "Commits refused because the lease was no longer the worker's.",
            "reports_fenced",
        ),
    ):
        counter = CounterMetricFamily(name, help_text, labels=["type"])
        for task_type in newest:
            entries = (each for each in ledger["epochs"] if each["type"] == task_type)
            counter.add_metric([task_type], sum(entry[field] for entry in entries))
        yield counter


def _record_states(entry: Mapping[str, Any]) -> dict[str, int]:
    numbers = {state: entry[state] for state in _RECORD_STATES}
    return numbers | {"waiting": entry["records"] - sum(numbers.values())}


def _worker_metrics(status: Mapping[str, Any]) -> Iterator[Metric]:
    workers = status["workers"]
    number = GaugeMetricFamily(
        "elasticdl_workers", "Workers that take part, by what they do.", labels=["state"]
    )
    kind = status["kind"]
    phases = Counter(worker["phase"] or kind for worker in workers)
    for phase in sorted({kind, *phases}):
        number.add_metric([phase], phases[phase])
    yield number
    yield GaugeMetricFamily(
        "elasticdl_workers_wanted",
        "How many workers there should be.",
        status["workers_wanted"],
    )
    if status["round"] is not None:
        yield CounterMetricFamily(
            "elasticdl_rounds",
            "Rounds, the memberships of workers that train together, so far.",
            status["round"]["number"],
        )
    yield from _metrics_of_each(workers)


def _metrics_of_each(workers: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    seconds = CounterMetricFamily(
        "elasticdl_worker_seconds",
        "What the threads of a worker did, in seconds.",
        labels=["worker", "activity"],
    )
    retries = CounterMetricFamily(
        "elasticdl_worker_retries",
        "How often a worker had to ask a service again.",
        labels=["worker"],
    )
    silent = GaugeMetricFamily(
        "elasticdl_worker_silent_seconds",
        "How long ago a worker was last heard from.",
        labels=["worker"],
    )
    rate = GaugeMetricFamily(
        "elasticdl_worker_records_per_second",
        "Records per second that a worker used, over the last seconds.",
        labels=["worker"],
    )
    for worker in workers:
        label = str(worker["worker_id"])
        for activity in Activity:
            if activity in worker["seconds_spent"]:
                seconds.add_metric([label, str(activity)], worker["seconds_spent"][activity])
        retries.add_metric([label], worker["num_retries"])
        silent.add_metric([label], worker["silent_s"])
        rate.add_metric([label], worker["records_per_s"])
    yield from (seconds, retries, silent, rate)
