"""A master of a job that stands still until a test changes it, for the window to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from elasticdl_like.config import DataConfig, JobConfig
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.main import Master
from elasticdl_like.master.progress import Evaluation, JobStatus, RoundStatus, WorkerStatus
from elasticdl_like.tasks import EpochKey, TaskType

STATUS = JobStatus(
    job="digits",
    state="running",
    reason="",
    epoch=1,
    num_epochs=4,
    epoch_records=300,
    records_per_epoch=1000,
    records=1300,
    total_records=4000,
    records_per_s=250.0,
    remaining_s=10.8,
    step=21,
    loss=0.5,
    evaluations=(Evaluation(EpochKey(TaskType.EVALUATION, 0, 16), {"loss": 0.7, "accuracy": 0.8}),),
    workers=(
        WorkerStatus(
            worker_id=0,
            description="here",
            silent_s=0.2,
            seconds_spent={"training": 3.5, "reading": 0.25, "awaited_reading": 0.1},
            num_retries=2,
            records_per_s=125.0,
            phase="training",
            rank=0,
            step=21,
        ),
        WorkerStatus(worker_id=3, description="here", silent_s=1.5, phase="idle"),
    ),
    workers_wanted=2,
    started_s=1234.5,
    round=RoundStatus(5, "running", (0,), 3.0),
)


def _epoch(epoch: int, **numbers: Any) -> dict[str, Any]:
    counts = {"leases_granted": 7, "leases_lost": 1, "reports_fenced": 2}
    return {"type": "training", "epoch": epoch, "records": 1000} | numbers | counts


LEDGER = {
    "job": "digits",
    "epochs": [
        _epoch(0, committed=1000, tentative=0, leased=0, quarantined=0, missing=0, ended=True),
        _epoch(
            1, committed=299, tentative=64, leased=128, quarantined=1, missing=None, ended=False
        ),
    ],
    "quarantined": [],
}


class StandInJob:
    """Says what it is set to say.

    Attributes:
        is_status: how it stands.
        happened: its events.
        times: of its samples.
        evaluated: the times of its evaluations.
        num_looks: how often it was asked how it stands.
    """

    config = JobConfig(
        name="digits",
        data=DataConfig("data", reader_params={"access_key": "env:MY_KEY", "password": "s3cret"}),
    )

    def __init__(self) -> None:
        self.is_status = STATUS
        self.happened: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.evaluated: list[float] = []
        self.num_looks = 0

    def happen(self, text: str) -> None:
        number = len(self.happened) + 1
        self.happened.append(
            {"id": number, "time_s": 100.0 + number, "kind": "job", "text": text, "worker_id": None}
        )

    def finish(self) -> None:
        self.is_status = replace(self.is_status, state="finished", step=84)

    @property
    def view(self) -> StandInJob:
        return self

    def status(self) -> JobStatus:
        self.num_looks += 1
        return self.is_status

    def ledger(self) -> dict[str, Any]:
        return LEDGER

    def events(self, after_id: int) -> list[dict[str, Any]]:
        return [each for each in self.happened if each["id"] > after_id]

    def history(self) -> dict[str, Any]:
        return {
            "samples": {"time_s": list(self.times), "step": [int(each) for each in self.times]},
            "evaluations": [{"time_s": each, "metrics": {}} for each in self.evaluated],
        }

    def coverage(self, num_cells: int) -> dict[str, Any]:
        return {"type": "training", "epoch": 1, "records": 1000, "cells": num_cells, "shards": []}


class StandInMaster:
    """What the window needs of a master."""

    def __init__(self, path: Path) -> None:
        self.job = StandInJob()
        self.directory = JobDirectory(path)
        self.problem = ""

    def as_master(self) -> Master:
        return cast(Master, self)
