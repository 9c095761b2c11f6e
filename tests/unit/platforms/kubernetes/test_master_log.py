"""The lines of a master's pod, and what they mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from elasticdl_like.job_directory import JobState
from elasticdl_like.master.progress import Evaluation, JobStatus, RoundStatus, WorkerStatus
from elasticdl_like.platforms.kubernetes.master_log import (
    FinalLedger,
    JobResult,
    LogLine,
    NewLines,
    Outcome,
    parse_line,
    parse_result,
)
from elasticdl_like.tasks import EpochKey, TaskType
from elasticdl_like.time_shares import TimeShares

STATUS = JobStatus(
    job="digits",
    state="running",
    reason="",
    epoch=1,
    num_epochs=3,
    epoch_records=5,
    records_per_epoch=10,
    records=15,
    total_records=30,
    records_per_s=2.5,
    remaining_s=6.0,
    step=3,
    loss=0.5,
    evaluations=[Evaluation(EpochKey(TaskType.EVALUATION, 0, 2), {"accuracy": 0.75})],
    workers=[
        WorkerStatus(0, "host:1", 0.5, {"training": 1.0}, TimeShares({"training": 1.0}, {})),
        WorkerStatus(1, "host:2", 0.25),
    ],
    workers_wanted=2,
    round=RoundStatus(1, "running", [0, 1], 4.0),
    started_s=1000.0,
)


def line(**plain: object) -> bytes:
    return json.dumps(plain).encode()


@pytest.mark.parametrize("status", [STATUS, replace(STATUS, round=None, workers=[])])
def test_progress_is_read_as_it_was_written(status: JobStatus) -> None:
    assert parse_line(line(progress=status.to_plain())) == status


def test_progress_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    later = STATUS.to_plain() | {"new": 1}
    later["round"] = later["round"] | {"new": 1}
    later["workers"][0]["new"] = 1
    assert parse_line(line(progress=later)) == STATUS


def test_log_lines() -> None:
    written = {"time": 12.5, "level": "WARNING", "logger": "x", "message": "it rains"}
    read = parse_line(line(**written))
    assert read == LogLine(json.dumps(written), "it rains", "WARNING", 12.5)
    read = parse_line(line(**written, traceback="Traceback:\n  here"))
    assert isinstance(read, LogLine)
    assert read.message == "it rains\nTraceback:\n  here"


@pytest.mark.parametrize(
    "text",
    [
        *("Killed", "[1, 2]", "{", "7", ""),
        *('{"progress": {}}', '{"progress": null}', '{"time": "now"}'),
        *('{"result": 1}', '{"result": {"state": "asleep", "reason": ""}}'),
    ],
)
def test_what_is_not_understood_is_a_line_for_people(text: str) -> None:
    assert parse_line(text.encode()) == LogLine(text, text)


def test_bytes_that_are_no_text() -> None:
    assert parse_line(b"\xff\r") == LogLine("\ufffd", "\ufffd")


def test_the_end_of_a_job() -> None:
    assert parse_line(line(ledger={"epochs": []})) == FinalLedger({"epochs": []})
    assert parse_line(line(outcome={"records": 7})) == Outcome({"records": 7})
    result = {"state": "failed", "reason": "no data"}
    assert parse_line(line(result=result)) == JobResult(JobState.FAILED, "no data")
    assert parse_result(json.dumps(result)) == JobResult(JobState.FAILED, "no data")


@pytest.mark.parametrize("message", ["", "Error", "[]", "{}", '{"state": "x", "reason": ""}'])
def test_a_pod_without_a_result(message: str) -> None:
    assert parse_result(message) is None


def said(time_s: float | None) -> LogLine:
    return LogLine("x", "x", "INFO", time_s)


def test_lines_are_new_until_a_log_is_read_again() -> None:
    lines = NewLines()
    # Threads write their lines a little out of order, and not all lines have a time.
    assert [lines.is_new(said(time_s)) for time_s in (1.0, None, 3.0, 2.0)] == [True] * 4
    lines.read_again()
    assert [lines.is_new(said(time_s)) for time_s in (1.0, None, 3.0, 2.0)] == [False] * 4
    assert [lines.is_new(said(time_s)) for time_s in (4.0, None, 4.0)] == [True] * 3


def test_lines_before_the_first_time_are_new() -> None:
    lines = NewLines()
    lines.read_again()
    assert lines.is_new(said(None))
