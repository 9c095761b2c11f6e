"""Small models and small data for jobs that go wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.data_readers.recordio import Compressor

NUM_RECORDS = 100

# TensorFlow is imported when it is needed, so that listing the shards of a reader is quick.
MODEL = """
def custom_model():
    import keras

    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def loss(labels, predictions):
    import tensorflow as tf

    return tf.reduce_mean(tf.square(labels - predictions))


def optimizer():
    import keras

    return keras.optimizers.SGD(0.0)


def feed_batch(records, mode, metadata):
    import tensorflow as tf

    values = tf.reshape(tf.strings.to_number(records), [-1, 1])
    return values, values
"""


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[[str], Path]:
    """Writes `zoo/model.py`, a whole model with more Python below; returns the model zoo."""

    def write(more: str = "", *, model: str = MODEL) -> Path:
        path = tmp_path / "zoo" / "model.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{model}\n\n{more}\n")
        return path.parent

    return write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with one RecordIO file, of one uncompressed chunk."""
    path = tmp_path / "data" / "numbers.recordio"
    path.parent.mkdir()
    with RecordIOWriter(path, compressor=Compressor.NONE) as writer:
        for number in range(NUM_RECORDS):
            writer.write(b"%d" % number)
    return path.parent
