"""The checkpoints that are taken in the course of a training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import keras

from elasticdl_like.config import CheckpointConfig
from elasticdl_like.time_spent import Activity, TimeSpent
from elasticdl_like.worker.callback_state import capture_states
from elasticdl_like.worker.checkpoint_policy import CheckpointPolicy
from elasticdl_like.worker.checkpoint_writer import CheckpointWriter
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.task_stream import TaskStream


class TrainingCheckpoints:
    """Takes a checkpoint when one is due, or as soon after that as one can be taken.

    It can be taken only where the steps so far have used up whole leases. Used as a context
    manager: leaving it waits until the last one is written, unless it is left by an error.

    Args:
        client: the connection to the master.
        config: when, and where.
        model: the model.
        callbacks: the user's, whose states are part of a checkpoint.
        is_chief: whether this worker takes checkpoints; others only know when they are due.
        time_spent: measures how long training waits for them.
    """

    def __init__(
        self,
        client: MasterClient,
        config: CheckpointConfig,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        is_chief: bool,
        time_spent: TimeSpent,
    ) -> None:
        self._config = config
        self._model = model
        self._callbacks = callbacks
        self._is_chief = is_chief
        self._time_spent = time_spent
        self._writer = CheckpointWriter(client, Path(config.directory))
        self._policy = CheckpointPolicy(config, 0, time.monotonic())
        self._is_aligned = True
        self._asked_to_align = False

    def __enter__(self) -> TrainingCheckpoints:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc_info: object) -> None:
        try:
            if exc_type is None:
                self._writer.wait()
        finally:
            self._writer.close()

    @property
    def step(self) -> int:
        """The step of the last checkpoint."""
        return self._policy.step

    @property
    def age_s(self) -> float:
        """How long ago the last checkpoint was taken."""
        return self._policy.age_s(time.monotonic())

    def go_on(self, step: int, age_s: float) -> None:
        """Goes on from a checkpoint that was taken so long ago."""
        self._policy = CheckpointPolicy(self._config, step, time.monotonic() - age_s)

    def begin_epoch(self) -> None:
        """Notes that another stream is used from now on."""
        self._asked_to_align = False

    def before_batch(self, is_aligned: bool, step: int, stream: TaskStream) -> None:
        """Takes a checkpoint of the last step if one is due.

        It waits for the batch after that step: were there none, it would lack what is done at the
        end of an epoch.

        Args:
            is_aligned: whether that batch, too, uses up whole leases.
            step: the last step.
            stream: what the batch came from.
        """
        if self._policy.is_due(step, time.monotonic()):
            self._take_if_aligned(step, stream)
        self._is_aligned = is_aligned

    def end_epoch(self, is_last: bool, step: int, stream: TaskStream) -> None:
        """Takes a checkpoint after the last step of an epoch, if one is due.

        Args:
            is_last: whether training ends with this epoch.
            step: the last step.
            stream: what the epoch's batches came from.
        """
        if self._policy.is_due_at_end_of_epoch(step, time.monotonic()) or (
            is_last and self._policy.is_new(step)
        ):
            self._take_if_aligned(step, stream)

    def _take_if_aligned(self, step: int, stream: TaskStream) -> None:
        """Takes a checkpoint, or has the stream see to it that one can be taken soon."""
        if not self._is_chief:
            return
        if not self._is_aligned:
            if not self._asked_to_align:
                stream.align()
                self._asked_to_align = True
            return
        self._asked_to_align = False
        with self._time_spent.measure(Activity.SAVING):
            stream.mark(step)
            # The master has to know of the mark before it is asked to publish the checkpoint.
            stream.flush()
            self._writer.save(self._model, step, capture_states(self._callbacks))
        self._policy.taken(step, time.monotonic())
