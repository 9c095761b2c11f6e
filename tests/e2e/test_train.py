"""`elasticdl train`, from the files of a data set to a model that others can load."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elasticdl_command import RunElasticdl
from elasticdl_like.data_readers import RecordIODataReader
from elasticdl_like.tasks import Task

if TYPE_CHECKING:
    from conftest import TrainedJob

TRAINING_RECORDS = 1400
VALIDATION_RECORDS = 397
STEPS_PER_EPOCH = 22


def job_status(run_elasticdl: RunElasticdl, job: Path) -> dict[str, Any]:
    finished = run_elasticdl("status", job, "--json")
    assert finished.exit_code == 0, finished.stderr
    status: dict[str, Any] = json.loads(finished.stdout)
    return status


def job_ledger(run_elasticdl: RunElasticdl, job: Path) -> list[dict[str, Any]]:
    finished = run_elasticdl("ledger", job, "--json")
    assert finished.exit_code == 0, finished.stderr
    epochs: list[dict[str, Any]] = json.loads(finished.stdout)["epochs"]
    return epochs


def files_below(directory: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def validation_digits(digits: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    reader = RecordIODataReader(data_origin=str(digits / "validation"))
    records = [
        record
        for name, (first, count) in reader.create_shards().items()
        for record in reader.read_records(Task(name, first, first + count))
    ]
    values = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), 65)
    return (values[:, :64].reshape(-1, 8, 8, 1) / 16).astype(np.float32), values[:, 64]


def test_learns_the_digits(trained: TrainedJob, run_elasticdl: RunElasticdl) -> None:
    status = job_status(run_elasticdl, trained.directory)
    assert status["state"] == "finished"
    assert status["step"] == 4 * STEPS_PER_EPOCH
    assert status["records"] == status["total_records"] == 4 * TRAINING_RECORDS
    assert [each["step"] for each in status["evaluations"]] == [22, 44, 66, 88]
    assert status["evaluations"][-1]["metrics"]["accuracy"] >= 0.9
    assert status["workers"] == []


def test_ends_with_a_summary_and_the_ledger(trained: TrainedJob) -> None:
    lines = trained.finished.stdout.splitlines()
    assert lines[0] == "job digits finished: 88 steps, 5,600 records"
    assert re.fullmatch(r"validation at step 88: loss 0\.\d+, accuracy 0\.9\d+", lines[1])
    table = lines[lines.index("") + 1 :]
    assert table[0].split()[-1] == "missing"
    assert [row.split()[-1] for row in table[1:]] == ["0"] * 8


def test_ledger_accounts_for_every_record(trained: TrainedJob, run_elasticdl: RunElasticdl) -> None:
    epochs = job_ledger(run_elasticdl, trained.directory)
    account = [
        (each["type"], each["epoch"], each["records"], each["committed"], each["missing"])
        for each in epochs
    ]
    assert account == [
        (kind, epoch, records, records, 0)
        for epoch in range(4)
        for kind, records in (("training", TRAINING_RECORDS), ("evaluation", VALIDATION_RECORDS))
    ]
    assert not any(each["leased"] or each["quarantined"] for each in epochs)
    as_text = run_elasticdl("ledger", trained.directory, "--verify")
    assert as_text.exit_code == 0
    assert len(as_text.stdout.splitlines()) == 1 + len(epochs) + 1
    assert as_text.stdout.splitlines()[-1].startswith("verified: ")


def test_model_can_be_loaded_and_is_as_good_as_reported(
    trained: TrainedJob, run_elasticdl: RunElasticdl, digits: Path
) -> None:
    import keras
    import tensorflow as tf

    images, labels = validation_digits(digits)
    predictions = keras.models.load_model(trained.output / "model.keras").predict(images, verbose=0)
    accuracy = float(np.mean(predictions.argmax(axis=1) == labels))
    reported = job_status(run_elasticdl, trained.directory)["evaluations"][-1]["metrics"]
    assert abs(accuracy - reported["accuracy"]) < 1e-6
    saved_model = tf.saved_model.load(str(trained.output / "saved_model"))
    np.testing.assert_allclose(saved_model.serve(images).numpy(), predictions, rtol=1e-4, atol=1e-4)
    assert sorted(path.name for path in trained.output.iterdir()) == ["model.keras", "saved_model"]


def test_keeps_the_newest_checkpoints(trained: TrainedJob) -> None:
    kept = sorted(path.name for path in (trained.directory / "checkpoints").iterdir())
    # One each 25 steps, and one at the end of training.
    assert kept == ["checkpoint-000000075", "checkpoint-000000088"]


def test_finished_job_is_refused_and_stays_as_it_is(
    trained: TrainedJob, run_elasticdl: RunElasticdl, model_zoo: Path, digits: Path
) -> None:
    before = files_below(trained.directory)
    finished = run_elasticdl(
        "train",
        *("--model_zoo", model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
        *("--training_data", digits / "train", "--job_dir", trained.directory),
    )
    assert finished.exit_code == 1
    assert finished.stderr.startswith(f"elasticdl: error: --job_dir {trained.directory} holds")
    assert "has finished" in finished.stderr
    assert "--overwrite" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert files_below(trained.directory) == before


def test_overwrite_warm_start_max_step_evaluation_steps_and_json_log(
    trained: TrainedJob,
    run_elasticdl: RunElasticdl,
    model_zoo: Path,
    digits: Path,
    tmp_path: Path,
) -> None:
    job = shutil.copytree(trained.directory, tmp_path / "job")
    finished = run_elasticdl(
        "train",
        *("--model_zoo", model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
        *("--training_data", digits / "train", "--validation_data", digits / "validation"),
        *("--num_epochs", 3, "--minibatch_size", 64, "--max_step", 12, "--evaluation_steps", 5),
        *("--checkpoint_dir_for_init", trained.directory / "checkpoints"),
        *("--job_dir", job, "--overwrite", "--log_format", "json", "--log_loss_steps", 4),
    )
    assert finished.exit_code == 0, finished.stderr
    lines = [json.loads(line) for line in finished.stderr.splitlines()]
    assert any("registered" in line.get("message", "") for line in lines)
    assert [line["progress"]["state"] for line in lines if "progress" in line][-1] == "finished"

    status = job_status(run_elasticdl, job)
    assert status["reason"] == "--max_step 12 is reached"
    assert (status["state"], status["step"], status["records"]) == ("finished", 12, 12 * 64)
    assert [each["step"] for each in status["evaluations"]] == [5, 10, 12]
    # From new weights, five steps do not come near it.
    assert status["evaluations"][0]["metrics"]["accuracy"] >= 0.9

    ledger = job_ledger(run_elasticdl, job)
    assert ledger[0]["committed"] == 12 * 64
    assert not ledger[0]["ended"]
    assert [each["missing"] for each in ledger[1:]] == [0, 0, 0]
    assert [path.name for path in (job / "checkpoints").iterdir()] == ["checkpoint-000000012"]
    messages = (job / "logs" / "worker-0.log").read_text()
    assert "the weights start from" in messages
    assert all(f'"step {step}, epoch 1: loss' in messages for step in (4, 8, 12))
