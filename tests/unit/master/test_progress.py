from __future__ import annotations

import dataclasses
import json

import pytest

from elasticdl_like.master.progress import (
    Evaluation,
    JobStatus,
    RateMeter,
    RoundStatus,
    WorkerStatus,
)
from elasticdl_like.tasks import EpochKey, TaskType
from elasticdl_like.time_shares import TimeShares


def meter(*samples: tuple[float, int], window_s: float = 10.0) -> RateMeter:
    one = RateMeter(window_s)
    for now_s, count in samples:
        one.add(now_s, count)
    return one


def test_no_rate_without_two_samples() -> None:
    assert meter().per_second() == 0.0
    assert meter((5, 100)).per_second() == 0.0
    assert meter((5, 100), (5, 200)).per_second() == 0.0


def test_rate() -> None:
    assert meter((0, 0), (2, 10)).per_second() == 5.0
    assert meter((100, 1000), (101, 1010), (104, 1100)).per_second() == 25.0


def test_the_time_before_the_first_growth_does_not_count() -> None:
    assert meter((0, 0), (50, 0), (100, 0), (102, 10)).per_second() == 5.0


def test_a_standstill_later_does_count() -> None:
    assert meter((0, 0), (2, 10), (4, 10)).per_second() == 2.5


def test_only_the_last_seconds_count() -> None:
    samples = [(float(second), 100 * second) for second in range(50)]
    samples += [(float(second), 4900 + second - 49) for second in range(50, 80)]
    assert meter(*samples).per_second() == pytest.approx(1.0)


def test_the_window_always_has_two_samples() -> None:
    assert meter((0, 0), (1000, 500)).per_second() == 0.5
    assert meter((0, 0), (1000, 500), (2000, 1500)).per_second() == pytest.approx(1.0)


def test_the_status_is_json() -> None:
    status = JobStatus(
        job="j",
        state="running",
        reason="",
        epoch=0,
        num_epochs=2,
        epoch_records=5,
        records_per_epoch=10,
        records=5,
        total_records=20,
        records_per_s=2.5,
        remaining_s=None,
        step=3,
        loss=0.5,
        evaluations=(Evaluation(EpochKey(TaskType.EVALUATION, 1, 70), {"accuracy": 0.75}),),
        workers=[
            WorkerStatus(
                *(0, "host", 1.5, {"training": 2.0}),
                TimeShares({"training": 0.75}, {"reading": 0.25}),
                phase="training",
                rank=1,
                step=7,
            )
        ],
        workers_wanted=2,
        round=RoundStatus(3, "running", (2, 0), 1.5),
    )
    earlier = Evaluation(EpochKey(TaskType.EVALUATION, 0, 30), {"accuracy": 0.5})
    longer = dataclasses.replace(status, evaluations=(earlier, *status.evaluations))
    assert len(longer.to_plain()["evaluations"]) == 2
    assert longer.shortened() == status
    plain = json.loads(json.dumps(status.to_plain()))
    assert plain["evaluations"] == [{"epoch": 1, "step": 70, "metrics": {"accuracy": 0.75}}]
    assert plain["workers"] == [
        {
            "worker_id": 0,
            "description": "host",
            "silent_s": 1.5,
            "seconds_spent": {"training": 2.0},
            "time_shares": {"working": {"training": 0.75}, "waiting": {"reading": 0.25}},
            "recent_s": 0.0,
            "recent_time_shares": None,
            "starvation": "",
            "num_retries": 0,
            "phase": "training",
            "rank": 1,
            "step": 7,
            "records_per_s": 0.0,
        }
    ]
    assert plain["round"] == {"number": 3, "state": "running", "members": [2, 0], "since_s": 1.5}
    assert plain["workers_wanted"] == 2
    assert (plain["job"], plain["loss"], plain["remaining_s"]) == ("j", 0.5, None)
