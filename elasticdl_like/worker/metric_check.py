"""Whether the state of a Keras metric adds up over the records."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.example_mean import all_dense, example_count

# A metric of rare events may never have one in both parts of a batch.
_MOST_LOOKS = 8


class MetricCheck:
    """Checks that the state of a metric over some records is the sum of that over their parts.

    Args:
        name: what the model definition file calls the metric, for error messages.
        metric: the metric. Its state is 0 after each look.
    """

    def __init__(self, name: str, metric: keras.metrics.Metric) -> None:
        self._name = name
        self._metric = metric
        self._looks_left = _MOST_LOOKS
        # Variables that have not yet been other than 0 in both parts of a batch; None before the
        # first look, because some metrics make their variables with the first batch.
        self._undecided: list[int] | None = None

    @property
    def is_done(self) -> bool:
        """Whether the batches so far were enough to tell."""
        return not self._undecided and self._undecided is not None

    def look(self, labels: Any, predictions: Any, weights: Any) -> None:
        """Looks at one batch of eager tensors, and has the metric make its variables.

        Raises:
            ModelDefinitionError: the state does not add up.
        """
        size = example_count(labels)
        whole = self._state(labels, predictions, weights)
        if not whole:
            self._refuse("has no variables")
        if self._undecided is None:
            self._undecided = list(range(len(whole)))
        if not all_dense(labels, predictions):
            self._undecided = []
        if size < 2 or not self._undecided:
            return
        cut = max(1, size // 3)
        first, second = (
            self._state(_part(labels, part), _part(predictions, part), _part(weights, part))
            for part in (slice(0, cut), slice(cut, size))
        )
        variables = self._metric.variables
        for variable, one, other, both in zip(variables, first, second, whole, strict=True):
            tolerance = 1e-3 if variable.value.dtype.size >= 4 else 3e-2
            scale = np.abs(one) + np.abs(other) + np.abs(both)
            differs = np.isfinite(scale) & (np.abs(both - one - other) > tolerance * scale)
            if differs.any():
                at = tuple(np.argwhere(differs)[0])
                self._refuse(
                    f"has {variable.name!r} = {both[at]:.6g} after a batch of {size}, but "
                    f"{one[at]:.6g} after its first {cut} alone and {other[at]:.6g} after the rest"
                )
        self._looks_left -= 1
        self._undecided = [
            number
            for number in self._undecided
            if self._looks_left and not (first[number].any() and second[number].any())
        ]

    def _state(self, labels: Any, predictions: Any, weights: Any) -> list[NDArray[Any]]:
        metric = self._metric
        metric.reset_state()
        metric.update_state(labels, predictions, sample_weight=weights)
        for variable in metric.variables:
            dtype = variable.value.dtype
            if not (dtype.is_floating or dtype.is_integer):
                self._refuse(f"has {variable.name!r} of type {dtype.name}")
        state = [np.array(tf.cast(each.value, tf.float64)) for each in metric.variables]
        metric.reset_state()
        for variable in metric.variables:
            value = variable.numpy()
            if value.any():
                at = tuple(np.argwhere(value)[0])
                self._refuse(f"has {variable.name!r} = {value[at]:.6g} after reset_state()")
        return state

    def _refuse(self, found: str) -> None:
        raise ModelDefinitionError(
            f"the metric {self._name!r} ({type(self._metric).__name__}) {found}: its state does "
            "not add up over the records, so that workers could not share an evaluation; keep sums "
            "and counts in variables that start from 0, and combine them in result(), or give a "
            "function of (labels, predictions) that returns one value per example"
        )


def _part(structure: Any, part: slice) -> Any:
    def cut(tensor: Any) -> Any:
        cut_out = tensor[part]
        mask = getattr(tensor, "_keras_mask", None)  # metrics weight with it
        if mask is not None:
            cut_out._keras_mask = mask[part]
        return cut_out

    return None if structure is None else tf.nest.map_structure(cut, structure)
