"""A worker process from its start to its end, with what it trains replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fake_master import START, TOKEN, FakeMaster

from elasticdl_like.errors import (
    ConfigError,
    DataError,
    MasterLostError,
    UnknownWorkerError,
)
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.worker import main
from elasticdl_like.worker.main import WorkerConfig, run_worker
from elasticdl_like.worker.master_locator import MasterLocator


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    master = FakeMaster()
    yield master
    master.stop()


@pytest.fixture
def config(master: FakeMaster) -> WorkerConfig:
    return WorkerConfig(MasterLocator.at(master.address, TOKEN), 7, "first life", 20.0)


def told(master: FakeMaster, kind: type) -> list[Any]:
    return [each for each in master.calls if isinstance(each, kind)]


def train_with(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> list[Any]:
    """Has each life of the worker end with one of the errors, and returns where each began."""
    ends = list(errors)
    begun = []

    def train(client: Any, job: Any, start: Any, time_spent: Any) -> None:
        begun.append((client.incarnation, start))
        error = ends.pop(0)
        if error is not None:
            raise error

    monkeypatch.setattr(main, "_train", train)
    return begun


def test_a_worker_that_was_given_up_starts_over_under_another_name(
    master: FakeMaster, config: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = train_with(monkeypatch, UnknownWorkerError("who?"), UnknownWorkerError("who?"), None)
    run_worker(config)
    assert [start for _, start in begun] == 3 * [START]
    assert begun[0][0] == "first life"
    assert len({incarnation for incarnation, _ in begun}) == 3
    assert [each.worker_id for each in told(master, pb.RegisterRequest)] == [7, 7, 7]
    (leave,) = told(master, pb.LeaveRequest)
    assert (leave.caller.incarnation, leave.failure) == (begun[2][0], "")


def test_an_error_of_ours_is_told_to_the_master(
    master: FakeMaster, config: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_with(monkeypatch, DataError("no such file"))
    with pytest.raises(DataError):
        run_worker(config)
    assert [each.failure for each in told(master, pb.LeaveRequest)] == ["no such file"]


@pytest.mark.parametrize("error", [MasterLostError("gone"), ZeroDivisionError()])
def test_a_crash_and_a_lost_master_are_no_failure_of_the_job(
    master: FakeMaster, config: WorkerConfig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    train_with(monkeypatch, error)
    with pytest.raises(type(error)):
        run_worker(config)
    assert told(master, pb.LeaveRequest) == []


def test_a_job_without_a_model_is_refused(master: FakeMaster, config: WorkerConfig) -> None:
    with pytest.raises(ConfigError, match="hands out data to workers of your own"):
        run_worker(config)
    assert len(told(master, pb.LeaveRequest)) == 1
