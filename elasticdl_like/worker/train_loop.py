"""The training of one model: epochs, steps, evaluations, checkpoints, callbacks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import keras

from elasticdl_like.config import JobConfig
from elasticdl_like.tasks import EpochKey, Interval, StartPoint, TaskType
from elasticdl_like.time_spent import Activity, TimeSpent
from elasticdl_like.worker.blocks import Batch
from elasticdl_like.worker.callback_state import capture_states, restore_states, without_state
from elasticdl_like.worker.checkpoint_reader import read_callback_states
from elasticdl_like.worker.dataset import BatchPipeline
from elasticdl_like.worker.evaluation import Evaluator
from elasticdl_like.worker.group import Group, Share, StepResult
from elasticdl_like.worker.loss_mean import LossMean
from elasticdl_like.worker.loss_reports import LossReports
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.model_spec import ModelSpec
from elasticdl_like.worker.task_stream import TaskStream
from elasticdl_like.worker.tensorboard import Curves
from elasticdl_like.worker.train_step import TrainStep, split_batch, zeros_like_spec
from elasticdl_like.worker.trained_model import write_trained_model
from elasticdl_like.worker.training_checkpoints import TrainingCheckpoints
from elasticdl_like.worker.training_progress import TrainingProgress, load_start
from elasticdl_like.worker.user_code import explained
from elasticdl_like.worker.waits import awaited

_logger = logging.getLogger(__name__)


class RoundStoppedError(Exception):
    """The round has ended after a step that its members agreed on; the model is as after it."""


class Trainer:
    """Trains one model on whatever the master leases, alone or as a member of a round.

    A trainer runs once. Where it goes on from an earlier step, callbacks get `on_train_begin` and
    the epoch's `on_epoch_begin` again. In a round all members evaluate. The chief alone has the
    results, and callbacks, and writes files; what follows from that for training reaches all.

    Args:
        client: the connection to the master.
        config: the job.
        spec: the model definition.
        step: the step of its model.
        group: who makes each step. In a round the model has its variables, and their values.
        pipeline: makes batches of the training data.
        evaluator: evaluates the model, or None when there is no validation data.
        time_spent: measures what the training thread does.
    """

    def __init__(
        self,
        client: MasterClient,
        config: JobConfig,
        spec: ModelSpec,
        step: TrainStep,
        group: Group,
        pipeline: BatchPipeline,
        evaluator: Evaluator | None,
        time_spent: TimeSpent,
    ) -> None:
        self._client = client
        self._config = config
        self._pipeline = pipeline
        self._evaluator = evaluator
        self._time_spent = time_spent
        self._train_step = step
        self._group = group
        self._model = spec.model
        self._own_callbacks = spec.callbacks if group.is_chief else []
        self._has_callbacks = bool(self._own_callbacks)
        self._callbacks = keras.callbacks.CallbackList(
            self._own_callbacks,
            model=spec.model,
            add_history=False,
            epochs=config.training.num_epochs,
        )
        self._checkpoints = TrainingCheckpoints(
            client, config.checkpoint, spec.model, self._own_callbacks, group.is_chief, time_spent
        )
        self._curves = Curves("", 0)
        self._loss_reports = LossReports(0, self._curves, spec.model)
        self._start = StartPoint()
        self._is_prepared = group.in_round
        self._step = 0
        self._epoch = 0
        self._epochs_done = 0
        self._epoch_loss = LossMean()
        self._logs: dict[str, float] = {}
        self._evaluated: EpochKey | None = None
        self._evaluation: Mapping[str, float] = {}
        self._callback_states: Mapping[str, Any] = {}
        self._stop_reason = ""
        self._has_begun_batch = False

    def run(self, start: StartPoint, progress: TrainingProgress | None = None) -> None:
        """Trains to the end of the job, then writes the trained model.

        Args:
            start: where to go on from.
            progress: how far training was, when that is known from whoever trained before.

        Raises:
            ElasticdlError: the data, the model file, the checkpoint or the master is not as it
                should be.
            PeersLostError: a member of the round is gone.
            RoundStoppedError: the round has ended.
        """
        if progress is None:
            states = read_callback_states(Path(start.checkpoint)) if start.checkpoint else {}
            progress = TrainingProgress(
                epochs_done=start.epoch, checkpoint_step=start.step, callbacks=states
            )
        self._start = start
        self._checkpoints.go_on(progress.checkpoint_step, progress.checkpoint_age_s)
        self._step = start.step
        if self._group.is_chief:
            training = self._config.training
            self._curves = Curves(training.tensorboard_dir, start.step)
            self._loss_reports = LossReports(training.log_loss_steps, self._curves, self._model)
        self._epochs_done = progress.epochs_done
        self._epoch = min(progress.epochs_done, self._config.training.num_epochs - 1)
        self._evaluated, self._evaluation = start.evaluated, start.metrics
        self._callback_states = progress.callbacks
        self._stop_reason = progress.stop_reason
        with closing(self._curves):
            with self._checkpoints:
                self._callbacks.on_train_begin()
                self._restore_callbacks(start.step)
                stop_reason = self._train(progress)
                self._prepare(None)
            # The last checkpoint is written before the job is known to be at its end: whoever takes
            # over from here on must not train the last steps again, because the master would give
            # it nothing to train on.
            self._finish(stop_reason)
            # The others hold the model until everything is written.
            self._group.share_from_chief(None)

    def progress(self, live: bool) -> TrainingProgress:
        """Returns how far training is.

        Args:
            live: whether callbacks are between two calls, so that their present states count;
                otherwise those at the last end of an epoch do.
        """
        states = self._callback_states
        if live and self._has_callbacks:
            states = capture_states(self._own_callbacks)
        loss_sum, loss_weight = self._epoch_loss.sums()
        return TrainingProgress(
            self._epochs_done,
            loss_sum,
            loss_weight,
            self._checkpoints.step,
            self._checkpoints.age_s,
            self._stop_reason,
            states,
        )

    def _finish(self, stop_reason: str) -> None:
        if stop_reason and self._group.is_chief:
            self._client.stop_training(stop_reason)
        self._train_step.finish()
        self._evaluate()
        if not self._group.is_chief:
            return
        self._callbacks.on_train_end(self._logs)
        if self._config.output:
            write_trained_model(self._client, self._model, Path(self._config.output))

    def _restore_callbacks(self, step: int) -> None:
        if self._callback_states:
            restore_states(self._own_callbacks, self._callback_states)
        anew = without_state(self._own_callbacks)
        if step and anew:
            _logger.warning(
                "training goes on from step %d; the state of these callbacks starts anew, because "
                "they have no get_state() and set_state(state): %s",
                step,
                ", ".join(anew),
            )

    def _train(self, progress: TrainingProgress) -> str:
        """Trains all epochs; returns why training ends before the last of them, or ""."""
        stop_reason = self._reason_to_stop()
        for epoch in range(progress.epochs_done, self._config.training.num_epochs):
            if stop_reason:
                break
            self._epoch = epoch
            self._epoch_loss = LossMean()
            if epoch == progress.epochs_done and progress.loss_weight:
                self._epoch_loss.add_sums(progress.loss_sum, progress.loss_weight)
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
            Whether it was begun, and why training is to stop after the last batch, or "".
        """
        self._checkpoints.begin_epoch()
        self._has_begun_batch = False
        index = 0
        has_begun = False
        batches = awaited(self._pipeline.batches(stream), self._time_spent)
        while True:
            batch = None if self._stop_reason else next(batches, None)
            if batch is None and not self._group.in_round:
                return has_begun, ""
            with self._time_spent.measure(Activity.TRAINING):
                if batch is not None and not batch.idle:
                    self._checkpoints.before_batch(batch.aligned, self._step, stream)
                    if batch.problem:
                        stream.fail(self._step, batch.intervals, batch.problem)
                        continue
                    if batch.data is None:
                        stream.commit(self._step, batch.intervals)
                        continue
                if not has_begun and not (batch is None and stream.job_ended):
                    self._begin_epoch(batch)
                    has_begun = True
                result = self._run_step(index, batch, stream)
                if result.applied:
                    index += 1
                    stop_reason = self._reason_to_stop()
                    if stop_reason and self._stops_everywhere():
                        return True, stop_reason
                    self._stop_reason = stop_reason
                if result.halts or result.all_ended:
                    return has_begun, self._stop_reason
                if result.stops:
                    raise RoundStoppedError

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
        has_start = self._start.checkpoint or self._config.checkpoint.directory_for_init
        if batch is not None and not has_start:
            return  # the first step makes them
        data = zeros_like_spec(self._pipeline.element_spec) if batch is None else batch.data
        features, _, _ = split_batch(data)
        with explained("the model"):
            self._train_step.build(features)
        load_start(self._model, self._config, self._start)

    def _run_step(self, index: int, batch: Batch | None, stream: TaskStream) -> StepResult:
        if self._has_callbacks and not self._has_begun_batch and not self._stop_reason:
            self._callbacks.on_train_batch_begin(index)
            self._has_begun_batch = True
        result = self._group.run_step(
            Share(
                None if batch is None else batch.data,
                () if batch is None else batch.intervals,
                halts=bool(self._stop_reason),
                ended=batch is None,
                firm_step=stream.firm_step,
            )
        )
        if result.applied:
            self._step += 1
            self._count_step(index, () if batch is None else batch.intervals, stream, result)
        return result

    def _count_step(
        self, index: int, intervals: Sequence[Interval], stream: TaskStream, result: StepResult
    ) -> None:
        self._epoch_loss.add(result.loss, result.weight)
        reported = None
        if self._group.is_chief:
            self._loss_reports.add(result.loss, result.weight)
            reported = self._loss_reports.for_master()
        if intervals or reported is not None:
            stream.commit(self._step, intervals, reported)
        if self._group.in_round:
            stream.finish_step(self._step)
        if self._has_callbacks:
            self._callbacks.on_train_batch_end(index, {"loss": float(result.loss)})
            self._has_begun_batch = False
        if self._group.is_chief:
            self._loss_reports.log(self._step, self._epoch)
        evaluation_steps = self._config.training.evaluation_steps
        if evaluation_steps and self._step % evaluation_steps == 0:
            self._evaluate()

    def _reason_to_stop(self) -> str:
        if self._is_at_max_step():
            return f"--max_step {self._config.training.max_step} is reached"
        if self._model.stop_training:
            return f"a callback ended training after step {self._step}"
        return ""

    def _is_at_max_step(self) -> bool:
        max_step = self._config.training.max_step
        return bool(max_step) and self._step >= max_step

    def _stops_everywhere(self) -> bool:
        """Whether every member knows by itself that there is no further step."""
        return not self._group.in_round or self._is_at_max_step()

    def _end_epoch(self, stream: TaskStream, stop_reason: str) -> str:
        """Evaluates, tells the callbacks, and takes the checkpoint that holds all of this.

        Returns:
            Why training is to stop, or "".
        """
        digest = self._group.model_digest() if self._has_callbacks else 0
        if not self._config.training.evaluation_steps:
            self._evaluate()
        has_new_model = False
        is_last = stream.job_ended or self._epoch + 1 == self._config.training.num_epochs
        if self._group.is_chief:
            self._logs = {"loss": self._epoch_loss.value()}
            if self._evaluated is not None and self._evaluated.epoch == self._epoch:
                self._logs |= {f"val_{name}": value for name, value in self._evaluation.items()}
            self._curves.add_epoch(self._step, self._logs, self._model.optimizer)
            self._callbacks.on_epoch_end(self._epoch, self._logs)
            if not stop_reason and self._model.stop_training and not is_last:
                stop_reason = f"a callback ended training after epoch {self._epoch + 1}"
            self._callback_states = capture_states(self._own_callbacks)
            has_new_model = self._has_callbacks and self._group.model_digest() != digest
        stop_reason, self._callback_states, has_new_model = self._group.share_from_chief(
            [stop_reason, self._callback_states, has_new_model]
        )
        if has_new_model:
            self._group.share_model()
        self._epochs_done = self._epoch + 1
        self._stop_reason = ""
        self._checkpoints.end_epoch(is_last or bool(stop_reason), self._step, stream)
        return str(stop_reason)

    def _evaluate(self) -> None:
        """Evaluates the model as it is after the last step, unless that has been done.

        All members take part; whether it has been done they know from where the round began.
        """
        is_done = self._evaluated is not None and self._evaluated.step == self._step
        if self._evaluator is None or not self._step or is_done:
            return
        key = EpochKey(TaskType.EVALUATION, self._epoch, self._step)
        self._callbacks.on_test_begin()
        with self._time_spent.measure(Activity.EVALUATING):
            self._evaluator.take_part(key)
            if self._group.is_chief:
                self._evaluation = self._evaluator.finish(key)
        self._curves.add_evaluation(key.step, self._evaluation)
        self._evaluated = key
        self._callbacks.on_test_end(dict(self._evaluation))
