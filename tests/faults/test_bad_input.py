"""Bad input: one clear line, an exit code that is not 0, and nothing lost."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from elasticdl_command import Finished, RunElasticdl, eventually, running
from elasticdl_like.master.reports import load_ledger, load_status
from training_job import MODEL_DEF, WriteModel

# Listing the shards needs no TensorFlow, and fails before any worker starts.
READER_ONLY = """
class CustomDataReader:
    def create_shards(self):
        return {table}

    def read_records(self, task):
        raise AssertionError("nothing is read")
"""

READER = """
class CustomDataReader:
    def create_shards(self):
        return {{"numbers": 100}}

    def read_records(self, task):
        {body}
"""


def assert_one_clear_line(finished: Finished, *parts: object, exit_code: int = 1) -> None:
    """Checks that a command has failed, and that its last line says why."""
    assert finished.exit_code == exit_code, finished.stderr
    assert "Traceback" not in finished.stderr
    lines = finished.stderr.splitlines()
    errors = [line for line in lines if line.startswith("elasticdl: error: ")]
    assert errors == lines[-1:], finished.stderr
    for part in parts:
        assert str(part) in errors[0]


def assert_failed_job(job: Path) -> None:
    """Checks that a job has ended as failed, and that its ledger counts nothing."""
    assert load_status(job)["state"] == "failed"
    (epoch,) = load_ledger(job)["epochs"]
    assert (epoch["committed"], epoch["leased"], epoch["missing"]) == (0, 0, None)


# What the master finds out, before there is a worker.


def missing(path: Path) -> Path:
    return path / "missing"


def empty_directory(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


def not_recordio(path: Path) -> Path:
    (path / "notes.data").write_text("These are notes, and no records at all.")
    return path / "notes.data"


def truncated(path: Path) -> Path:
    file = path / "data" / "numbers.recordio"
    file.write_bytes(file.read_bytes()[:-1])
    return file


def claims_4_gib(path: Path) -> Path:
    file = path / "huge.recordio"
    file.write_bytes(struct.pack("<5I", 0x01020304, 0, 0, 2**32 - 1, 1) + b"body")
    return file


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (missing, "no file there"),
        (empty_directory, "no file there"),
        (not_recordio, "at byte 0: "),
        (truncated, "at byte 0: "),
        (claims_4_gib, "4294967295"),
    ],
)
def test_data_that_cannot_be_listed(
    run_elasticdl: RunElasticdl,
    write_model: WriteModel,
    tmp_path: Path,
    data: Path,
    make: Callable[[Path], Path],
    said: str,
) -> None:
    path = make(tmp_path)
    finished = run_elasticdl(
        "train", "--model_zoo", write_model(), *MODEL_DEF, "--training_data", path
    )
    assert_one_clear_line(finished, "--training_data", path, said)
    assert len(finished.stderr.splitlines()) == 1


def test_validation_data_that_cannot_be_listed(
    run_elasticdl: RunElasticdl, write_model: WriteModel, tmp_path: Path, data: Path
) -> None:
    finished = run_elasticdl(
        *("train", "--model_zoo", write_model(), *MODEL_DEF, "--training_data", data),
        *("--validation_data", missing(tmp_path)),
    )
    assert_one_clear_line(finished, "--validation_data", missing(tmp_path), "no file there")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("{'a': (0, -1)}", "-1"),
        ("{'a': -3}", "-3"),
        ("[('a', 0, 10), ('a', 5, 10)]", "[0, 10) and [5, 15)"),
        ("'a'", "'a' (str)"),
        ("['a', 'b']", "'a' (str)"),
        ("{'a': 'ten'}", "'ten' (str)"),
        ("None", "None (NoneType)"),
        ("{}", "no records"),
        ("{'a': 0}", "no records"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_shard_table_that_cannot_be_normalised(
    run_elasticdl: RunElasticdl, write_model: WriteModel, table: str, said: str
) -> None:
    zoo = write_model(model=READER_ONLY.format(table=table))
    finished = run_elasticdl("train", "--model_zoo", zoo, *MODEL_DEF, "--training_data", "here")
    assert_one_clear_line(finished, "--training_data", "CustomDataReader.create_shards()", said)


def test_reader_that_ends_the_process_while_listing(
    run_elasticdl: RunElasticdl, write_model: WriteModel
) -> None:
    zoo = write_model(model=READER_ONLY.format(table="__import__('os')._exit(7)"))
    finished = run_elasticdl("train", "--model_zoo", zoo, *MODEL_DEF, "--training_data", "here")
    assert_one_clear_line(finished, "exit code 7", "shards.log")


@pytest.mark.parametrize(
    ("flags", "parts", "exit_code"),
    [
        (["--custom_data_reader_params", "rows"], ["--custom_data_reader_params", "'rows'"], 1),
        (["--model_params", "{"], ["--model_params", "JSON"], 1),
        (["--model_params", "@missing.json"], ["--model_params", "missing.json"], 1),
        (["--minibatch_sise", "4"], ["--minibatch_sise", "--minibatch_size"], 2),
        (["--minibatch_size", "many"], ["--minibatch_size", "many"], 2),
        (["--minibatch_size", "0"], ["--minibatch_size", "0"], 2),
        (
            ["--distribution_strategy", "ParameterServerStrategy"],
            ["--distribution_strategy ParameterServerStrategy", "AllReduce"],
            1,
        ),
        (
            ["--num_workers", "2", "--distribution_strategy", "Local"],
            ["--num_workers 2", "--distribution_strategy Local", "AllReduce"],
            1,
        ),
        (["--num_workers", "2", "--min_workers", "3"], ["--min_workers 3", "--num_workers 2"], 1),
        (["--model_def", "other.custom_model"], ["--model_def", "other.py"], 1),
        (["--model_def", "custom_model"], ["--model_def", "package.module.function"], 1),
        (["--model_zoo", "nowhere"], ["--model_zoo", "nowhere"], 1),
        (
            ["--custom_data_reader_params", "reader_type=RecordOI"],
            ["'RecordOI'", "there is RecordIO"],
            1,
        ),
        (["--custom_data_reader_params", "rows=3"], ["rows", "RecordIODataReader"], 1),
    ],
)
def test_flag_that_cannot_be_used(
    run_elasticdl: RunElasticdl,
    write_model: WriteModel,
    data: Path,
    tmp_path: Path,
    flags: list[str],
    parts: list[str],
    exit_code: int,
) -> None:
    finished = run_elasticdl(
        "train",
        *("--model_zoo", write_model(), *MODEL_DEF, "--training_data", data),
        *("--job_dir", tmp_path / "job", *flags),
    )
    assert_one_clear_line(finished, *parts, exit_code=exit_code)
    assert len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "job" / "journal.sqlite").exists()


def test_two_jobs_in_one_directory(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    first = ["-m", "elasticdl_like", "master", "--training_data", data, "--job_dir", job]
    with running(first, tmp_path) as master:
        eventually((job / "endpoint").exists, 20, master)
        train = ["train", "--model_zoo", write_model(), *MODEL_DEF, "--training_data", data]
        for second in ([*train], [*train, "--overwrite"], ["master", "--resume"]):
            refused = run_elasticdl(*second, "--job_dir", job)
            assert_one_clear_line(refused, f"--job_dir {job} is in use by a running job")
        status = run_elasticdl("status", job, "--json")
        assert json.loads(status.stdout)["state"] == "running"
        assert master.exit_code is None


def test_port_in_use(run_elasticdl: RunElasticdl, data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        finished = run_elasticdl(
            *("master", "--training_data", data, "--job_dir", tmp_path / "job"),
            *("--master_port", port),
        )
    assert_one_clear_line(finished, f"127.0.0.1:{port}", "in use")
    assert len(finished.stderr.splitlines()) == 1


def test_worker_that_cannot_reach_the_master(run_elasticdl: RunElasticdl, tmp_path: Path) -> None:
    worker = ("worker", "--master_addr", "127.0.0.1:1", "--master_timeout", 1)
    assert_one_clear_line(run_elasticdl(*worker), "--token_file is missing", "JOB_DIR/token")
    (tmp_path / "token").write_text("secret")
    finished = run_elasticdl(*worker, "--token_file", tmp_path / "token")
    assert_one_clear_line(finished, "127.0.0.1:1", "--master_addr")
    assert "secret" not in finished.stderr


@pytest.mark.parametrize("command", ["status", "ledger"])
def test_directory_that_is_not_of_a_job(
    run_elasticdl: RunElasticdl, tmp_path: Path, command: str
) -> None:
    finished = run_elasticdl(command, tmp_path)
    assert_one_clear_line(finished, tmp_path, "not a job directory")


# What only the worker can find out. Each of these starts TensorFlow.


def train(run_elasticdl: RunElasticdl, zoo: Path, data: Path | str, job: Path) -> Finished:
    return run_elasticdl(
        "train",
        *("--model_zoo", zoo, *MODEL_DEF, "--training_data", data, "--job_dir", job),
        *("--minibatch_size", 10, "--num_minibatches_per_task", 2, "--no-shuffle"),
    )


def test_flipped_bit(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    path = data / "numbers.recordio"
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored)
    finished = train(run_elasticdl, write_model(), data, tmp_path / "job")
    assert_one_clear_line(finished, path, "at byte 0: ", "--max_quarantined_records is 0")
    assert load_status(tmp_path / "job")["state"] == "failed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "yield from [b'1'] * (task.end - task.start - (task.start <= 40 < task.end))",
            "0 records instead of 1",
        ),
        (
            "yield from [b'1'] * (task.end - task.start + (task.start <= 40 < task.end))",
            "more than the 1 records",
        ),
    ],
    ids=["too few", "too many"],
)
def test_reader_that_does_not_yield_what_it_is_asked_for(
    run_elasticdl: RunElasticdl,
    write_model: WriteModel,
    tmp_path: Path,
    body: str,
    said: str,
) -> None:
    zoo = write_model(READER.format(body=body))
    finished = train(run_elasticdl, zoo, "here", tmp_path / "job")
    parts = ("CustomDataReader yielded", said, "[40, 41) of shard 'numbers'")
    assert_one_clear_line(finished, *parts)
    assert load_status(tmp_path / "job")["state"] == "failed"
    # Unless the worker has said goodbye, what the others were used for still counts.
    (epoch,) = load_ledger(tmp_path / "job")["epochs"]
    assert epoch["committed"] <= 99


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ("del loss", ["model.py", "no 'loss'"]),
        ("raise RuntimeError('not today')", ["model.py", "RuntimeError: not today"]),
        (
            "import keras\n"
            "class custom_model(keras.Model):\n    def train_step(self, data):\n        return {}",
            ["model.py", "train_step of its own"],
        ),
        (
            "import tensorflow as tf\n"
            "def loss(labels, predictions):\n"
            "    return tf.reduce_sum(tf.square(labels - predictions))",
            ["loss(labels, predictions)", "not the mean"],
        ),
    ],
    ids=["no loss", "raises", "train_step", "sum"],
)
def test_model_that_is_not_as_agreed(
    run_elasticdl: RunElasticdl,
    write_model: WriteModel,
    data: Path,
    tmp_path: Path,
    more: str,
    parts: list[str],
) -> None:
    finished = train(run_elasticdl, write_model(more), data, tmp_path / "job")
    assert_one_clear_line(finished, *parts)
    assert_failed_job(tmp_path / "job")
