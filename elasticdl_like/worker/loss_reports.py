"""What is told of the loss while a model is trained."""

from __future__ import annotations

import logging
import math

import keras
import tensorflow as tf

from elasticdl_like.worker.loss_mean import LossMean
from elasticdl_like.worker.tensorboard import Curves

_logger = logging.getLogger(__name__)

_MASTER_INTERVAL_S = 0.25


class LossReports:
    """Tells the master, the log and TensorBoard what the loss is, each of them now and then.

    Not more often, because reading a loss waits for the device.

    Args:
        log_loss_steps: the log and TensorBoard are told each so many steps; 0: never.
        curves: TensorBoard's.
        model: the model, for its learning rate.
    """

    def __init__(self, log_loss_steps: int, curves: Curves, model: keras.Model) -> None:
        self._log_loss_steps = log_loss_steps
        self._curves = curves
        self._model = model
        self._is_first = True
        self._untold = LossMean()
        self._unlogged = LossMean()

    def add(self, loss: tf.Tensor, weight: tf.Tensor) -> None:
        """Adds the loss of a step."""
        self._untold.add(loss, weight)
        self._unlogged.add(loss, weight)

    def for_master(self) -> float | None:
        """Returns the mean of the last steps; None when the master was told a moment ago."""
        if not self._is_first and self._untold.age_s() <= _MASTER_INTERVAL_S:
            return None
        self._is_first = False
        loss = self._untold.value()
        self._untold = LossMean()
        return loss

    def log(self, step: int, epoch: int) -> None:
        """Logs the mean of the last steps if that is due after this step."""
        if not self._log_loss_steps or step % self._log_loss_steps:
            return
        loss = self._unlogged.value()
        self._unlogged = LossMean()
        _logger.info("step %d, epoch %d: loss %.5g", step, epoch + 1, loss)
        self._curves.add_steps(step, loss, self._model.optimizer)
        if not math.isfinite(loss):
            _logger.warning("the loss is %s since step %d or earlier", loss, step)
