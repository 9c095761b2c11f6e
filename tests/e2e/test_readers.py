"""`elasticdl train` on each kind of file, the reader chosen by the extension."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from elasticdl_command import RunElasticdl
from elasticdl_like.data_readers import RecordIODataReader, TFRecordWriter
from elasticdl_like.tasks import Task

TRAINING_RECORDS = 1400

EXAMPLES_MODEL = """
import sys
sys.path.insert(0, {digits_folder!r})

import tensorflow as tf
from digits_cnn import custom_model, eval_metrics_fn, loss, optimizer

FEATURES = {{
    "image": tf.io.FixedLenFeature([64], tf.float32),
    "label": tf.io.FixedLenFeature([], tf.int64),
}}


def feed_batch(records, mode, metadata):
    example = tf.io.parse_example(records, FEATURES)
    return tf.reshape(example["image"], [-1, 8, 8, 1]) / 16, example["label"]
"""


def digit_records(folder: Path) -> list[bytes]:
    """Returns the digits, each 64 pixels and a label."""
    reader = RecordIODataReader(data_origin=str(folder))
    return [
        record
        for name, (first, count) in reader.create_shards().items()
        for record in reader.read_records(Task(name, first, first + count))
    ]


@pytest.mark.parametrize("suffix", ["tfrecord", "tfrecord.gz"])
def test_tfrecords_of_examples(
    tmp_path: Path,
    model_zoo: Path,
    digits: Path,
    run_elasticdl: RunElasticdl,
    suffix: str,
) -> None:
    import tensorflow as tf

    def example(record: bytes) -> bytes:
        pixels = tf.train.FloatList(value=record[:64])
        label = tf.train.Int64List(value=record[64:])
        feature = {
            "image": tf.train.Feature(float_list=pixels),
            "label": tf.train.Feature(int64_list=label),
        }
        serialized = tf.train.Example(features=tf.train.Features(feature=feature))
        return bytes(serialized.SerializeToString())

    for part in ("train", "validation"):
        (tmp_path / part).mkdir()
        records = list(map(example, digit_records(digits / part)))
        for number in range(2):
            with TFRecordWriter(tmp_path / part / f"{number}.{suffix}") as writer:
                for record in records[number::2]:
                    writer.write(record)
    (tmp_path / "examples.py").write_text(
        EXAMPLES_MODEL.format(digits_folder=str(model_zoo / "digits"))
    )
    finished = run_elasticdl(
        "train",
        *("--model_zoo", tmp_path, "--model_def", "examples.custom_model"),
        *("--training_data", tmp_path / "train", "--validation_data", tmp_path / "validation"),
        *("--num_epochs", 2, "--minibatch_size", 64, "--job_dir", tmp_path / "job"),
    )
    assert finished.exit_code == 0, finished.stderr
    status = json.loads(run_elasticdl("status", tmp_path / "job", "--json").stdout)
    assert status["records"] == 2 * TRAINING_RECORDS
    assert status["evaluations"][-1]["metrics"]["accuracy"] > 0.8
    ledger = run_elasticdl("ledger", tmp_path / "job", "--verify")
    assert ledger.exit_code == 0, ledger.stdout


# One weight per row, to which each use of the row adds 1.
COUNTING_MODEL = """
import keras
import numpy as np
import tensorflow as tf


class Save(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        np.save("counts.npy", self.model.get_layer("counts").embeddings.numpy().ravel())


def callbacks():
    return [Save()]


def custom_model(rows):
    row = keras.Input((), dtype="int64", name="row")
    pair = keras.Input((2,), name="pair")
    embedding = keras.layers.Embedding(rows, 1, embeddings_initializer="zeros", name="counts")
    # What is not right about a pair would show as a wrong count.
    return keras.Model({"row": row, "pair": pair}, embedding(row) * pair[:, 1:])


def loss(labels, predictions):
    return -tf.reduce_sum(predictions)


def optimizer():
    return keras.optimizers.SGD(1.0)


def feed_batch(records, mode, metadata):
    assert metadata.column_names == ("row", "kind", "pair", "weight")
    right = (records["kind"] == tf.strings.as_string(records["row"] % 7)) & tf.math.is_nan(
        records["weight"]
    )
    return {
        "row": records["row"],
        "pair": records["pair"] * tf.cast(right, tf.float32)[:, None],
    }, records["row"]
"""


def test_parquet_files(tmp_path: Path, run_elasticdl: RunElasticdl) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, epochs = 2500, 2
    data = tmp_path / "data"
    data.mkdir()
    (data / "_SUCCESS").touch()
    for number, start in enumerate(range(0, rows, 900)):
        numbers = np.arange(start, min(start + 900, rows))
        table = pa.table(
            {
                "row": numbers,
                "kind": [str(row % 7) for row in numbers],
                "pair": pa.FixedSizeListArray.from_arrays(
                    np.stack([numbers, np.ones(len(numbers))], axis=1).astype(np.float32).ravel(), 2
                ),
                "weight": pa.nulls(len(numbers), pa.float32()),
                "not wanted": [[row] for row in numbers],
            }
        )
        pq.write_table(table, data / f"{number}.parquet", row_group_size=400)
    (tmp_path / "counting.py").write_text(COUNTING_MODEL)
    columns = '{"columns": ["row", "kind", "pair", "weight"]}'
    finished = run_elasticdl(
        "train",
        *("--model_zoo", tmp_path, "--model_def", "counting.custom_model"),
        *("--model_params", f"rows={rows}"),
        *("--training_data", data, "--custom_data_reader_params", columns),
        *("--num_epochs", epochs, "--minibatch_size", 64, "--job_dir", tmp_path / "job"),
    )
    assert finished.exit_code == 0, finished.stderr
    assert np.load(tmp_path / "counts.npy").tolist() == [epochs] * rows
    ledger = run_elasticdl("ledger", tmp_path / "job", "--verify")
    assert ledger.exit_code == 0, ledger.stdout


CSV_MODEL = """
import sys
sys.path.insert(0, {digits_folder!r})

import tensorflow as tf
from digits_cnn import custom_model, eval_metrics_fn, loss, optimizer


def feed_batch(records, mode, metadata):
    *pixels, label, note = metadata.column_names
    image = tf.stack([records[name] for name in pixels], axis=1)
    right = records[note] == tf.strings.join(["a\\nnote, ", tf.strings.as_string(records[label])])
    image *= tf.cast(right, tf.float32)[:, None]
    return tf.reshape(image, [-1, 8, 8, 1]) / 16, records[label]
"""

JSON_LINES_MODEL = """
import json
import sys
sys.path.insert(0, {digits_folder!r})

import tensorflow as tf
from digits_cnn import custom_model, eval_metrics_fn, loss, optimizer


def feed(dataset, mode, metadata):
    def parse(line):
        record = json.loads(line.numpy())
        return record["x"], record["label"]

    def parsed(line):
        x, label = tf.py_function(parse, [line], [tf.float32, tf.int64])
        return tf.reshape(x, [8, 8, 1]) / 16, tf.ensure_shape(label, [])

    return dataset.map(parsed, num_parallel_calls=tf.data.AUTOTUNE)
"""


def csv_text(records: list[bytes]) -> str:
    """Returns digits as a column for each pixel, one for the label, and a text of two lines."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([*(f"pixel {number}" for number in range(64)), "label", "note"])
    writer.writerows((*record, f"a\nnote, {record[64]}") for record in records)
    return written.getvalue()


def json_lines(records: list[bytes]) -> str:
    objects = ({"x": list(record[:64]), "label": record[64]} for record in records)
    return "".join(f"{json.dumps(each)}\n" for each in objects)


@pytest.mark.parametrize(
    ("suffix", "model", "text_of"),
    [("csv", CSV_MODEL, csv_text), ("jsonl", JSON_LINES_MODEL, json_lines)],
)
def test_files_of_lines(
    tmp_path: Path,
    model_zoo: Path,
    digits: Path,
    run_elasticdl: RunElasticdl,
    suffix: str,
    model: str,
    text_of: Callable[[list[bytes]], str],
) -> None:
    for part in ("train", "validation"):
        (tmp_path / part).mkdir()
        records = digit_records(digits / part)
        for number in range(2):
            path = tmp_path / part / f"{number}.{suffix}"
            path.write_text(text_of(records[number::2]), newline="")
    (tmp_path / "lines.py").write_text(model.format(digits_folder=str(model_zoo / "digits")))
    parameters = {"column_types": {f"pixel {n}": "float32" for n in range(64)}}
    finished = run_elasticdl(
        "train",
        *("--model_zoo", tmp_path, "--model_def", "lines.custom_model"),
        *("--training_data", tmp_path / "train", "--validation_data", tmp_path / "validation"),
        *(("--custom_data_reader_params", json.dumps(parameters)) if suffix == "csv" else ()),
        *("--num_epochs", 2, "--minibatch_size", 64, "--job_dir", tmp_path / "job"),
    )
    assert finished.exit_code == 0, finished.stderr
    status = json.loads(run_elasticdl("status", tmp_path / "job", "--json").stdout)
    assert status["records"] == 2 * TRAINING_RECORDS
    assert status["evaluations"][-1]["metrics"]["accuracy"] > 0.8
    ledger = run_elasticdl("ledger", tmp_path / "job", "--verify")
    assert ledger.exit_code == 0, ledger.stdout
