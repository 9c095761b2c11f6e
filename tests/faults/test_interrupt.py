"""Interrupted commands: a quick end, a clear word, and no process left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elasticdl_command import Finished, RunningCommand, eventually
from elasticdl_like.master.reports import load_ledger, load_status
from training_job import WriteModel, elasticdl, train_arguments, wait_for_step, worker_pid


@contextmanager
def training(zoo: Path, data: Path, directory: Path) -> Iterator[RunningCommand]:
    """Runs a job that would take for ever, which has begun."""
    job = directory / "job"
    arguments = train_arguments(zoo, data, job, "--num_epochs", 10**6)
    with elasticdl(directory, *arguments) as command:
        wait_for_step(job, 1, command)
        assert command.processes() == {command.pid, worker_pid(job)}
        yield command


def end(command: RunningCommand, stop: Callable[[], None]) -> Finished:
    """Waits for the end that `stop` brings about, and checks that nothing is left."""
    stop()
    finished = command.wait(timeout=20)
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
    write_model: WriteModel, data: Path, tmp_path: Path, how: str
) -> None:
    zoo = write_model(STUBBORN if "stubborn" in how else "")
    with training(zoo, data, tmp_path) as command:

        def stop() -> None:
            if how == "SIGTERM":
                os.kill(command.pid, signal.SIGTERM)
                return
            command.press_ctrl_c()
            if "twice" in how:
                eventually((tmp_path / "told-to-end").exists, 10, command)
                command.press_ctrl_c()

        finished = end(command, stop)
    assert finished.exit_code == 130
    assert finished.stderr.splitlines()[-1] == "elasticdl: interrupted"
    assert load_status(tmp_path / "job")["state"] == "interrupted"
    ledger = load_ledger(tmp_path / "job")["epochs"]
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
    with elasticdl(tmp_path, *train_arguments(zoo, "here", tmp_path / "job")) as listing:
        eventually((tmp_path / "listing").exists, 20, listing)
        finished = end(listing, lambda: os.kill(listing.pid, signal.SIGTERM))
    assert finished.exit_code == 130
    assert finished.stderr.strip() == "elasticdl: interrupted"
