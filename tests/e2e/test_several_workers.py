"""`elasticdl train --num_workers 3` on the digits, of which workers are killed all the time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elasticdl_command import RunElasticdl, RunningCommand, eventually, running
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.reports import load_ledger, load_status
from elasticdl_like.platforms.worker_record import WorkerRecords

TRAINING_RECORDS = 1400
NUM_EPOCHS = 20
KILLS_AT_STEPS = (60, 160, 260)


@contextlib.contextmanager
def digits_job(
    directory: Path, model_zoo: Path, digits: Path, num_workers: int, num_epochs: int
) -> Iterator[RunningCommand]:
    arguments = (
        *("train", "--num_workers", num_workers, "--job_dir", directory / "job"),
        *("--model_zoo", model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
        *("--training_data", digits / "train", "--validation_data", digits / "validation"),
        *("--num_epochs", num_epochs, "--global_batch_size", 63, "--num_minibatches_per_task", 2),
    )
    with running(["-m", "elasticdl_like", *arguments], directory) as command:
        yield command


def status_of(run_elasticdl: RunElasticdl, job: Path) -> dict[str, Any]:
    finished = run_elasticdl("status", job, "--json")
    assert finished.exit_code == 0, finished.stderr
    status: dict[str, Any] = json.loads(finished.stdout)
    return status


def final_accuracy(job: Path) -> float:
    return float(load_status(job)["evaluations"][-1]["metrics"]["accuracy"])


@pytest.mark.timeout(300)
def test_learns_as_well_while_workers_are_killed(
    run_elasticdl: RunElasticdl,
    model_zoo: Path,
    digits: Path,
    tmp_path: Path,
) -> None:
    job = tmp_path / "job"
    records = WorkerRecords(JobDirectory(job).workers)
    exists = JobDirectory(job).has_job
    killed = set()
    with digits_job(tmp_path, model_zoo, digits, 3, NUM_EPOCHS) as command:
        for number, step in enumerate(KILLS_AT_STEPS):
            eventually(lambda: exists() and load_status(job)["step"] >= step, 100, command)  # noqa: B023
            record = eventually(lambda: records.load(number % 3), 20, command)  # noqa: B023
            if record.pid is not None:
                os.kill(record.pid, signal.SIGKILL)
                killed.add(record.pid)
        finished = command.wait(150)
        assert command.processes() == set()
    assert finished.exit_code == 0, finished.stderr
    assert len(killed) == len(KILLS_AT_STEPS)
    losses = re.findall(r"worker \d is lost: it was killed by SIGKILL", finished.stderr)
    assert len(losses) == len(killed)
    alone = tmp_path / "alone"
    alone.mkdir()
    with digits_job(alone, model_zoo, digits, 3, NUM_EPOCHS) as command:
        assert command.wait(150).exit_code == 0
    assert final_accuracy(job) >= final_accuracy(alone / "job") - 0.01
    assert [
        (each["records"], each["committed"], each["tentative"], each["missing"])
        for each in load_ledger(job)["epochs"]
        if each["type"] == "training"
    ] == [(TRAINING_RECORDS, TRAINING_RECORDS, 0, 0)] * NUM_EPOCHS
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0


@pytest.mark.timeout(200)
def test_status_shows_who_trains_and_scale_changes_it(
    run_elasticdl: RunElasticdl, model_zoo: Path, digits: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job"

    def trains(*workers: int) -> dict[str, Any] | None:
        status = status_of(run_elasticdl, job)
        round_ = status["round"]
        return status if round_ is not None and round_["members"] == [*workers] else None

    with digits_job(tmp_path, model_zoo, digits, 2, 1000) as command:
        eventually(JobDirectory(job).has_job, 60, command)
        before = eventually(lambda: trains(0, 1), 60, command)
        assert before["workers_wanted"] == 2
        assert sorted(worker["rank"] for worker in before["workers"]) == [0, 1]
        scaled = run_elasticdl("scale", job, "--num_workers", 1)
        assert scaled.exit_code == 0, scaled.stderr
        after = eventually(lambda: trains(0), 60, command)
        assert after["workers_wanted"] == 1
        assert after["round"]["number"] > before["round"]["number"]
        shown = run_elasticdl("status", job)
        assert "worker 0:" in shown.stdout
        command.press_ctrl_c()
        finished = command.wait(60)
        assert command.processes() == set()
    assert finished.exit_code == 130
    assert "worker 1" in finished.stderr
