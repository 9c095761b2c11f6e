"""What a worker tells of its time, and when it warns."""

from __future__ import annotations

import logging

import pytest

from elasticdl_like.time_spent import Activity, TimeSpent
from elasticdl_like.worker.time_report import TimeReport


def test_seconds_warning_and_summary(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now_s = 0.0

    def clock() -> float:
        return now_s

    time_spent = TimeSpent(clock)
    report = TimeReport(time_spent, clock)
    report.log_summary()
    for _ in range(20):
        with time_spent.measure(Activity.TRAINING):
            now_s += 1
        waiting, parsing = Activity.WAITING_FOR_INPUT, Activity.PARSING
        with time_spent.measure(waiting), time_spent.measure(parsing):
            now_s += 1
        seconds = report()
    assert seconds == time_spent.totals()
    assert (seconds["training"], seconds["parsing"]) == (20, 20)
    report.log_summary()
    warning, summary = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.message.startswith(
        "training has waited for input 50% of the last 10 s, mostly p"
    )
    assert summary.levelname == "INFO"
    assert summary.message == (
        "where the time went: training 50%, waiting for input 50% (parsing 50%)"
    )
