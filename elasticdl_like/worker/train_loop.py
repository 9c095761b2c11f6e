"""The training of one model by one worker: epochs, steps, evaluations, checkpoints, callbacks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

import keras

from elasticdl_like.config import JobConfig
from elasticdl_like.tasks import EpochKey, StartPoint, TaskType
from elasticdl_like.time_spent import Activity, TimeSpent
from elasticdl_like.worker.blocks import Batch
from elasticdl_like.worker.checkpoint_policy import CheckpointPolicy
from elasticdl_like.worker.checkpoint_reader import load_initial_weights, restore_checkpoint
from elasticdl_like.worker.checkpoint_writer import CheckpointWriter
from elasticdl_like.worker.dataset import BatchPipeline
from elasticdl_like.worker.evaluation import Evaluator
from elasticdl_like.worker.loss_mean import LossMean
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.model_spec import ModelSpec
from elasticdl_like.worker.task_stream import TaskStream
from elasticdl_like.worker.train_step import TrainStep, split_batch, zeros_like_spec
from elasticdl_like.worker.trained_model import write_trained_model
from elasticdl_like.worker.user_code import explained
from elasticdl_like.worker.waits import awaited

_logger = logging.getLogger(__name__)

_LOSS_INTERVAL_S = 0.25


class Trainer:
    """Trains one model on whatever the master leases.

    A trainer runs once. Where it goes on from a checkpoint, callbacks get `on_train_begin` and the
    epoch's `on_epoch_begin` again, and state of their own starts anew.

    Args:
        client: the connection to the master.
        config: the job.
        spec: the model definition.
        pipeline: makes batches of the training data.
        evaluator: evaluates the model, or None when there is no validation data.
        time_spent: measures what the training thread does.
    """

    def __init__(
        self,
        client: MasterClient,
        config: JobConfig,
        spec: ModelSpec,
        pipeline: BatchPipeline,
        evaluator: Evaluator | None,
        time_spent: TimeSpent,
    ) -> None:
        self._client = client
        self._config = config
        self._pipeline = pipeline
        self._evaluator = evaluator
        self._time_spent = time_spent
        self._train_step = TrainStep(spec)
        self._model = spec.model
        self._has_callbacks = bool(spec.callbacks)
        self._callbacks = keras.callbacks.CallbackList(
            spec.callbacks, model=spec.model, add_history=False, epochs=config.training.num_epochs
        )
        self._writer = CheckpointWriter(client, Path(config.checkpoint.directory))
        self._start = StartPoint()
        self._policy = CheckpointPolicy(config.checkpoint, 0, time.monotonic())
        self._is_prepared = False
        self._step = 0
        self._epoch = 0
        # Whether the steps so far used up whole leases: only then can a checkpoint be taken.
        self._is_aligned = True
        self._asked_to_align = False
        self._epoch_loss = LossMean()
        self._recent_loss = LossMean()
        self._logged_loss = LossMean()
        self._logs: dict[str, float] = {}
        self._evaluated: EpochKey | None = None
        self._evaluation: Mapping[str, float] = {}

    def run(self, start: StartPoint) -> None:
        """Trains to the end of the job, then writes the trained model.

        Args:
            start: where to go on from.

        Raises:
            ElasticdlError: the data, the model file, the checkpoint or the master is not as it
                should be.
        """
        self._start = start
        self._policy = CheckpointPolicy(self._config.checkpoint, start.step, time.monotonic())
        self._step = start.step
        self._epoch = min(start.epoch, self._config.training.num_epochs - 1)
        self._evaluated, self._evaluation = start.evaluated, start.metrics
        try:
            self._callbacks.on_train_begin()
            stop_reason = self._train()
            self._prepare(None)
            # Before the job is known to be at its end: whoever takes over from here on must not
            # train the last steps again, because the master would give it nothing to train on.
            self._writer.wait()
        finally:
            self._writer.close()
        if stop_reason:
            self._client.stop_training(stop_reason)
        self._train_step.finish()
        self._evaluate()
        self._callbacks.on_train_end(self._logs)
        if self._config.output:
            write_trained_model(self._client, self._model, Path(self._config.output))

    def _train(self) -> str:
        """Trains all epochs; returns why training ends before the last of them, or ""."""
        stop_reason = self._reason_to_stop()
        for epoch in range(self._start.epoch, self._config.training.num_epochs):
            if stop_reason:
                break
            self._epoch = epoch
            with TaskStream(self._client, EpochKey(TaskType.TRAINING, epoch)) as stream:
                has_begun, stop_reason = self._train_epoch(stream)
                if not has_begun and not stream.job_ended:
                    self._begin_epoch(None)
                    has_begun = True
                if has_begun:
                    with self._time_spent.measure(Activity.TRAINING):
                        stream.flush()
                        stop_reason = self._end_epoch(stream, stop_reason)
            if stream.job_ended:
                break
        return stop_reason

    def _train_epoch(self, stream: TaskStream) -> tuple[bool, str]:
        """Trains on the batches of one epoch.

        Returns:
            Whether there was any, and why training is to stop after the last, or "".
        """
        self._epoch_loss = LossMean()
        self._asked_to_align = False
        index = 0
        for batch in awaited(self._pipeline.batches(stream), self._time_spent):
            with self._time_spent.measure(Activity.TRAINING):
                # A checkpoint waits for the batch after it: were there none, it would lack what
                # is done at the end of an epoch.
                if self._policy.is_due(self._step, time.monotonic()):
                    self._take_checkpoint_if_aligned(stream)
                self._is_aligned = batch.aligned
                if batch.problem:
                    stream.fail(self._step, batch.intervals, batch.problem)
                elif batch.data is None:
                    stream.commit(self._step, batch.intervals)
                else:
                    if not index:
                        self._begin_epoch(batch)
                    self._train_batch(index, batch, stream)
                    index += 1
                    if stop_reason := self._reason_to_stop():
                        return True, stop_reason
        return index > 0, ""

    def _begin_epoch(self, batch: Batch | None) -> None:
        """Tells the callbacks that the epoch begins, with the model as it is going to be trained.

        Not before the first batch is there: without it the model may have no variables, and a
        learning rate that a callback sets would be overwritten by that of the checkpoint.
        """
        self._prepare(batch)
        self._callbacks.on_epoch_begin(self._epoch)

    def _prepare(self, batch: Batch | None) -> None:
        """Gives the model the variables that training starts from, unless it has them.

        Args:
            batch: the first batch, or None when there is none to train on.
        """
        if self._is_prepared:
            return
        self._is_prepared = True
        initial = self._config.checkpoint.directory_for_init
        if batch is not None and not self._start.checkpoint and not initial:
            return  # the first step makes them
        data = zeros_like_spec(self._pipeline.element_spec) if batch is None else batch.data
        features, _, _ = split_batch(data)
        with explained("the model"):
            self._train_step.build(features)
        if self._start.checkpoint:
            restore_checkpoint(self._model, Path(self._start.checkpoint))
        elif initial:
            load_initial_weights(self._model, Path(initial))

    def _train_batch(self, index: int, batch: Batch, stream: TaskStream) -> None:
        if self._has_callbacks:
            self._callbacks.on_train_batch_begin(index)
        loss, weight = self._train_step(batch.data)
        self._step += 1
        for mean in (self._epoch_loss, self._recent_loss, self._logged_loss):
            mean.add(loss, weight)
        # Reading a loss waits for the device, so it is done only now and then.
        reported = None
        is_first = self._step == self._start.step + 1
        if is_first or self._recent_loss.age_s() > _LOSS_INTERVAL_S:
            reported = self._recent_loss.value()
            self._recent_loss = LossMean()
        stream.commit(self._step, batch.intervals, reported)
        if self._has_callbacks:
            self._callbacks.on_train_batch_end(index, {"loss": float(loss)})
        self._log_loss()
        evaluation_steps = self._config.training.evaluation_steps
        if evaluation_steps and self._step % evaluation_steps == 0:
            self._evaluate()

    def _log_loss(self) -> None:
        log_loss_steps = self._config.training.log_loss_steps
        if log_loss_steps and self._step % log_loss_steps == 0:
            loss = self._logged_loss.value()
            self._logged_loss = LossMean()
            _logger.info("step %d, epoch %d: loss %.5g", self._step, self._epoch + 1, loss)
            if not math.isfinite(loss):
                _logger.warning("the loss is %s since step %d or earlier", loss, self._step)

    def _reason_to_stop(self) -> str:
        max_step = self._config.training.max_step
        if max_step and self._step >= max_step:
            return f"--max_step {max_step} is reached"
        if self._model.stop_training:
            return f"a callback ended training after step {self._step}"
        return ""

    def _end_epoch(self, stream: TaskStream, stop_reason: str) -> str:
        """Evaluates, tells the callbacks, and takes the checkpoint that holds all of this.

        Returns:
            Why training is to stop, or "".
        """
        self._logs = {"loss": self._epoch_loss.value()}
        if not self._config.training.evaluation_steps:
            self._evaluate()
        if self._evaluated is not None and self._evaluated.epoch == self._epoch:
            self._logs |= {f"val_{name}": value for name, value in self._evaluation.items()}
        self._callbacks.on_epoch_end(self._epoch, self._logs)
        is_last = stream.job_ended or self._epoch + 1 == self._config.training.num_epochs
        if not stop_reason and self._model.stop_training and not is_last:
            stop_reason = f"a callback ended training after epoch {self._epoch + 1}"
        if self._policy.is_due_at_end_of_epoch(self._step, time.monotonic()) or (
            (is_last or stop_reason) and self._policy.is_new(self._step)
        ):
            self._take_checkpoint_if_aligned(stream)
        return stop_reason

    def _take_checkpoint_if_aligned(self, stream: TaskStream) -> None:
        """Takes a checkpoint, or has the stream see to it that one can be taken soon."""
        if not self._is_aligned:
            if not self._asked_to_align:
                stream.align()
                self._asked_to_align = True
            return
        self._asked_to_align = False
        with self._time_spent.measure(Activity.SAVING):
            stream.mark(self._step)
            # The master has to know of the mark before it is asked to publish the checkpoint.
            stream.flush()
            self._writer.save(self._model, self._step)
        self._policy.taken(self._step, time.monotonic())

    def _evaluate(self) -> None:
        """Evaluates the model as it is after the last step, unless that has been done."""
        is_done = self._evaluated is not None and self._evaluated.step == self._step
        if self._evaluator is None or not self._step or is_done:
            return
        key = EpochKey(TaskType.EVALUATION, self._epoch, self._step)
        self._callbacks.on_test_begin()
        with self._time_spent.measure(Activity.EVALUATING):
            self._evaluation = self._evaluator.evaluate(key)
        self._evaluated = key
        self._callbacks.on_test_end(dict(self._evaluation))
