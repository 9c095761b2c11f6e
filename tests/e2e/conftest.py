"""One finished job, which several tests look at from different sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from elasticdl_command import Finished, run
from inference_job import TrainedDigits, train_digits
from odps_server import Control, odps_server_process


@dataclass(frozen=True)
class TrainedJob:
    """A job that trained the digits for four epochs; look, do not touch."""

    finished: Finished
    directory: Path
    output: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, model_zoo: Path, digits: Path) -> TrainedJob:
    root = tmp_path_factory.mktemp("trained")
    finished = run(
        "train",
        *("--model_zoo", model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
        *("--training_data", digits / "train", "--validation_data", digits / "validation"),
        *("--num_epochs", 4, "--minibatch_size", 64, "--num_minibatches_per_task", 4),
        *("--checkpoint_steps", 25, "--keep_checkpoint_max", 2),
        *("--job_name", "digits", "--job_dir", root / "job", "--output", root / "model"),
        directory=root,
    )
    assert finished.exit_code == 0, finished.stderr
    return TrainedJob(finished, root / "job", root / "model")


@pytest.fixture
def odps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    """A server of MaxCompute tables as a process, which the environment leads to."""
    with odps_server_process() as server:
        for name, value in (
            ("PROJECT", server.project),
            ("AK", server.access_id),
            ("SK", server.access_key),
            ("ENDPOINT", server.endpoint),
            ("TUNNEL_ENDPOINT", server.tunnel_endpoint),
        ):
            monkeypatch.setenv(f"MAXCOMPUTE_{name}", value)
        yield server


@pytest.fixture(scope="session")
def trained_digits(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> TrainedDigits:
    """A model that Keras alone has trained."""
    return train_digits(tmp_path_factory.mktemp("model"), digits)
