"""The curves for TensorBoard of a job whose worker is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from curves import read_curves
from elasticdl_command import RunElasticdl
from elasticdl_like.master.reports import load_status
from training_job import (
    HELD_AT_STEP,
    HOLD,
    NUM_EPOCHS,
    STEPS_PER_EPOCH,
    WriteModel,
    elasticdl,
    train_arguments,
    wait_for_step,
    worker_pid,
)

LAST_STEP = NUM_EPOCHS * STEPS_PER_EPOCH


def test_no_step_is_in_a_curve_twice(write_model: WriteModel, data: Path, tmp_path: Path) -> None:
    job, curves = tmp_path / "job", tmp_path / "curves"
    flags = ("--tensorboard_dir", curves, "--log_loss_steps", 1, "--validation_data", data)
    arguments = train_arguments(write_model(HOLD), data, job, *flags)
    with elasticdl(tmp_path, *arguments) as command:
        wait_for_step(job, HELD_AT_STEP, command)
        steps = [step for step, _ in read_curves(curves / "train")["batch_loss"]]
        assert steps == [*range(1, HELD_AT_STEP)]  # in which the worker stands still
        os.kill(worker_pid(job), signal.SIGKILL)
        (tmp_path / "go").touch()
        finished = command.wait(90)
    assert finished.exit_code == 0, finished.stderr
    training, validation = read_curves(curves / "train"), read_curves(curves / "validation")
    assert len(list((curves / "train").iterdir())) == 2
    ends = [epoch * STEPS_PER_EPOCH for epoch in range(1, NUM_EPOCHS + 1)]
    assert {name: [step for step, _ in points] for name, points in training.items()} == {
        "batch_loss": [*range(1, LAST_STEP + 1)],
        "batch_learning_rate": [*range(1, LAST_STEP + 1)],
        "batch_steps_per_second": [*range(1, LAST_STEP + 1)],
        "epoch_loss": ends,
        "epoch_learning_rate": ends,
    }
    reported = [(each["step"], each["metrics"]["loss"]) for each in load_status(job)["evaluations"]]
    assert [step for step, _ in reported] == ends
    assert validation["evaluation_loss_vs_iterations"] == validation["epoch_loss"]
    for point, evaluation in zip(validation["epoch_loss"], reported, strict=True):
        assert point == pytest.approx(evaluation, rel=1e-6)


def test_a_directory_that_cannot_be_made_is_refused_at_once(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    flags = ("--tensorboard_dir", "file/curves")
    job = tmp_path / "job"
    finished = run_elasticdl(*train_arguments(write_model(), data, job, *flags))
    assert finished.exit_code == 1
    place = tmp_path / "file" / "curves"
    refusal = f"error: --tensorboard_dir {place} cannot be made: Not a directory"
    assert finished.stderr.splitlines()[-1] == f"elasticdl: {refusal}"
