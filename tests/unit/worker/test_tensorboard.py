"""The curves of a training, read back as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from curves import read_curves
from elasticdl_like.worker.tensorboard import Curves

RATE = "batch_steps_per_second"


@pytest.fixture
def optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(0.5)


def test_the_names_are_those_of_keras(
    tmp_path: Path, optimizer: keras.optimizers.Optimizer
) -> None:
    curves = Curves(str(tmp_path), 0)
    curves.add_steps(5, 3.0, optimizer)
    curves.add_steps(10, 2.0, optimizer)
    curves.add_evaluation(10, {"loss": 2.5, "accuracy": 0.25})
    curves.add_epoch(10, {"loss": 2.75, "val_loss": 2.5, "val_accuracy": 0.25}, optimizer)
    curves.close()
    training = read_curves(tmp_path / "train")
    assert all(value > 0 for _, value in training.pop(RATE))
    assert training == {
        "batch_loss": [(5, 3.0), (10, 2.0)],
        "batch_learning_rate": [(5, 0.5), (10, 0.5)],
        "epoch_loss": [(10, 2.75)],
        "epoch_learning_rate": [(10, 0.5)],
    }
    assert read_curves(tmp_path / "validation") == {
        "evaluation_loss_vs_iterations": [(10, 2.5)],
        "evaluation_accuracy_vs_iterations": [(10, 0.25)],
        "epoch_loss": [(10, 2.5)],
        "epoch_accuracy": [(10, 0.25)],
    }


def test_a_learning_rate_schedule_is_followed(tmp_path: Path) -> None:
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 0.25])
    optimizer = keras.optimizers.SGD(schedule)
    optimizer.build([keras.Variable(1.0)])
    curves = Curves(str(tmp_path), 0)
    curves.add_steps(1, 1.0, optimizer)
    optimizer.iterations.assign(2)
    curves.add_steps(2, 1.0, optimizer)
    assert read_curves(tmp_path / "train")["batch_learning_rate"] == [(1, 0.5), (2, 0.25)]
    curves.close()


def test_points_are_there_at_once_and_those_of_undone_steps_do_not_count(
    tmp_path: Path, optimizer: keras.optimizers.Optimizer
) -> None:
    killed = Curves(str(tmp_path), 0)
    for step in (2, 4, 6):
        killed.add_steps(step, float(step), optimizer)
    loss = [(2, 2.0), (4, 4.0), (6, 6.0)]
    assert read_curves(tmp_path / "train")["batch_loss"] == loss
    # Nobody has closed it; others go on, in the same second.
    after = Curves(str(tmp_path), 4)
    after.add_steps(5, 50.0, optimizer)
    assert read_curves(tmp_path / "train")["batch_loss"] == [*loss[:2], (5, 50.0)]
    again = Curves(str(tmp_path), 5)
    again.add_steps(6, 60.0, optimizer)
    assert read_curves(tmp_path / "train")["batch_loss"] == [*loss[:2], (5, 50.0), (6, 60.0)]
    for each in (killed, after, again):
        each.close()


def test_without_a_directory_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: keras.optimizers.Optimizer
) -> None:
    monkeypatch.chdir(tmp_path)
    curves = Curves("", 0)
    curves.add_steps(1, 1.0, optimizer)
    curves.add_epoch(1, {"loss": 1.0}, optimizer)
    curves.add_evaluation(1, {"loss": 1.0})
    curves.close()
    assert list(tmp_path.iterdir()) == []


def test_who_adds_nothing_leaves_no_file(tmp_path: Path) -> None:
    curves = Curves(str(tmp_path), 0)
    curves.add_evaluation(1, {})
    curves.close()
    assert list(tmp_path.iterdir()) == []


def test_training_goes_on_where_curves_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, optimizer: keras.optimizers.Optimizer
) -> None:
    directory = tmp_path / "curves"
    curves = Curves(str(directory), 0)
    directory.write_text("a file")
    curves.add_steps(1, 1.0, optimizer)
    directory.unlink()
    curves.add_steps(2, 1.0, optimizer)
    curves.close()
    (warning,) = caplog.messages
    assert f"the curves in --tensorboard_dir {directory} end at step 1" in warning
    assert not directory.exists()
