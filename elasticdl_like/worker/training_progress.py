"""Where training goes on from, when somebody else, or an earlier process, has begun it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from elasticdl_like.config import JobConfig
from elasticdl_like.tasks import StartPoint
from elasticdl_like.worker.checkpoint_reader import load_initial_weights, restore_checkpoint


@dataclass(frozen=True)
class TrainingProgress:
    """What has to be known of training beside the variables, when somebody else goes on with it.

    Attributes:
        epochs_done: how many epochs have had their end, evaluation and callbacks included.
        loss_sum: the sum of the losses of the present epoch's examples.
        loss_weight: what these examples count together.
        checkpoint_step: the step of the last checkpoint; 0 before the first.
        checkpoint_age_s: how long ago it was taken.
        stop_reason: why training ends before the next step; "" if it does not.
        callbacks: the states of callbacks, as `capture_states` returns them.
    """

    epochs_done: int = 0
    loss_sum: float = 0.0
    loss_weight: float = 0.0
    checkpoint_step: int = 0
    checkpoint_age_s: float = 0.0
    stop_reason: str = ""
    callbacks: Mapping[str, Any] = field(default_factory=dict)


def load_start(model: keras.Model, config: JobConfig, start: StartPoint) -> None:
    """Gives a model and its optimizer, both built, the state that training starts from on disk.

    Raises:
        DataError: there is no such checkpoint, or it is damaged.
        ModelDefinitionError: it is a checkpoint of another model.
    """
    if start.checkpoint:
        restore_checkpoint(model, Path(start.checkpoint))
    elif config.checkpoint.directory_for_init:
        load_initial_weights(model, Path(config.checkpoint.directory_for_init))
