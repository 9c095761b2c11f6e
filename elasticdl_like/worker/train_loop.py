"""The training of one model by one worker: epochs, steps, evaluations, callbacks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from elasticdl_like.config import JobConfig
from elasticdl_like.tasks import EpochKey, TaskType
from elasticdl_like.worker.checkpoint import (
    CheckpointWriter,
    load_initial_weights,
    write_trained_model,
)
from elasticdl_like.worker.dataset import Batch, BatchPipeline
from elasticdl_like.worker.evaluation import Evaluator
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.model_spec import ModelSpec
from elasticdl_like.worker.task_stream import TaskStream
from elasticdl_like.worker.train_step import TrainStep, split_batch
from elasticdl_like.worker.user_code import explained

_logger = logging.getLogger(__name__)

_LOSS_INTERVAL_S = 0.25


class Trainer:
    """Trains one model on whatever the master leases.

    Args:
        client: the connection to the master.
        config: the job.
        spec: the model definition.
        pipeline: makes batches of the training data.
        evaluator: evaluates the model, or None when there is no validation data.
    """

    def __init__(
        self,
        client: MasterClient,
        config: JobConfig,
        spec: ModelSpec,
        pipeline: BatchPipeline,
        evaluator: Evaluator | None,
    ) -> None:
        self._client = client
        self._config = config
        self._pipeline = pipeline
        self._evaluator = evaluator
        self._train_step = TrainStep(spec)
        self._model = spec.model
        self._has_callbacks = bool(spec.callbacks)
        self._callbacks = keras.callbacks.CallbackList(
            spec.callbacks, model=spec.model, add_history=False, epochs=config.training.num_epochs
        )
        self._checkpoints = CheckpointWriter(
            client, Path(config.checkpoint.directory), config.checkpoint.keep_max
        )
        self._step = 0
        self._epoch_loss = _LossMean()
        self._recent_loss = _LossMean()
        self._logged_loss = _LossMean()
        self._evaluated = EpochKey(TaskType.EVALUATION, 0)
        self._evaluation: Mapping[str, float] = {}

    def run(self, first_epoch: int) -> None:
        """Trains from an epoch to the end of the job, then writes the trained model.

        Raises:
            ElasticdlError: the data, the model file or the master is not as it should be.
        """
        num_epochs = self._config.training.num_epochs
        self._callbacks.on_train_begin()
        logs: dict[str, float] = {}
        stop_reason = ""
        epoch = first_epoch
        for epoch in range(first_epoch, num_epochs):
            self._callbacks.on_epoch_begin(epoch)
            stop_reason = self._train_epoch(epoch)
            logs = {"loss": self._epoch_loss.value()}
            if self._evaluator and not self._config.training.evaluation_steps:
                self._evaluate(epoch)
            if self._evaluated.epoch == epoch and self._evaluation:
                logs |= {f"val_{name}": value for name, value in self._evaluation.items()}
            self._callbacks.on_epoch_end(epoch, logs)
            if not stop_reason and self._model.stop_training and epoch + 1 < num_epochs:
                stop_reason = f"a callback ended training after epoch {epoch + 1}"
            if stop_reason:
                self._client.stop_training(stop_reason)
                break
        self._train_step.finish()
        if self._evaluator:
            self._evaluate(epoch)
        self._callbacks.on_train_end(logs)
        if self._config.output:
            write_trained_model(self._client, self._model, Path(self._config.output))

    def _train_epoch(self, epoch: int) -> str:
        """Trains on one epoch; returns why training is to stop in the middle of it, or ""."""
        self._epoch_loss = _LossMean()
        with TaskStream(self._client, EpochKey(TaskType.TRAINING, epoch)) as stream:
            for index, batch in enumerate(self._pipeline.batches(stream)):
                if batch.data is None:
                    stream.commit(self._step, batch.intervals)
                    continue
                if self._has_callbacks:
                    self._callbacks.on_train_batch_begin(index)
                loss = self._train_batch(batch, stream)
                if self._has_callbacks:
                    self._callbacks.on_train_batch_end(index, {"loss": float(loss)})
                self._after_step(epoch)
                if self._step == self._config.training.max_step:
                    return f"--max_step {self._step} is reached"
                if self._model.stop_training:
                    return f"a callback ended training after step {self._step}"
        return ""

    def _train_batch(self, batch: Batch, stream: TaskStream) -> tf.Tensor:
        first = not self._step
        if first and self._config.checkpoint.directory_for_init:
            self._start_warm(batch)
        loss, weight = self._train_step(batch.data)
        self._step += 1
        for mean in (self._epoch_loss, self._recent_loss, self._logged_loss):
            mean.add(loss, weight)
        # Reading a loss waits for the device, so it is done only now and then.
        reported = None
        if first or self._recent_loss.age_s() > _LOSS_INTERVAL_S:
            reported = self._recent_loss.value()
            self._recent_loss = _LossMean()
        stream.commit(self._step, batch.intervals, reported)
        return loss

    def _start_warm(self, batch: Batch) -> None:
        features, _, _ = split_batch(batch.data)
        with explained("the model"):
            self._train_step.build(features)
        load_initial_weights(self._model, Path(self._config.checkpoint.directory_for_init))

    def _after_step(self, epoch: int) -> None:
        training, checkpoint = self._config.training, self._config.checkpoint
        if training.log_loss_steps and self._step % training.log_loss_steps == 0:
            loss = self._logged_loss.value()
            self._logged_loss = _LossMean()
            _logger.info("step %d, epoch %d: loss %.5g", self._step, epoch + 1, loss)
            if not math.isfinite(loss):
                _logger.warning("the loss is %s since step %d or earlier", loss, self._step)
        if checkpoint.steps and self._step % checkpoint.steps == 0:
            self._checkpoints.write(self._model, self._step, epoch)
        if (
            self._evaluator
            and training.evaluation_steps
            and self._step % training.evaluation_steps == 0
        ):
            self._evaluate(epoch)

    def _evaluate(self, epoch: int) -> None:
        """Evaluates the model as it is after the last step, unless that has been done."""
        key = EpochKey(TaskType.EVALUATION, epoch, self._step)
        if self._evaluator and self._step and key != self._evaluated:
            self._callbacks.on_test_begin()
            self._evaluation = self._evaluator.evaluate(key)
            self._evaluated = key
            self._callbacks.on_test_end(dict(self._evaluation))


class _LossMean:
    """A weighted mean of losses that reads them from the device as late as it can."""

    def __init__(self) -> None:
        self._unread: list[tuple[Any, Any]] = []
        self._sum = 0.0
        self._weight = 0.0
        self._since_s = time.monotonic()

    def add(self, loss: tf.Tensor, weight: tf.Tensor) -> None:
        self._unread.append((loss, weight))
        if len(self._unread) >= 1024:
            self._read()

    def age_s(self) -> float:
        return time.monotonic() - self._since_s

    def value(self) -> float:
        """Returns the mean; NaN when there is nothing to take the mean of."""
        self._read()
        return self._sum / self._weight if self._weight else math.nan

    def _read(self) -> None:
        for loss, weight in self._unread:
            self._sum += float(loss) * float(weight)
            self._weight += float(weight)
        self._unread = []
