"""Interrupted commands and dying workers: a quick end, a clear word, and no process left."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from elasticdl_command import Finished, RunElasticdl, RunningCommand, eventually, run, running

WriteModel = Callable[..., Path]


@contextmanager
def training(zoo: Path, data: Path, directory: Path) -> Iterator[tuple[RunningCommand, int]]:
    """Runs a job that would take for ever; yields the command and its worker's process id."""
    job = directory / "job"
    command = [
        *("-m", "elasticdl_like", "train", "--model_zoo", zoo, "--model_def", "model.custom_model"),
        *("--training_data", data, "--num_epochs", 10**6, "--minibatch_size", 10),
        *("--job_dir", job),
    ]
    with running(command, directory) as running_command:

        def status_in_training() -> dict[str, Any] | None:
            if not (job / "job.json").exists():
                return None
            status: dict[str, Any] = json.loads((job / "job.json").read_text())["status"]
            return status if status["step"] > 0 else None

        eventually(status_in_training, 60, running_command)
        (worker,) = json.loads(run("status", job, "--json", directory=directory).stdout)["workers"]
        worker_pid = int(worker["description"].rpartition(" pid ")[2])
        assert running_command.processes() == {running_command.pid, worker_pid}
        yield running_command, worker_pid


def end(command: RunningCommand, stop: Callable[[], None]) -> Finished:
    """Waits for the end that `stop` brings about, and checks that nothing is left."""
    stop()
    finished = command.wait(timeout=5)
    assert command.processes() == set()
    assert "Traceback" not in finished.stderr
    return finished


# A worker that cannot be ended by SIGTERM, and tells that it got one.
STUBBORN = """
import pathlib
import signal

signal.signal(signal.SIGTERM, lambda *_: pathlib.Path("told-to-end").touch())
"""


@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-C twice, with a stubborn worker", "SIGTERM"])
def test_interrupted_training_leaves_nothing_behind(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path, how: str
) -> None:
    zoo = write_model(STUBBORN if "stubborn" in how else "")
    with training(zoo, data, tmp_path) as (command, _):

        def stop() -> None:
            if how == "SIGTERM":
                os.kill(command.pid, signal.SIGTERM)
                return
            command.press_ctrl_c()
            if "twice" in how:
                eventually((tmp_path / "told-to-end").exists, 2, command)
                command.press_ctrl_c()

        finished = end(command, stop)
    assert finished.exit_code == 130
    assert finished.stderr.splitlines()[-1] == "elasticdl: interrupted"
    status = json.loads(run_elasticdl("status", tmp_path / "job", "--json").stdout)
    assert status["state"] == "interrupted"
    ledger = json.loads(run_elasticdl("ledger", tmp_path / "job", "--json").stdout)["epochs"]
    assert [each["missing"] for each in ledger[:-1]] == [0] * (len(ledger) - 1)
    assert not (tmp_path / "job" / "endpoint").exists()


def test_interrupted_while_a_reader_lists_its_shards(
    write_model: WriteModel, tmp_path: Path
) -> None:
    zoo = write_model(
        model="import pathlib, time\n"
        "class CustomDataReader:\n"
        "    def create_shards(self):\n"
        "        pathlib.Path('listing').touch()\n"
        "        time.sleep(600)\n"
        "    def read_records(self, task):\n"
        "        return iter(())\n"
    )
    command = [
        *("-m", "elasticdl_like", "train", "--model_zoo", zoo, "--model_def", "model.custom_model"),
        *("--training_data", "here", "--job_dir", tmp_path / "job"),
    ]
    with running(command, tmp_path) as listing:
        eventually((tmp_path / "listing").exists, 20, listing)
        finished = end(listing, lambda: os.kill(listing.pid, signal.SIGTERM))
    assert finished.exit_code == 130
    assert finished.stderr.strip() == "elasticdl: interrupted"


def test_killed_worker_fails_the_job(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    with training(write_model("print('this is my log')"), data, tmp_path) as (command, worker_pid):
        finished = end(command, lambda: os.kill(worker_pid, signal.SIGKILL))
    assert finished.exit_code == 1
    _, _, error = finished.stderr.partition("elasticdl: error: ")
    log = tmp_path / "job" / "logs" / "worker-0.log"
    assert f"worker 0 was killed by SIGKILL; the end of {log}:" in error.splitlines()[0]
    assert "\n    this is my log" in error
    status = json.loads(run_elasticdl("status", tmp_path / "job", "--json").stdout)
    assert (status["state"], status["workers"]) == ("failed", [])
    ledger = json.loads(run_elasticdl("ledger", tmp_path / "job", "--json").stdout)["epochs"]
    assert [each["missing"] for each in ledger[:-1]] == [0] * (len(ledger) - 1)
    assert ledger[-1]["leased"] == 0


def test_crashing_worker_fails_the_job_and_its_last_words_are_shown(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    zoo = write_model(
        "import keras\n"
        "class Crash(keras.callbacks.Callback):\n"
        "    def on_train_batch_end(self, batch, logs=None):\n"
        "        if batch == 3:\n"
        "            print('these are my last words', flush=True)\n"
        "            __import__('os')._exit(3)\n"
        "\n"
        "def callbacks():\n"
        "    return [Crash()]\n"
    )
    finished = run_elasticdl(
        *("train", "--model_zoo", zoo, "--model_def", "model.custom_model"),
        *("--training_data", data, "--minibatch_size", 10, "--job_dir", tmp_path / "job"),
    )
    assert finished.exit_code == 1
    _, _, error = finished.stderr.partition("elasticdl: error: ")
    log = tmp_path / "job" / "logs" / "worker-0.log"
    assert f"worker 0 ended with exit code 3; the end of {log}:" in error.splitlines()[0]
    assert error.splitlines()[-1] == "    these are my last words"
    assert "these are my last words" in log.read_text()
