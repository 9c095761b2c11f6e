"""The metrics, as Prometheus' own parser reads them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from stand_in_master import LEDGER, STATUS

from elasticdl_like.master.progress import JobStatus
from elasticdl_like.window.documents import status_document
from elasticdl_like.window.metrics import Measured, make_registry

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "status_page.md"

NEW = replace(
    STATUS,
    epoch_records=0,
    records=0,
    records_per_s=0.0,
    remaining_s=None,
    step=0,
    loss=None,
    evaluations=(),
    workers=(),
    round=None,
)


def scrape(status: JobStatus = STATUS, journal_writable: bool = True) -> str:
    plain = status_document(status)
    registry = make_registry(lambda: Measured(plain, LEDGER, journal_writable))
    return generate_latest(registry).decode()


def samples(text: str) -> list[Sample]:
    return [each for family in text_string_to_metric_families(text) for each in family.samples]


def value(text: str, name: str, **labels: str) -> float:
    found = [each.value for each in samples(text) if (each.name, each.labels) == (name, labels)]
    assert len(found) == 1, (name, labels, found)
    return found[0]


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("elasticdl_job_info", {"job": "digits"}, 1),
        ("elasticdl_job_state", {"state": "running"}, 1),
        ("elasticdl_job_state", {"state": "failed"}, 0),
        ("elasticdl_job_start_time_seconds", {}, 1234.5),
        ("elasticdl_journal_writable", {}, 1),
        ("elasticdl_step", {}, 21),
        ("elasticdl_loss", {}, 0.5),
        ("elasticdl_epoch", {}, 1),
        ("elasticdl_epochs", {}, 4),
        ("elasticdl_records_done", {}, 1300),
        ("elasticdl_records_expected", {}, 4000),
        ("elasticdl_records_per_second", {}, 250),
        ("elasticdl_remaining_seconds", {}, 10.8),
        ("elasticdl_evaluation_step", {}, 16),
        ("elasticdl_evaluation", {"metric": "accuracy"}, 0.8),
        ("elasticdl_records", {"type": "training", "epoch": "1", "state": "committed"}, 299),
        ("elasticdl_records", {"type": "training", "epoch": "1", "state": "waiting"}, 508),
        ("elasticdl_leases_granted_total", {"type": "training"}, 14),
        ("elasticdl_leases_lost_total", {"type": "training"}, 2),
        ("elasticdl_reports_fenced_total", {"type": "training"}, 4),
        ("elasticdl_workers", {"state": "training"}, 1),
        ("elasticdl_workers", {"state": "idle"}, 1),
        ("elasticdl_workers_wanted", {}, 2),
        ("elasticdl_rounds_total", {}, 5),
        ("elasticdl_worker_seconds_total", {"worker": "0", "activity": "training"}, 3.5),
        ("elasticdl_worker_retries_total", {"worker": "0"}, 2),
        ("elasticdl_worker_silent_seconds", {"worker": "3"}, 1.5),
        ("elasticdl_worker_records_per_second", {"worker": "0"}, 125),
    ],
)
def test_value(name: str, labels: dict[str, str], expected: float) -> None:
    assert value(scrape(), name, **labels) == expected


def test_the_states_of_records_add_up_to_the_epoch() -> None:
    states = [each.value for each in samples(scrape()) if each.name == "elasticdl_records"]

    assert sum(states) == 1000


def test_what_is_not_known_yet_is_absent() -> None:
    names = {each.name for each in samples(scrape(NEW))}

    assert "elasticdl_step" in names
    assert not names & {
        *("elasticdl_loss", "elasticdl_remaining_seconds", "elasticdl_evaluation"),
        *("elasticdl_rounds_total", "elasticdl_worker_silent_seconds"),
    }
    assert value(scrape(NEW), "elasticdl_workers", state="training") == 0


def test_a_journal_that_cannot_be_written_shows() -> None:
    assert value(scrape(journal_writable=False), "elasticdl_journal_writable") == 0


def test_names_and_help_keep_the_conventions() -> None:
    for family in text_string_to_metric_families(scrape()):
        assert family.documentation.endswith("."), family.name
        assert (family.type == "counter") is all(
            each.name.endswith("_total") for each in family.samples
        ), family.name


def test_the_newer_format_parses_as_well() -> None:
    plain = status_document(STATUS)
    registry = make_registry(lambda: Measured(plain, LEDGER, True))

    text = generate_openmetrics(registry).decode()

    assert {family.name for family in parse_openmetrics(text)} >= {"elasticdl_step"}


def test_the_documentation_lists_exactly_these() -> None:
    served = {(each.name, frozenset(each.labels)) for each in samples(scrape())}
    rows = re.findall(r"^\| `(\w+?)(?:\{([\w, ]*)\})?` \|", DOCUMENTATION.read_text(), re.MULTILINE)
    listed = {
        (name, frozenset(labels.split(", ") if labels else ()))
        for name, labels in rows
        if name.startswith(("elasticdl_", "process_"))
    }

    assert listed == served
