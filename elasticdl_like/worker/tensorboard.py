"""The curves of a training as TensorBoard shows them, written by TensorFlow's own writer.

TensorBoard reads the files of a directory in the order of their names, and drops the points from
the step on that a file begins with: what was trained after the checkpoint that a job goes back to
is in no curve. This holds for one kind of step alone, so that each curve is over the step of the
model, also those that Keras' callback draws over the epoch.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

_logger = logging.getLogger(__name__)

_TRAINING_RUN = "train"
_VALIDATION_RUN = "validation"
_VALIDATION_PREFIX = "val_"


class Curves:
    """Writes the points of a training's curves; used by one thread.

    The names are those of `keras.callbacks.TensorBoard`, which has the same two runs. Every point
    is in the file when a method returns. When that fails, it is logged, and no more are written:
    training goes on.

    Args:
        directory: TensorBoard's log directory, or "" for no curves.
        step: the step that training goes on from; later points that are there do not count.
    """

    def __init__(self, directory: str, step: int) -> None:
        self._directory = directory
        self._first_step = step + 1
        self._writers: dict[str, tf.compat.v1.summary.FileWriter] = {}
        self._counted_step, self._counted_s = step, time.monotonic()

    def add_steps(self, step: int, loss: float, optimizer: keras.optimizers.Optimizer) -> None:
        """Adds the mean loss of the last steps, their rate, and the learning rate."""
        if not self._directory:
            return
        now_s = time.monotonic()
        values = {"batch_loss": loss, "batch_learning_rate": _learning_rate(optimizer)}
        if now_s > self._counted_s:
            rate = (step - self._counted_step) / (now_s - self._counted_s)
            values["batch_steps_per_second"] = rate
        self._counted_step, self._counted_s = step, now_s
        self._add(_TRAINING_RUN, step, values)

    def add_epoch(
        self, step: int, logs: Mapping[str, float], optimizer: keras.optimizers.Optimizer
    ) -> None:
        """Adds what callbacks are told at the end of an epoch, which ends with this step."""
        if not self._directory:
            return
        training = {"epoch_learning_rate": _learning_rate(optimizer)}
        validation = {}
        for name, value in logs.items():
            if name.startswith(_VALIDATION_PREFIX):
                validation[f"epoch_{name.removeprefix(_VALIDATION_PREFIX)}"] = value
            else:
                training[f"epoch_{name}"] = value
        self._add(_TRAINING_RUN, step, training)
        self._add(_VALIDATION_RUN, step, validation)

    def add_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds the result of an evaluation of the model as it was after a step."""
        values = {f"evaluation_{name}_vs_iterations": each for name, each in metrics.items()}
        self._add(_VALIDATION_RUN, step, values)

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _add(self, run: str, step: int, values: Mapping[str, float]) -> None:
        if not self._directory or not values:
            return
        summary = tf.compat.v1.Summary(
            value=[
                tf.compat.v1.Summary.Value(tag=name, simple_value=value)
                for name, value in values.items()
            ]
        )
        try:
            writer = self._writers.get(run) or self._begin(run)
            writer.add_summary(summary, step)
            writer.flush()
        except (OSError, tf.errors.OpError) as error:
            _logger.warning(
                "the curves in --tensorboard_dir %s end at step %d, because they cannot be "
                "written: %s",
                self._directory,
                step,
                error,
            )
            self._directory, self._writers = "", {}

    def _begin(self, run: str) -> tf.compat.v1.summary.FileWriter:
        """Begins a file, which says from which step on those before it do not count."""
        # Its time is in whole seconds; two that begin in the same one must not be the same file.
        suffix = f".{self._first_step:012}.{os.getpid()}"
        with tf.Graph().as_default():  # the class refuses to be made in eager mode
            writer = tf.compat.v1.summary.FileWriter(
                str(Path(self._directory, run)), filename_suffix=suffix
            )
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        writer.add_session_log(start, self._first_step)
        self._writers[run] = writer
        return writer


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
