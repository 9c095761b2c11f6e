"""A model of digits whose callbacks write down when each step has ended; used by benchmarks.

The file that STEP_TIMES names gets a line for each step: the wall clock's time in seconds.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

PIXELS = 64
CLASSES = 10


def small() -> keras.Model:
    """Returns a convolutional network, as that of the model zoo."""
    return keras.Sequential(
        [
            keras.Input((PIXELS,)),
            keras.layers.Reshape((8, 8, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES),
        ]
    )


def large() -> keras.Model:
    """Returns a network of 25 million parameters."""
    return keras.Sequential(
        [
            keras.Input((PIXELS,)),
            keras.layers.Dense(4096, activation="relu"),
            keras.layers.Dense(4096, activation="relu"),
            keras.layers.Dense(1900, activation="relu"),
            keras.layers.Dense(CLASSES),
        ]
    )


def loss(labels: Any, predictions: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(labels, predictions, from_logits=True)


def optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(1e-3)


def feed_batch(records: Any, mode: str, metadata: Any) -> tuple[Any, Any]:
    pixels = tf.io.decode_raw(records, tf.uint8)
    features = tf.cast(pixels[:, :PIXELS], tf.float32) / 16.0
    return features, tf.cast(pixels[:, PIXELS], tf.int64)


def callbacks() -> list[keras.callbacks.Callback]:
    return [StepTimes()] if "STEP_TIMES" in os.environ else []


class StepTimes(keras.callbacks.Callback):
    """Writes down when each step has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._file = Path(os.environ["STEP_TIMES"]).open("a", buffering=1)  # noqa: SIM115

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._file.write(f"{time.time()}\n")


def random_records(count: int) -> list[bytes]:
    """Returns records for `feed_batch`: pixels, then the label."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 17, (count, PIXELS), np.uint8)
    labels = random.integers(0, CLASSES, (count, 1), np.uint8)
    return [row.tobytes() for row in np.concatenate([pixels, labels], 1)]
