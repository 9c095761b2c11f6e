"""Workers that die: one that is killed is replaced; one that keeps crashing fails the job."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from elasticdl_command import RunElasticdl, eventually
from elasticdl_like.master.reports import load_ledger, load_status
from training_job import (
    HELD_AT_STEP,
    HOLD,
    NUM_EPOCHS,
    STEPS_PER_EPOCH,
    WriteModel,
    held_training,
    steps_of,
    steps_taken,
    train_arguments,
    worker_pid,
)

# The first process is told to end inside of code that makes another error of every error, as
# TensorFlow does.
PREEMPTED_ONCE = """
make_model = custom_model


def custom_model():
    import os
    import pathlib
    import signal
    import time

    if not pathlib.Path("preempted").exists():
        pathlib.Path("preempted").touch()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except BaseException as error:
            raise TypeError("an error of the model, it seems") from error
    return make_model()
"""

CRASH = """
def callbacks():
    import keras

    class Crash(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                print("these are my last words", flush=True)
                __import__("os")._exit(3)

    return [Crash()]
"""


def test_a_worker_that_is_told_to_end_or_killed_is_replaced_and_the_job_goes_on_from_the_checkpoint(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    with held_training(write_model(HOLD + PREEMPTED_ONCE), data, tmp_path) as command:
        assert "worker 0 is lost: it ended with exit code 143; the job goes on" in command.stderr
        killed = worker_pid(job)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: worker_pid(job) not in (0, killed), 20, command)
        (tmp_path / "go").touch()
        finished = command.wait(90)
        assert command.processes() == set()
    assert finished.exit_code == 0, finished.stderr
    assert re.search(
        f"worker 0 is lost: it was killed by SIGKILL; the job goes on from step {STEPS_PER_EPOCH} "
        r"\(epoch 2\) with a new process in 1 s; log: .*worker-0\.log",
        finished.stderr,
    )
    before = [*steps_of(0), *steps_of(1, HELD_AT_STEP - STEPS_PER_EPOCH)]
    assert steps_taken(tmp_path) == [*before, *steps_of(1), *steps_of(2)]
    assert load_status(job)["state"] == "finished"
    assert [
        (each["committed"], each["missing"], each["leases_lost"] > 0)
        for each in load_ledger(job)["epochs"]
    ] == [(100, 0, epoch == 1) for epoch in range(NUM_EPOCHS)]
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0


def test_a_worker_that_keeps_crashing_fails_the_job_and_its_last_words_are_shown(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    arguments = train_arguments(write_model(CRASH), data, job, "--max_worker_restarts", 1)
    finished = run_elasticdl(*arguments, timeout=90)
    assert finished.exit_code == 1
    assert "ended with exit code 3 (crash 1, --max_worker_restarts 1)" in finished.stderr
    _, _, error = finished.stderr.partition("elasticdl: error: ")
    log = job / "logs" / "worker-0.log"
    end = f"crash 2, --max_worker_restarts 1: worker 0 ended with exit code 3; the end of {log}:"
    assert error.splitlines()[0] == f"job model failed: {end}"
    assert error.splitlines()[-1] == "    these are my last words"
    assert log.read_text().count("these are my last words") == 2
    status, (epoch,) = load_status(job), load_ledger(job)["epochs"]
    assert (status["state"], status["workers"]) == ("failed", [])
    assert (epoch["committed"], epoch["leased"], epoch["missing"]) == (0, 0, None)
