"""What the threads of a worker do, as far as it is measured."""

from __future__ import annotations

from enum import StrEnum


class Activity(StrEnum):
    """What a thread of a worker is doing.

    The training thread works, `WORK`, or waits: `WAITING_FOR_INPUT` and `PARSING`. The threads of
    the input side do the others, `INPUT`.
    """

    TRAINING = "training"
    EVALUATING = "evaluating"
    PREDICTING = "predicting"
    SAVING = "saving"
    """The part of a checkpoint, or of writing predictions, that steps have to wait for."""
    WAITING_FOR_INPUT = "waiting_for_input"
    """Waiting for a batch whose records are not read yet."""
    PARSING = "parsing"
    """Waiting for a batch whose records are read: `feed` or `feed_batch` is at work on them."""
    WAITING_FOR_MASTER = "waiting_for_master"
    """Waiting for a lease."""
    READING = "reading"
    RETRYING = "retrying"
    """Waiting before a service that failed, or that is busy, is asked again."""
    DECODING = "decoding"
    """From a format's bytes to records: decompression, checksums, splitting into fields."""
    CONVERTING = "converting"
    """From records to the arrays that are handed to TensorFlow."""

    @property
    def phrase(self) -> str:
        """The activity in words."""
        return self.value.replace("_", " ")


WORK = (Activity.TRAINING, Activity.EVALUATING, Activity.PREDICTING, Activity.SAVING)
INPUT = (
    Activity.WAITING_FOR_MASTER,
    Activity.READING,
    Activity.RETRYING,
    Activity.DECODING,
    Activity.CONVERTING,
)

AWAITED = {activity: f"awaited_{activity}" for activity in INPUT}
"""The names of the parts of these activities during which the training thread waits for input."""
