"""The same command again goes on: after kills, Ctrl-C, changed data; and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

from elasticdl_command import Finished, RunElasticdl, eventually, running
from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.master.reports import load_ledger, load_status
from training_job import (
    HELD_AT_STEP,
    HOLD,
    NUM_EPOCHS,
    STEPS_PER_EPOCH,
    WriteModel,
    elasticdl,
    held_training,
    steps_of,
    steps_taken,
    train_arguments,
    worker_pid,
)

NUM_RECORDS = 100


def assert_refused(finished: Finished, *parts: object) -> None:
    assert finished.exit_code == 1, finished.stderr
    (line,) = finished.stderr.splitlines()
    assert line.startswith("elasticdl: error: ")
    for part in parts:
        assert str(part) in line


def assert_counts(job: Path, *records: int) -> None:
    """Checks that these are the records of a finished job's epochs, all of them committed."""
    assert load_status(job)["state"] == "finished"
    assert [
        (each["records"], each["committed"], each["missing"]) for each in load_ledger(job)["epochs"]
    ] == [(count, count, 0) for count in records]


def add_file(data: Path, num_records: int) -> Path:
    path = data / "more.recordio"
    with RecordIOWriter(path) as writer:
        for number in range(num_records):
            writer.write(b"%d" % number)
    return path


def test_a_killed_master_costs_nothing_and_its_worker_is_taken_over(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    zoo, job = write_model(HOLD), tmp_path / "job"
    with held_training(zoo, data, tmp_path) as first:
        pid = worker_pid(job)
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
        assert first.processes() == {pid}
        cut_off = json.loads(run_elasticdl("status", job, "--json").stdout)
        assert (cut_off["state"], cut_off["step"]) == ("cut off", HELD_AT_STEP)
        with elasticdl(tmp_path, *train_arguments(zoo, data, job)) as second:
            (tmp_path / "go").touch()
            finished = second.wait(90)
        assert finished.exit_code == 0, finished.stderr
        assert f"worker 0 (pid {pid}) is taken over" in finished.stderr
        assert first.processes() == set()
    # No step twice, and none left out.
    assert steps_taken(tmp_path) == [
        step for epoch in range(NUM_EPOCHS) for step in steps_of(epoch)
    ]
    assert_counts(job, *[NUM_RECORDS] * NUM_EPOCHS)
    verified = run_elasticdl("ledger", job, "--verify")
    assert verified.exit_code == 0
    assert verified.stdout.splitlines()[-1].startswith("verified: ")


def test_after_the_death_of_all_the_job_goes_on_from_its_checkpoint_and_elsewhere(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    zoo, job = write_model(HOLD), tmp_path / "job"
    with held_training(zoo, data, tmp_path) as command:
        os.kill(command.pid, signal.SIGKILL)
        os.kill(worker_pid(job), signal.SIGKILL)
        command.wait(10)
    (tmp_path / "go").touch()

    refused = run_elasticdl(*train_arguments(zoo, data, job, "--seed", 1, "--no-shuffle"))
    assert_refused(refused, job, "other flags (seed, shuffle)", "--overwrite")

    finished = run_elasticdl(*train_arguments(zoo, data, job), timeout=90)
    assert finished.exit_code == 0, finished.stderr
    assert f"goes on at epoch 2, step {STEPS_PER_EPOCH}\n" in finished.stderr
    before = [*steps_of(0), *steps_of(1, HELD_AT_STEP - STEPS_PER_EPOCH)]
    assert steps_taken(tmp_path) == [*before, *steps_of(1), *steps_of(2)]
    assert_counts(job, *[NUM_RECORDS] * NUM_EPOCHS)

    # Another job goes on from the checkpoint of the second epoch, with larger batches.
    elsewhere = tmp_path / "elsewhere"
    checkpoint = job / "checkpoints" / f"checkpoint-{2 * STEPS_PER_EPOCH:09}"
    finished = run_elasticdl(
        *train_arguments(zoo, data, elsewhere, "--resume_from", checkpoint, "--minibatch_size", 25),
        timeout=90,
    )
    assert finished.exit_code == 0, finished.stderr
    assert_counts(elsewhere, NUM_RECORDS)
    assert load_status(elsewhere)["step"] == 2 * STEPS_PER_EPOCH + 4
    assert run_elasticdl("ledger", elsewhere, "--verify").exit_code == 0


def test_after_ctrl_c_flags_and_data_may_change_if_that_is_said(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    zoo, job = write_model(HOLD), tmp_path / "job"
    with held_training(zoo, data, tmp_path) as command:
        command.press_ctrl_c()
        assert command.wait(30).exit_code == 130
        assert command.processes() == set()
    (tmp_path / "go").touch()

    path = add_file(data, num_records=20)
    changed = run_elasticdl(*train_arguments(zoo, data, job), timeout=90)
    assert changed.exit_code == 1
    error = changed.stderr.splitlines()[-1]
    assert error.startswith("elasticdl: error: job model failed: the data is not what it was")
    assert f"1 added ('{path}')" in error
    assert "--allow_changed_data" in error
    assert load_status(job)["state"] == "failed"

    allowed = ("--allow_changed_data", "--num_epochs", 4, "--minibatch_size", 20)
    finished = run_elasticdl(*train_arguments(zoo, data, job, *allowed), timeout=90)
    assert finished.exit_code == 0, finished.stderr
    # What is new comes in with the next epoch.
    assert_counts(job, NUM_RECORDS, NUM_RECORDS, NUM_RECORDS + 20, NUM_RECORDS + 20)
    # Ten steps before; then each epoch in batches of twenty.
    assert load_status(job)["step"] == STEPS_PER_EPOCH + 5 + 6 + 6
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0


def test_a_damaged_journal_is_named_and_left_alone(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    zoo, whole = write_model(), tmp_path / "whole"
    master = ("-m", "elasticdl_like", "master", "--training_data", data, "--job_dir", whole)
    with running(master, tmp_path) as command:
        eventually((whole / "endpoint").exists, 30, command)
        os.kill(command.pid, signal.SIGKILL)
        command.wait(10)
    content = (whole / "journal.sqlite").read_bytes()
    for name, damaged in (
        ("truncated", content[: len(content) // 2]),
        ("garbage", b"\x5a" * len(content)),
    ):
        job = tmp_path / name
        shutil.copytree(whole, job)
        for suffix in ("-wal", "-shm"):
            (job / f"journal.sqlite{suffix}").unlink(missing_ok=True)
        (job / "journal.sqlite").write_bytes(damaged)
        before = files_in(job)
        for arguments in (
            train_arguments(zoo, data, job),
            ("master", "--resume", "--job_dir", job),
            ("ledger", job),
            ("status", job),
        ):
            refused = run_elasticdl(*arguments)
            assert_refused(refused, job / "journal.sqlite", "is damaged", "--overwrite")
            assert refused.stdout == ""
        assert files_in(job) == before


def files_in(job: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in job.rglob("*")
        # Where an address is that of no master, it goes away.
        if path.is_file() and path.name not in ("endpoint", "status_page")
    }
