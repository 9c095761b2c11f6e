"""Evaluations and predictions whose workers and masters are killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elasticdl_command import Finished, RunElasticdl, RunningCommand, eventually, running
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.reports import load_ledger, load_status
from elasticdl_like.platforms.worker_record import WorkerRecords
from inference_job import MODEL_DEF, assert_predicted, read_rows, write_numbers
from odps_reading import access_to
from odps_server import odps_server_process

NUM_RECORDS = 3000
NUM_WORKERS = 2
NUM_KILLS = 5
BATCH = 20
EXPECTED = 3.0 * np.arange(NUM_RECORDS) + 1.0
# How the environment calls them, where that differs.
ENVIRONMENT = {"access_id": "AK", "access_key": "SK"}

# It says 3 x + 1 of x, for which it takes its time.
MODEL_FILE = """
import time

import keras
import tensorflow as tf


def make():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def loss(labels, predictions):
    return tf.square(labels - predictions)


def slowly(values):
    time.sleep(0.03)
    return values


def feed_batch(records, mode, metadata):
    values = tf.reshape(tf.strings.to_number(records), [-1, 1])
    values = tf.ensure_shape(tf.numpy_function(slowly, [values], tf.float32), [None, 1])
    return values if mode == "prediction" else (values, 2 * values)


def eval_metrics_fn():
    return {"mae": keras.metrics.MeanAbsoluteError()}
"""

# More of it: a processor for each way to take whole tasks.
WHOLE_TASKS = """
class PredictionOutputsProcessor:
    def process_task(self, predictions, task):
        import os
        import pathlib

        import numpy as np

        name = f"{pathlib.Path(task.shard_name).stem}-{task.start}-{task.end}"
        written = pathlib.Path(f"{name}-{os.getpid()}.tmp.npy")
        np.save(written, predictions)
        written.replace(f"{name}.npy")
"""

MAXCOMPUTE = """
from elasticdl_like.prediction_outputs.odps import OdpsPredictionOutputsProcessor


class PredictionOutputsProcessor(OdpsPredictionOutputsProcessor):
    def __init__(self):
        super().__init__("predicted", ["shard", "row", "value"], ["string", "bigint", "double"])

    def to_columns(self, predictions, task):
        rows = list(range(task.start, task.end))
        values = predictions[:, 0].astype("float64")
        return {"shard": [task.shard_name] * len(rows), "row": rows, "value": values}
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model zoo with a model file, and `trained.keras`."""
    import keras

    directory = tmp_path_factory.mktemp("zoo")
    for name, more in (("model", ""), ("whole_tasks", WHOLE_TASKS), ("maxcompute", MAXCOMPUTE)):
        (directory / f"{name}.py").write_text(f"{MODEL_FILE}\n{more}")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[3.0]]), np.array([1.0])])
    model.save(directory / "trained.keras")
    return directory


def run_with_kills(
    arguments: Sequence[object], job: Path, directory: Path, seed: int
) -> tuple[Finished, int]:
    """Runs a command, kills its processes, and gives it again as often as it takes.

    Returns:
        How it ended, and how many processes were killed.
    """
    moments = random.Random(seed)
    killed = 0
    with ExitStack() as stack:
        commands: list[RunningCommand] = []
        while True:
            # The workers of an earlier one live, and look for the new master.
            command = stack.enter_context(running(["-m", "elasticdl_like", *arguments], directory))
            commands.append(command)
            while killed < NUM_KILLS and _runs_for(moments.uniform(0.5, 5.0), command):
                if moments.random() < 0.35:
                    os.kill(command.pid, signal.SIGKILL)
                    killed += 1
                    break
                killed += _kill_worker(job, moments.randrange(NUM_WORKERS))
            finished = command.wait(150)
            if finished.exit_code != -signal.SIGKILL:
                assert [each.processes() for each in commands] == [set()] * len(commands)
                return finished, killed
            if JobDirectory(job).has_job() and load_status(job)["state"] == "finished":
                return replace(finished, exit_code=0), killed  # killed when all was done


def _runs_for(seconds: float, command: RunningCommand) -> bool:
    """Lets a command run for a while; returns whether it still does."""
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s and command.exit_code is None:
        time.sleep(0.02)
    return command.exit_code is None


def _kill_worker(job: Path, worker_id: int) -> int:
    """Kills the process of a worker; returns how many were killed."""
    record = WorkerRecords(JobDirectory(job).workers).load(worker_id)
    if record is None or record.pid is None:
        return 0
    try:
        os.kill(record.pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def predict_arguments(zoo: Path, model: str, data: Path, job: Path) -> tuple[object, ...]:
    return (
        *("predict", "--model_zoo", zoo, "--model_def", f"{model}.make"),
        *("--model_path", zoo / "trained.keras", "--prediction_data", data, "--job_dir", job),
        *("--num_workers", NUM_WORKERS, "--minibatch_size", BATCH),
        *("--num_minibatches_per_task", 2),
    )


def places_in(data: Path) -> list[tuple[str, int]]:
    """Returns shard and index of each record of `write_numbers`, in their order."""
    return [
        (str(data / f"numbers-{number}.recordio"), index)
        for number in range(3)
        for index in range(NUM_RECORDS // 3)
    ]


def check_ledger(job: Path, run_elasticdl: RunElasticdl) -> None:
    (entry,) = load_ledger(job)["epochs"]
    assert (entry["committed"], entry["missing"]) == (NUM_RECORDS, 0)
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_record_is_predicted_once(
    zoo: Path, run_elasticdl: RunElasticdl, tmp_path: Path, seed: int
) -> None:
    job, output = tmp_path / "job", tmp_path / "output"
    data = write_numbers(tmp_path / "data", NUM_RECORDS)
    arguments = (*predict_arguments(zoo, "model", data, job), "--prediction_output", output)
    finished, killed = run_with_kills(arguments, job, tmp_path, seed)
    assert finished.exit_code == 0, finished.stderr
    assert killed, "nothing was killed; the job was too fast"
    rows = read_rows(output, "parquet")
    assert_predicted(rows, places_in(data), EXPECTED[:, None])
    check_ledger(job, run_elasticdl)


@pytest.mark.timeout(400)
def test_tasks_come_whole_and_none_is_left_out(
    zoo: Path, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    data = write_numbers(tmp_path / "data", NUM_RECORDS)
    arguments = predict_arguments(zoo, "whole_tasks", data, job)
    finished, killed = run_with_kills(arguments, job, tmp_path, seed=6)
    assert finished.exit_code == 0, finished.stderr
    assert killed, "nothing was killed; the job was too fast"
    found = {}
    for path in tmp_path.glob("numbers-?-*.npy"):
        if not path.name.endswith(".tmp.npy"):
            shard, start, end = path.stem.rsplit("-", 2)
            values = np.load(path)[:, 0]
            assert len(values) == int(end) - int(start)
            for index, value in zip(range(int(start), int(end)), values, strict=True):
                place = (str(data / f"{shard}.recordio"), index)
                assert place not in found
                found[place] = value
    values = np.array([found[place] for place in places_in(data)])
    np.testing.assert_allclose(values, EXPECTED, rtol=1e-5)
    check_ledger(job, run_elasticdl)


@pytest.mark.timeout(400)
def test_a_table_gets_every_row_once(
    zoo: Path, run_elasticdl: RunElasticdl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "job"
    data = write_numbers(tmp_path / "data", NUM_RECORDS)
    with odps_server_process() as server:
        for name, value in access_to(server).items():
            monkeypatch.setenv(f"MAXCOMPUTE_{ENVIRONMENT.get(name, name.upper())}", value)
        arguments = predict_arguments(zoo, "maxcompute", data, job)
        finished, killed = run_with_kills(arguments, job, tmp_path, seed=7)
        assert finished.exit_code == 0, finished.stderr
        assert killed, "nothing was killed; the job was too fast"
        rows = server.rows("predicted").to_pylist()
    rows.sort(key=lambda row: (row["shard"], row["row"]))
    assert [(row["shard"], row["row"]) for row in rows] == places_in(data)
    np.testing.assert_allclose([row["value"] for row in rows], EXPECTED, rtol=1e-5)
    check_ledger(job, run_elasticdl)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [4, 5])
def test_every_record_is_evaluated_once(
    zoo: Path, run_elasticdl: RunElasticdl, tmp_path: Path, seed: int
) -> None:
    job = tmp_path / "job"
    data = write_numbers(tmp_path / "data", NUM_RECORDS)
    arguments = (
        *("evaluate", "--model_zoo", zoo, *MODEL_DEF, "--model_path", zoo / "trained.keras"),
        *("--validation_data", data, "--job_dir", job),
        *("--num_workers", NUM_WORKERS, "--minibatch_size", BATCH),
        *("--num_minibatches_per_task", 2),
    )
    finished, killed = run_with_kills(arguments, job, tmp_path, seed)
    assert finished.exit_code == 0, finished.stderr
    assert killed, "nothing was killed; the job was too fast"
    off_by = np.arange(NUM_RECORDS) + 1.0
    assert load_status(job)["evaluations"][-1]["metrics"] == pytest.approx(
        {"loss": np.mean(off_by**2), "mae": np.mean(off_by)}, rel=1e-6
    )
    check_ledger(job, run_elasticdl)


@pytest.mark.timeout(300)
def test_goes_on_after_ctrl_c_with_more_workers(
    zoo: Path, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    job, output = tmp_path / "job", tmp_path / "output"
    data = write_numbers(tmp_path / "data", NUM_RECORDS)
    arguments = (*predict_arguments(zoo, "model", data, job), "--prediction_output", output)
    with running(["-m", "elasticdl_like", *arguments, "--num_workers", 1], tmp_path) as command:

        def has_begun() -> bool:
            return JobDirectory(job).has_job() and load_ledger(job)["epochs"][0]["leased"] > 0

        eventually(has_begun, 90, command)
        command.press_ctrl_c()
        interrupted = command.wait(60)
        assert command.processes() == set()
    assert interrupted.exit_code == 130
    assert interrupted.stderr.endswith("elasticdl: interrupted\n")
    assert not (output / "_SUCCESS").exists()
    finished = run_elasticdl(*arguments, timeout=150)
    assert finished.exit_code == 0, finished.stderr
    assert_predicted(read_rows(output, "parquet"), places_in(data), EXPECTED[:, None])
    check_ledger(job, run_elasticdl)
