"""Predictions: one row for each record, exactly once, whatever becomes of the workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from prediction_worker import (
    MODEL_FILE,
    NUM_RECORDS,
    SIZES,
    Client,
    Place,
    client_of,
    run_to_end,
)

from elasticdl_like.errors import (
    ConfigError,
    DataError,
    ModelDefinitionError,
    UnknownWorkerError,
)
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.main import Master
from elasticdl_like.worker import part_writer

FEED = """
import tensorflow as tf


def feed(dataset, mode, metadata):
    assert mode == "prediction", mode

    def parse(record):
        return tf.stack([tf.cast(record["x"], tf.float32), tf.cast(record["y"], tf.float32)])

    return dataset.map(parse)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_writer, "MOST_PART_ROWS", 30)


def shown_ledger(master: Master) -> dict[str, Any]:
    (epoch,) = master.job.view.ledger()["epochs"]
    return epoch


@pytest.mark.parametrize("code", [MODEL_FILE, FEED])
def test_rows_are_what_the_model_predicts(place: Place, code: str) -> None:
    with place.master(place.config(code, kept=["id", "y"])) as master:
        run_to_end(master, client_of(master))
        assert master.job.state is JobState.FINISHED
        assert shown_ledger(master)["committed"] == NUM_RECORDS
    table = place.check_parquet()
    assert table.column_names == ["shard", "index", "id", "y", "prediction"]
    assert sorted(table["id"].to_pylist()) == list(range(NUM_RECORDS))
    first = {"a.csv": 0, "b.csv": SIZES["a.csv"]}
    for row in table.to_pylist():
        assert row["id"] == first[Path(row["shard"]).name] + row["index"]


@pytest.mark.usefixtures("small_parts")
def test_several_workers_write_parts_of_one_output(place: Place) -> None:
    with place.master(place.config()) as master:
        run_to_end(master, client_of(master), client_of(master))
    table = place.check_parquet()
    success = json.loads((place.output / "_SUCCESS").read_text())
    parts = [path.name for path in place.output.glob("part-*")]
    assert sorted(part["name"] for part in success["parts"]) == sorted(parts)
    assert sum(part["rows"] for part in success["parts"]) == success["records"] == len(table)
    assert len(parts) >= NUM_RECORDS // 40


def forget(client: Client, key: Any) -> None:
    """Has the master take the leases back, of which a commit is on its way."""
    client.abandon(key)
    client.heartbeat()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("num_others", [0, 1])
def test_a_part_whose_commit_is_refused_is_not_in_the_output(place: Place, num_others: int) -> None:
    with place.master(place.config()) as master:
        client = client_of(master)
        client.before_part = forget
        others = [client_of(master) for _ in range(num_others)]
        run_to_end(master, client, *others)
        assert client.before_part is None
        assert shown_ledger(master)["reports_fenced"] >= 1
    place.check_parquet()


def killed(client: Client, _key: Any) -> None:
    raise UnknownWorkerError("the test has killed this worker")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("moment", ["before_part", "after_part"])
def test_what_a_lost_worker_did_not_commit_is_predicted_again(place: Place, moment: str) -> None:
    with place.master(place.config()) as master:
        client = client_of(master)
        setattr(client, moment, killed)
        with pytest.raises(UnknownWorkerError, match="the test has killed"):
            run_to_end(master, client)
        assert list((place.output / "_temporary").glob("part-*")) or moment == "after_part"
        master.job.lose(client.worker_id, "killed")
        run_to_end(master, client_of(master))
    place.check_parquet()


CHECK = "tf.debugging.assert_none_equal(records['id'], tf.constant(27, records['id'].dtype))"
BAD = MODEL_FILE.replace("features = ", f"{CHECK}\n    features = ")


def test_a_record_that_cannot_be_used_has_no_row_and_all_others_have_one(place: Place) -> None:
    with place.master(place.config(BAD, kept=["id"], quarantined=1)) as master:
        run_to_end(master, client_of(master), client_of(master))
        assert master.job.state is JobState.FINISHED
        assert shown_ledger(master)["quarantined"] == 1
    table = pyarrow.parquet.read_table(place.output)
    expected = [number for number in range(NUM_RECORDS) if number != 27]
    assert sorted(table["id"].to_pylist()) == expected


def test_process_task_gets_the_parts_of_a_task_with_a_bad_record(place: Place) -> None:
    code = BAD + TASK_PROCESSOR
    with place.master(place.config(code, into_files=False, quarantined=1)) as master:
        run_to_end(master, client_of(master))
        assert shown_ledger(master)["quarantined"] == 1
    lines = (place.path / "log").read_text().splitlines()
    parts = [json.loads(line) for line in lines]
    found = [(shard, start + n) for shard, start, rows in parts for n in range(len(rows))]
    first = str(place.path / "data" / "a.csv")
    assert sorted(found) == sorted(each for each in place.expected() if each != (first, 27))


def test_formats_and_dtypes(place: Place) -> None:
    inputs = keras.Input((2,))
    outputs = {
        "half": keras.layers.Rescaling(0.5, dtype="bfloat16")(inputs)[:, 0],
        "whole": keras.ops.cast(inputs[:, 1], "int32"),
    }
    place.save(keras.Model(inputs, outputs))
    with place.master(place.config(kept=["x"], file_format="csv")) as master:
        run_to_end(master, client_of(master))
    rows = [
        row
        for part in place.output.glob("part-*.csv")
        for row in pyarrow.csv.read_csv(part).to_pylist()
    ]
    assert list(rows[0]) == ["shard", "index", "x", "half", "whole"]
    assert len(rows) == NUM_RECORDS
    assert all(row["half"] == row["x"] / 2 and row["whole"] == row["index"] % 11 for row in rows)


def test_outputs_of_a_list_have_the_names_of_the_layers(place: Place) -> None:
    inputs = keras.Input((2,))
    layers = [keras.layers.Dense(1, name="cat"), keras.layers.Dense(2, name="dog")]
    place.save(keras.Model(inputs, [layer(inputs) for layer in layers]))
    with place.master(place.config(file_format="jsonl")) as master:
        run_to_end(master, client_of(master))
    lines = "".join(path.read_text() for path in place.output.glob("part-*")).splitlines()
    rows = [json.loads(line) for line in lines]
    assert {tuple(row) for row in rows} == {("shard", "index", "cat", "dog")}
    assert {len(row["dog"]) for row in rows} == {2}
    assert len(rows) == NUM_RECORDS


def refused(place: Place, master: Master, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        run_to_end(master, client_of(master))
    assert not list(place.output.glob("part-*"))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"kept": ["z"]}, ConfigError, r"no column 'z'; it has id, x, y"),
        ({"kept": ["record"]}, ConfigError, r"no column 'record'; it has id, x, y"),
        ({"file_format": "csv"}, DataError, r"'prediction' has an array of shape \(3,\)"),
        (
            {"code": FEED.replace("dataset.map(parse)", "dataset.map(parse).skip(1)")},
            ModelDefinitionError,
            r"there are 7 predictions .* for 8 records.*one element for each record",
        ),
        (
            {"code": FEED.replace("dataset.map(parse)", "dataset.map(parse).take(0)")},
            ModelDefinitionError,
            r"feed made nothing of records \[0, 8\)",
        ),
        (
            {"code": MODEL_FILE.replace("return features", "return features[1:]")},
            ModelDefinitionError,
            r"there are 7 predictions",
        ),
        ({"into_files": False}, ConfigError, r"--prediction_output, or define Prediction"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    place: Place, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with place.master(place.config(**options)) as master:
        refused(place, master, error, words)


def test_two_columns_of_one_name_are_refused(place: Place) -> None:
    inputs = keras.Input((2,))
    place.save(keras.Model(inputs, {"id": inputs + 1}))
    with place.master(place.config(kept=["id"])) as master:
        refused(place, master, ConfigError, "two columns 'id'.*--keep_columns")


PROCESSOR = """

import pathlib

import numpy as np

LOG = pathlib.Path(__file__).parent / "log"


class PredictionOutputsProcessor:
    def process(self, predictions, worker_id):
        with LOG.open("a") as file:
            for row in predictions.numpy().tolist():
                print(worker_id, *row, file=file)

    def close(self):
        with LOG.open("a") as file:
            print("closed", file=file)
"""
TASK_PROCESSOR = """

import json
import pathlib

LOG = pathlib.Path(__file__).parent / "log"


class PredictionOutputsProcessor:
    def process(self, predictions, worker_id):
        raise AssertionError("there is process_task")

    def process_task(self, predictions, task):
        assert len(predictions) == task.size
        with LOG.open("a") as file:
            print(json.dumps([task.shard_name, task.start, predictions.tolist()]), file=file)
"""
SHARED_OUTPUT = """

import json
import pathlib
import tempfile

from elasticdl_like.prediction_outputs import SharedOutput

PLACE = pathlib.Path(__file__).parent


class PredictionOutputsProcessor(SharedOutput):
    def begin(self, shards, records_per_task):
        # Both workers may begin one.
        place = tempfile.mkdtemp(dir=PLACE)
        return json.dumps([place, [shard.name for shard in shards], records_per_task])

    def join(self, state):
        place, self.shards, self.records_per_task = json.loads(state)
        self.place = pathlib.Path(place)

    def process_task(self, predictions, task):
        assert task.start % self.records_per_task == 0
        number = self.shards.index(task.shard_name) * 1000 + task.start
        (self.place / str(number)).write_text(json.dumps(predictions.tolist()))

    def commit(self):
        self.place.rename(PLACE / "log")
"""


def test_process_gets_each_batch(place: Place) -> None:
    with place.master(place.config(MODEL_FILE + PROCESSOR, into_files=False)) as master:
        client = client_of(master)
        run_to_end(master, client)
        assert shown_ledger(master)["committed"] == NUM_RECORDS
    lines = (place.path / "log").read_text().splitlines()
    assert lines.pop() == "closed"
    found = [list(map(float, line.split())) for line in lines]
    assert {row[0] for row in found} == {client.worker_id}
    expected = sorted(map(list, place.expected().values()))
    np.testing.assert_allclose(sorted(row[1:] for row in found), expected, rtol=1e-5)


def test_process_task_gets_whole_tasks(place: Place) -> None:
    with place.master(place.config(MODEL_FILE + TASK_PROCESSOR, into_files=False)) as master:
        run_to_end(master, client_of(master), client_of(master))
    tasks = [json.loads(line) for line in (place.path / "log").read_text().splitlines()]
    expected = place.expected()
    assert sum(len(rows) for _, _, rows in tasks) == NUM_RECORDS
    for shard, start, rows in tasks:
        assert (start % 24, len(rows)) in {(0, 24), (0, SIZES[Path(shard).name] % 24)}
        wanted = [expected[shard, start + number] for number in range(len(rows))]
        np.testing.assert_allclose(rows, wanted, rtol=1e-5)


def test_a_shared_output_is_committed_by_one_worker(place: Place) -> None:
    with place.master(place.config(MODEL_FILE + SHARED_OUTPUT, into_files=False)) as master:
        run_to_end(master, client_of(master), client_of(master))
        assert master.job.state is JobState.FINISHED
    blocks = sorted((place.path / "log").iterdir(), key=lambda path: int(path.name))
    found = [row for block in blocks for row in json.loads(block.read_text())]
    np.testing.assert_allclose(found, list(place.expected().values()), rtol=1e-5)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            PROCESSOR.replace("with LOG", "raise KeyError(7)\n        with LOG", 1),
            r"PredictionOutputsProcessor\.process\(predictions, worker_id\) failed on records "
            r"\[0, 8\) of shard .*KeyError: 7",
        ),
        (
            PROCESSOR.replace("def process(", "def treat("),
            r"has neither process\(predictions, worker_id\) nor",
        ),
        (
            SHARED_OUTPUT.replace("return json", "json"),
            r"PredictionOutputsProcessor\.begin returned None; it must return a string",
        ),
    ],
)
def test_errors_of_a_processor_name_it(place: Place, code: str, words: str) -> None:
    with place.master(place.config(MODEL_FILE + code, into_files=False)) as master:
        refused(place, master, ModelDefinitionError, words)
