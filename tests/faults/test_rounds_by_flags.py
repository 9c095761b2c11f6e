"""Jobs of several workers that end otherwise than with their last epoch."""

from __future__ import annotations

import re
from pathlib import Path

from elasticdl_command import RunElasticdl
from elasticdl_like.master.reports import load_ledger, load_status
from training_job import MODEL_DEF, WriteModel

# Callbacks are called by the chief alone; the model runs in each member.
FAILS_IN_CALLBACK = """
def callbacks():
    import keras

    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise ValueError("the callback has had enough")

    return [Fails()]
"""
FAILS_IN_ONE_MEMBER = """
good_feed_batch = feed_batch


def feed_batch(records, mode, metadata):
    import tensorflow as tf

    def check(values):
        if b"77" in values.numpy():
            raise ValueError("the data has had enough")
        return values

    return good_feed_batch(tf.py_function(check, [records], tf.string), mode, metadata)
"""


def several(zoo: Path, data: Path, job: Path, *flags: object) -> tuple[object, ...]:
    return (
        *("train", "--num_workers", 2, "--model_zoo", zoo, *MODEL_DEF, "--training_data", data),
        *("--job_dir", job, "--minibatch_size", 5, "--num_minibatches_per_task", 1, *flags),
    )


def test_max_step_ends_all_members_at_that_step(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    arguments = several(write_model(), data, job, "--num_epochs", 5, "--max_step", 13)
    finished = run_elasticdl(*arguments, timeout=100)
    assert finished.exit_code == 0, finished.stderr
    status = load_status(job)
    assert (status["state"], status["step"]) == ("finished", 13)
    assert status["reason"] == "--max_step 13 is reached"
    ledger = load_ledger(job)["epochs"]
    assert ledger[0]["committed"] == 100
    assert sum(each["committed"] for each in ledger) == status["records"] <= 130
    assert [each["tentative"] for each in ledger] == [0] * len(ledger)
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0


def test_error_of_a_callback_fails_the_job_with_the_users_words(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    arguments = several(write_model(FAILS_IN_CALLBACK), data, tmp_path / "job")
    finished = run_elasticdl(*arguments, "--max_worker_restarts", 0, timeout=100)
    assert finished.exit_code == 1
    assert re.search("elasticdl: error: job model failed: .*", finished.stderr)
    assert "the callback has had enough" in finished.stderr


def test_error_in_one_member_fails_the_job_of_all(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    arguments = several(write_model(FAILS_IN_ONE_MEMBER), data, tmp_path / "job")
    finished = run_elasticdl(*arguments, timeout=100)
    assert finished.exit_code == 1
    assert "the data has had enough" in finished.stderr
    assert load_status(tmp_path / "job")["state"] == "failed"
