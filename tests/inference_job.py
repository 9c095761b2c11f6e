"""A trained model of handwritten digits, for jobs that use it, and what such jobs write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from elasticdl_like.data_readers import RecordIODataReader, RecordIOWriter
from elasticdl_like.data_readers.places import task_of
from elasticdl_like.data_readers.reading import list_shards, read_task

NUM_PIXELS = 64
NUM_DIGITS = 10
MODEL_DEF = ("--model_def", "model.make")

# Records are 65 bytes, pixels and digit, or rows of columns p0, p1, … and label.
MODEL_FILE = """
import keras
import tensorflow as tf


def make():
    return keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def loss(labels, predictions):
    return keras.losses.categorical_crossentropy(labels, predictions)


def feed_batch(records, mode, metadata):
    if isinstance(records, dict):
        pixels = tf.stack([tf.cast(records[f"p{n}"], tf.float32) for n in range(64)], axis=1)
        labels = records["label"]
    else:
        values = tf.io.decode_raw(records, tf.uint8, fixed_length=65)
        pixels, labels = tf.cast(values[:, :64], tf.float32), values[:, 64]
    if mode == "prediction":
        return pixels / 16
    return pixels / 16, tf.one_hot(tf.cast(labels, tf.int32), 10)


def distance(labels, predictions):
    return tf.reduce_sum(tf.abs(labels - predictions), axis=1)


def eval_metrics_fn():
    return {
        "accuracy": keras.metrics.CategoricalAccuracy(),
        "top3": keras.metrics.TopKCategoricalAccuracy(k=3),
        "auc": keras.metrics.AUC(),
        "precision": keras.metrics.Precision(),
        "recall": keras.metrics.Recall(),
        "f1": keras.metrics.F1Score(average="macro"),
        "mse": keras.metrics.MeanSquaredError(),
        "distance": distance,
    }
"""


@dataclass(frozen=True)
class TrainedDigits:
    """A model, the data that it was not trained on, and what it says of that.

    Attributes:
        zoo: a model zoo with `model.py`.
        model_path: the model.
        data: RecordIO files, 397 records.
        pixels: of the records by shard and index, in this order.
        labels: likewise.
        predictions: likewise, of `model.predict`.
        places: shard and index of each.
    """

    zoo: Path
    model_path: Path
    data: Path
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    predictions: NDArray[np.float32]
    places: list[tuple[str, int]]


def train_digits(directory: Path, digits: Path) -> TrainedDigits:
    """Trains a model for a moment, with Keras alone.

    Args:
        directory: gets the model file and the model.
        digits: the directory with `train` and `validation`.
    """
    import keras

    zoo, model_path = directory / "zoo", directory / "trained.keras"
    zoo.mkdir()
    (zoo / "model.py").write_text(MODEL_FILE)
    names: dict[str, Any] = {}
    exec(MODEL_FILE, names)
    keras.utils.set_random_seed(1)
    model = names["make"]()
    model.compile("adam", "sparse_categorical_crossentropy")
    pixels, labels, _ = read_digits(digits / "train")
    model.fit(pixels / 16, labels, batch_size=16, epochs=5, verbose=0)
    model.save(model_path)
    data = digits / "validation"
    pixels, labels, places = read_digits(data)
    predictions = model.predict(pixels / np.float32(16), verbose=0)
    return TrainedDigits(zoo, model_path, data, pixels, labels, predictions, places)


def read_digits(
    data: Path,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[tuple[str, int]]]:
    """Returns pixels, digits, and shards and indices of RecordIO files."""
    reader = RecordIODataReader(data_origin=str(data))
    records: list[bytes] = []
    places: list[tuple[str, int]] = []
    for shard in list_shards(reader):
        for batch in read_task(reader, task_of(shard, shard.first, shard.end)):
            records += [bytes(record) for record in batch]
        places += [(shard.name, index) for index in range(shard.first, shard.end)]
    values = np.frombuffer(b"".join(records), np.uint8).reshape(-1, NUM_PIXELS + 1)
    return values[:, :NUM_PIXELS], values[:, NUM_PIXELS].astype(np.int64), places


def read_rows(output: Path, output_format: str) -> list[dict[str, Any]]:
    """Returns the rows of a whole output, in the order of shard and index.

    Fails if something is there that does not belong to it.
    """
    success = json.loads((output / "_SUCCESS").read_text())
    parts = sorted(path for path in output.iterdir() if path.name != "_SUCCESS")
    assert [path.name for path in parts] == sorted(_names(success["parts"]))
    rows: list[dict[str, Any]] = []
    for path in parts:
        assert path.suffix == f".{output_format}", path
        found = _rows_of(path, output_format)
        assert found, f"{path} is empty"
        rows += found
    return sorted(rows, key=lambda row: (row["shard"], row["index"]))


def _names(parts: Any) -> list[str]:
    return [each["name"] if isinstance(each, Mapping) else each for each in parts]


def _rows_of(path: Path, output_format: str) -> list[dict[str, Any]]:
    match output_format:
        case "parquet":
            table: pa.Table = pq.read_table(path)
        case "csv":
            table = pyarrow.csv.read_csv(path)
        case "jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case "recordio":
            reader = RecordIODataReader(data_origin=str(path))
            return [
                json.loads(record)
                for shard in list_shards(reader)
                for batch in read_task(reader, task_of(shard, shard.first, shard.end))
                for record in batch
            ]
    return list(table.to_pylist())


def assert_predicted(
    rows: list[dict[str, Any]],
    places: list[tuple[str, int]],
    predictions: NDArray[Any],
) -> None:
    """Checks that there is one row for each record, with what `model.predict` says of it."""
    assert [(row["shard"], row["index"]) for row in rows] == places
    np.testing.assert_allclose(
        np.array([row["prediction"] for row in rows]), predictions, rtol=1e-5, atol=1e-6
    )


def write_numbers(directory: Path, count: int, num_files: int = 3) -> Path:
    """Writes RecordIO files of the numbers 0, 1, …, `count` - 1, one a record."""
    directory.mkdir()
    for number, chunk in enumerate(np.array_split(np.arange(count), num_files)):
        with RecordIOWriter(directory / f"numbers-{number}.recordio") as writer:
            for each in chunk:
                writer.write(b"%d" % each)
    return directory
