"""Evaluations that several workers share: each record counts once, whoever has looked at it."""

from __future__ import annotations

import collections
import os
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from elasticdl_command import RunElasticdl, eventually, running
from elasticdl_like.config import (
    DataConfig,
    InferenceConfig,
    JobConfig,
    JobKind,
    ModelConfig,
    TrainingConfig,
)
from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.master.main import Master
from elasticdl_like.master.reports import load_ledger, load_status
from elasticdl_like.tasks import Commit, EpochKey, LeaseReply
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker import evaluate_job
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from master_thread import ticking_master

NUM_RECORDS = 96

# Records are pairs of a number and what a model should say of it. Each batch that is evaluated is
# written down. Nobody gets on with an evaluation before all members of a round have begun it.
MODEL = """
import os
import pathlib
import time

import keras
import tensorflow as tf

from elasticdl_like.data_readers import RecordIODataReader


class CustomDataReader(RecordIODataReader):
    def read_record_batches(self, task):
        members = pathlib.Path("members")
        if task.type == "evaluation" and members.exists():
            begun = pathlib.Path(f"begun-{task.epoch}")
            with begun.open("a") as file:
                file.write(f"{os.getpid()}\\n")
            deadline_s = time.monotonic() + 60
            while len(set(begun.read_text().split())) < int(members.read_text()):
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
        yield from super().read_record_batches(task)


def make():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def optimizer():
    return keras.optimizers.SGD(1e-5)


def loss(labels, predictions):
    return tf.reduce_mean(tf.square(labels - predictions))


def note(values):
    with open("evaluated.log", "a") as file:
        file.write("".join(f"{os.getpid()} {int(value)}\\n" for value in values[:, 0]))
    return values


def feed_batch(records, mode, metadata):
    values = tf.strings.to_number(tf.reshape(tf.strings.split(records, " ").values, [-1, 2]))
    features = values[:, :1]
    if mode == "evaluation":
        features = tf.ensure_shape(tf.numpy_function(note, [features], tf.float32), [None, 1])
    return features, values[:, 1:]


def error(labels, predictions):
    return tf.abs(labels - predictions)


def eval_metrics_fn():
    return {"mse": keras.metrics.MeanSquaredError(), "r2": keras.metrics.R2Score(), "error": error}
"""


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    path = tmp_path / "zoo" / "shared_model.py"
    path.parent.mkdir()
    path.write_text(MODEL)
    return path.parent


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.recordio"
    random = np.random.RandomState(0)
    with RecordIOWriter(path) as writer:
        for number in range(NUM_RECORDS):
            writer.write(b"%d %.3f" % (number, number / 10 + random.randn()))
    return path


def labels_of(data: Path) -> np.ndarray[Any, Any]:
    random = np.random.RandomState(0)
    return np.array(
        [float(f"{number / 10 + random.randn():.3f}") for number in range(NUM_RECORDS)], np.float32
    ).astype(np.float64)


def expected_metrics(model: keras.Model, data: Path) -> dict[str, Any]:
    labels = labels_of(data)
    features = np.arange(NUM_RECORDS, dtype=np.float32)[:, None]
    predictions = model(features).numpy()[:, 0].astype(np.float64)
    mse = np.mean((labels - predictions) ** 2)
    expected = {
        "loss": mse,
        "mse": mse,
        "r2": 1 - mse / np.var(labels),
        "error": np.mean(np.abs(labels - predictions)),
    }
    return {name: pytest.approx(value, rel=1e-6) for name, value in expected.items()}


class HeldClient(MasterClient):
    """Keeps its first commits to itself until it is let go."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.holds = threading.Event()
        self.go = threading.Event()
        self.fenced: list[int] = []

    def commit_and_lease(
        self, key: EpochKey, commits: Sequence[Commit], *arguments: Any
    ) -> LeaseReply:
        if commits:
            self.holds.set()
            assert self.go.wait(60)
        reply = super().commit_and_lease(key, commits, *arguments)
        self.fenced += reply.fenced_steps
        return reply


@pytest.fixture
def model(tmp_path: Path) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[0.11]]), np.array([0.3])])
    model.save(tmp_path / "model.keras")
    return model


@pytest.fixture
def master(tmp_path: Path, zoo: Path, data: Path, model: keras.Model) -> Iterator[Master]:
    """The master of an evaluation of two tasks."""
    config = JobConfig(
        "evaluated",
        DataConfig("", str(data)),
        ModelConfig(str(zoo), "shared_model.make"),
        training=TrainingConfig(minibatch_size=8, num_minibatches_per_task=8, shuffle=False),
        kind=JobKind.EVALUATION,
        inference=InferenceConfig(model_path=str(tmp_path / "model.keras")),
    )
    with ticking_master(config, tmp_path / "job") as running:
        yield running


def committed(job: Path) -> int:
    (entry,) = load_ledger(job)["epochs"]
    return int(entry["committed"])


def test_what_a_slow_worker_made_of_a_lost_part_does_not_count(
    master: Master,
    model: keras.Model,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    job = tmp_path / "job"
    locator = MasterLocator.of_job(job)

    def work(client: MasterClient) -> None:
        config, _ = client.register(None, "a worker")
        with Heartbeat(client, 0.1):
            evaluate_job.run(client, config, TimeSpent())
            client.leave("")
        client.close()

    slow, quick = HeldClient(locator, 30.0), MasterClient(locator, 30.0)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(work, slow)
        eventually(slow.holds.is_set, 60)
        second = threads.submit(work, quick)
        # It gets what was cut off of the lease of the other.
        eventually(lambda: committed(job) > 0, 60)
        before = committed(job)
        eventually(lambda: committed(job) > before or committed(job) > 32, 60)
        slow.go.set()
        first.result(60)
        second.result(60)
    assert slow.fenced
    (entry,) = load_ledger(job)["epochs"]
    assert (entry["committed"], entry["missing"]) == (NUM_RECORDS, 0)
    status = load_status(job)
    assert status["evaluations"][-1]["metrics"] == expected_metrics(model, data)
    # Otherwise nothing would have been at stake.
    assert max(looked_at(tmp_path).values()) > 1


def looked_at(directory: Path) -> collections.Counter[int]:
    """Returns how often each record was evaluated."""
    lines = (directory / "evaluated.log").read_text().splitlines()
    return collections.Counter(int(line.split()[1]) for line in lines)


def who_looked(directory: Path) -> Collection[str]:
    return {line.split()[0] for line in (directory / "evaluated.log").read_text().splitlines()}


def train_arguments(directory: Path, data: Path, num_workers: int) -> tuple[object, ...]:
    return (
        *("train", "--num_workers", num_workers, "--job_dir", directory / "job"),
        *("--distribution_strategy", "AllReduce", "--min_workers", num_workers),
        *("--model_zoo", directory / "zoo", "--model_def", "shared_model.make"),
        *("--training_data", data, "--validation_data", data, "--output", directory / "out"),
        *("--num_epochs", 2, "--minibatch_size", 4, "--num_minibatches_per_task", 1),
    )


def check_evaluations(directory: Path, data: Path) -> None:
    """Checks that each epoch had a whole evaluation, and the last one its right result."""
    ledger = load_ledger(directory / "job")["epochs"]
    evaluations = [each for each in ledger if each["type"] == "evaluation"]
    assert [(each["committed"], each["missing"]) for each in evaluations] == [(NUM_RECORDS, 0)] * 2
    model = keras.models.load_model(directory / "out" / "model.keras", compile=False)
    metrics = load_status(directory / "job")["evaluations"][-1]["metrics"]
    assert metrics == expected_metrics(model, data)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.usefixtures("zoo")
def test_all_members_of_a_round_evaluate(
    run_elasticdl: RunElasticdl, data: Path, tmp_path: Path, num_workers: int
) -> None:
    (tmp_path / "members").write_text(str(num_workers))
    finished = run_elasticdl(*train_arguments(tmp_path, data, num_workers), timeout=150)
    assert finished.exit_code == 0, finished.stderr
    check_evaluations(tmp_path, data)
    assert looked_at(tmp_path) == dict.fromkeys(range(NUM_RECORDS), 2)
    assert len(who_looked(tmp_path)) == num_workers


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("zoo")
def test_an_evaluation_in_which_a_member_dies_is_made_anew(data: Path, tmp_path: Path) -> None:
    members, begun = tmp_path / "members", tmp_path / "begun-0"
    members.write_text("3")  # who never come
    arguments = train_arguments(tmp_path, data, 2)
    with running(["-m", "elasticdl_like", *arguments], tmp_path) as command:
        pids = eventually(
            lambda: begun.exists() and len(found := {*begun.read_text().split()}) == 2 and found,
            *(100, command),
        )
        os.kill(int(max(pids)), signal.SIGKILL)
        members.write_text("1")
        finished = command.wait(100)
    assert finished.exit_code == 0, finished.stderr
    assert len({*begun.read_text().split()} - {*pids}) > 0
    check_evaluations(tmp_path, data)
