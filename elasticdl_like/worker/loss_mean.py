"""The mean loss of some steps."""

from __future__ import annotations

import math
import time
from typing import Any

import tensorflow as tf


class LossMean:
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

    def add_sums(self, loss_sum: float, weight: float) -> None:
        """Adds what `sums` returned of another mean."""
        self._sum += loss_sum
        self._weight += weight

    def sums(self) -> tuple[float, float]:
        """Returns the sum of the losses, each times its weight, and the sum of the weights.

        Another thread than the one that adds may ask; it may miss what is being added.
        """
        unread = [(float(loss), float(weight)) for loss, weight in list(self._unread)]
        loss_sum = self._sum + sum(loss * weight for loss, weight in unread)
        return loss_sum, self._weight + sum(weight for _, weight in unread)

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
