"""Each folder of the model zoo can be trained as its README says; iris_odps is in test_odps.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from elasticdl_command import RunElasticdl
from elasticdl_like.master.reports import load_ledger, load_status


def test_digits_with_a_feed_that_shuffles(
    run_elasticdl: RunElasticdl, model_zoo: Path, digits: Path, tmp_path: Path
) -> None:
    finished = run_elasticdl(
        "train",
        *("--model_zoo", model_zoo, "--model_def", "digits.digits_feed.custom_model"),
        *("--training_data", digits / "train", "--validation_data", digits / "validation"),
        *("--num_epochs", 4, "--minibatch_size", 64, "--num_minibatches_per_task", 4),
        *("--job_dir", tmp_path / "job"),
    )
    assert finished.exit_code == 0, finished.stderr
    status = load_status(tmp_path / "job")
    assert status["evaluations"][-1]["metrics"]["accuracy"] >= 0.9
    ledger = load_ledger(tmp_path / "job")["epochs"]
    assert [(each["committed"], each["missing"]) for each in ledger] == [(1400, 0), (397, 0)] * 4


def test_custom_reader_of_a_table(
    run_elasticdl: RunElasticdl, model_zoo: Path, tmp_path: Path
) -> None:
    script = model_zoo / "custom_reader" / "make_data.py"
    subprocess.run([sys.executable, script, tmp_path / "iris.db"], check=True, timeout=60)
    finished = run_elasticdl(
        "train",
        *("--model_zoo", model_zoo, "--model_def", "custom_reader.sqlite_reader.custom_model"),
        *("--training_data", "train", "--validation_data", "validation"),
        *("--custom_data_reader_params", f"database={tmp_path / 'iris.db'}"),
        *("--num_epochs", 30, "--minibatch_size", 16, "--num_minibatches_per_task", 2),
        *("--job_dir", tmp_path / "job"),
    )
    assert finished.exit_code == 0, finished.stderr
    status = load_status(tmp_path / "job")
    assert status["evaluations"][-1]["metrics"]["accuracy"] >= 0.8
    ledger = load_ledger(tmp_path / "job")["epochs"]
    assert [(each["committed"], each["missing"]) for each in ledger] == [(120, 0), (30, 0)] * 30


def test_every_folder_is_tested(model_zoo: Path) -> None:
    folders = {path.parent.name for path in model_zoo.glob("*/*.py")}
    assert folders == {"digits", "custom_reader", "iris_odps"}
