"""When a checkpoint is due."""

from __future__ import annotations

from elasticdl_like.config import CheckpointConfig

# To save more often costs more than what could be lost.
_SHORTEST_INTERVAL_S = 1.0


class CheckpointPolicy:
    """Decides after which steps a checkpoint is taken.

    Each `steps` steps; or, when that is 0, each `interval_s` seconds and at each end of an epoch,
    but where epochs are shorter than a second at most each second.

    Args:
        config: the job's wishes.
        step: the last step that needs no checkpoint: 0, or that of the one training goes on from.
        now_s: when that one was taken, by the clock that the methods are given.
    """

    def __init__(self, config: CheckpointConfig, step: int, now_s: float) -> None:
        self._config = config
        self._step = step
        self._taken_s = now_s
        self._has_taken = False

    def is_due(self, step: int, now_s: float) -> bool:
        """Whether one is due after a step in the middle of an epoch."""
        if not self.is_new(step):
            return False
        if self._config.steps:
            return step // self._config.steps > self._step // self._config.steps
        interval_s = self._config.interval_s
        return interval_s > 0 and now_s - self._taken_s >= interval_s

    def is_due_at_end_of_epoch(self, step: int, now_s: float) -> bool:
        """Whether one is due after the last step of an epoch."""
        if self._config.steps:
            return self.is_due(step, now_s)
        return self.is_new(step) and (
            not self._has_taken or now_s - self._taken_s >= _SHORTEST_INTERVAL_S
        )

    def is_new(self, step: int) -> bool:
        """Whether there is none of this step, which the end of training is reason enough for."""
        return step > self._step

    def taken(self, step: int, now_s: float) -> None:
        """Notes that a checkpoint of a step was taken."""
        self._step = step
        self._taken_s = now_s
        self._has_taken = True

    @property
    def step(self) -> int:
        """The step of the last checkpoint, or the one that the policy began with."""
        return self._step

    def age_s(self, now_s: float) -> float:
        """Returns how long ago the last checkpoint was taken, or the policy began."""
        return now_s - self._taken_s
