"""A user's loss or metric function, as a mean over examples that adds up exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from elasticdl_like.errors import ModelDefinitionError


class ExampleMean:
    """Normalises a function of `(labels, predictions)`.

    The function returns a scalar that is the mean over the examples, or one value for each
    example (further axes are averaged), or a dict of these, whose entries are added. Nothing else
    can be told from a part of the examples, so that it could not be counted batch by batch.

    Args:
        function: the user's function.
        name: its name, for error messages.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name

    def mean(self, labels: Any, predictions: Any, weights: Any) -> tf.Tensor:
        """Returns the weighted mean over a batch, a scalar.

        Args:
            labels: tensors, the first axis being the examples.
            predictions: what the model returned for them.
            weights: the examples' weights, of shape (examples,), or None.
        """
        return self._reduce(self._function(labels, predictions), weights)

    def check(self, labels: Any, predictions: Any, weights: Any) -> bool:
        """Checks, on one batch of eager tensors, that the function returns what it should.

        Returns:
            Whether the batch was enough to tell: a single example is not.

        Raises:
            ModelDefinitionError: the function returns neither a mean nor one value per example.
        """
        value = self._function(labels, predictions)
        size = example_count(labels)
        for name, entry in value.items() if isinstance(value, dict) else [(self._name, value)]:
            shape = tf.convert_to_tensor(entry).shape
            if shape.rank == 0 and weights is not None:
                raise ModelDefinitionError(
                    f"{name} returns a scalar, but the data has sample weights; return one value "
                    "per example, so that the weights can be applied"
                )
            if shape.rank and shape[0] != size:
                raise ModelDefinitionError(
                    f"{name} returns shape {tuple(shape)} for a batch of {size} examples; return "
                    f"their mean, a scalar, or one value per example, of shape ({size},)"
                )
        if size < 2 or weights is not None or not all_dense(labels, predictions):
            return size >= 2
        # The mean of the whole is the weighted mean of its parts. A sum is not.
        cut = max(1, size // 3)
        first, second = (
            float(
                self.mean(
                    tf.nest.map_structure(lambda tensor, part=part: tensor[part], labels),
                    tf.nest.map_structure(lambda tensor, part=part: tensor[part], predictions),
                    None,
                )
            )
            for part in (slice(0, cut), slice(cut, size))
        )
        whole = self._reduce(value, None)
        expected = (cut * first + (size - cut) * second) / size
        tolerance = 1e-3 if whole.dtype.size >= 4 else 3e-2
        if np.isfinite(expected) and not np.isclose(
            float(whole), expected, rtol=tolerance, atol=1e-6
        ):
            raise ModelDefinitionError(
                f"{self._name} returns a scalar that is not the mean over the examples: "
                f"{float(whole):.6g} for a batch of {size}, but {first:.6g} for its first {cut} "
                f"and {second:.6g} for the rest; return the mean, or one value per example"
            )
        return True

    def _reduce(self, value: Any, weights: Any) -> tf.Tensor:
        if isinstance(value, dict):
            return tf.add_n([self._reduce(entry, weights) for entry in value.values()])
        value = tf.convert_to_tensor(value)
        if not value.dtype.is_floating:
            value = tf.cast(value, tf.float32)
        if value.shape.rank == 0:
            return value
        if value.shape.rank is None or value.shape.rank > 1:
            value = tf.reduce_mean(value, axis=tf.range(1, tf.rank(value)))
        if weights is None:
            return tf.reduce_mean(value)
        weights = tf.cast(tf.reshape(weights, [-1]), value.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(weights * value), tf.reduce_sum(weights))


def example_count(structure: Any) -> int:
    """Returns the number of examples in a batch of eager tensors."""
    first = tf.nest.flatten(structure)[0]
    return int(first.shape[0])


def all_dense(*structures: Any) -> bool:
    """Returns whether examples can be cut out of all tensors by slicing."""
    return all(isinstance(tensor, tf.Tensor) for tensor in tf.nest.flatten(structures))
