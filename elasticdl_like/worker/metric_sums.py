"""The loss and the metrics of a model as sums over records, which can be added up in any order.

They are a flat vector: for each mean, that is the loss, then each metric that is a function, its
weighted sum and the weight; then for each Keras metric its variables. A metric starts from 0 with
each batch, and what a batch contributes is added up in float64: a count in a float32 stops growing
at 16,777,216.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.example_mean import ExampleMean, example_count
from elasticdl_like.worker.metric_check import MetricCheck
from elasticdl_like.worker.user_code import explained

# Two MiB. They are sent several times a second, and a request has a largest size.
_MOST_NUMBERS = 1 << 18


class MetricSums:
    """Makes sums of batches, and results of sums.

    Args:
        model: the model.
        loss: the user's loss.
        metrics: `{name: Keras metric, or function of (labels, predictions)}`.
    """

    def __init__(
        self, model: keras.Model, loss: Callable[..., Any], metrics: Mapping[str, Any]
    ) -> None:
        self._model = model
        self._metrics: dict[str, keras.metrics.Metric] = {
            name: metric
            for name, metric in metrics.items()
            if isinstance(metric, keras.metrics.Metric)
        }
        self._means = {"loss": ExampleMean(loss, "loss(labels, predictions)")} | {
            name: ExampleMean(metric, f"the metric {name!r}")
            for name, metric in metrics.items()
            if name not in self._metrics
        }
        self._are_means_checked = False
        self._checks = {name: MetricCheck(name, each) for name, each in self._metrics.items()}
        self._is_built = False
        self._sum_up = tf.function(self._sums, reduce_retracing=True, jit_compile=model.jit_compile)

    def of_batch(self, features: Any, labels: Any, weights: Any) -> list[float]:
        """Evaluates the model on a batch, and returns what that contributes to the sums.

        Args:
            features: input of the model.
            labels: tensors, the first axis being the examples.
            weights: the examples' weights, of shape (examples,), or None.

        Raises:
            ModelDefinitionError: the model, the loss or a metric failed, or is not as agreed. The
                state of a metric has to add up, and be small enough to be sent.
        """
        with explained("the evaluation"):
            if not self._is_built:
                self._check(features, labels, weights, list(self._checks))
                self._built()
            size = example_count(labels)
            weight = size if weights is None else tf.reduce_sum(weights)
            vector = self._sum_up(features, labels, weights, tf.cast(weight, tf.float64))
            sums: NDArray[np.float64] = vector.numpy()
            undecided = self._undecided(sums)
            if size > 1 and (undecided or not self._are_means_checked):
                self._check(features, labels, weights, undecided)
        numbers: list[float] = sums.tolist()
        return numbers

    def build(self, features: Any, labels: Any, weights: Any) -> None:
        """Has every metric make its variables, unless there has been a batch.

        Args:
            features: as for `of_batch`; zeros will do.
            labels: likewise.
            weights: likewise.
        """
        if self._is_built:
            return
        with explained("the evaluation"):
            predictions = self._model(features, training=False)
            for metric in self._metrics.values():
                metric.update_state(labels, predictions, sample_weight=weights)
                metric.reset_state()
            self._built()

    def results(self, sums: Sequence[float]) -> dict[str, float]:
        """Returns the values of the loss and the metrics.

        A metric that has several values, such as one for each class, has `name_0`, `name_1`, …,
        or `name_key` where it has a key for each.

        Args:
            sums: those of all batches, added up; empty when there was none.

        Raises:
            ModelDefinitionError: the sums are not those of this loss and these metrics, or a metric
                failed.
        """
        size = self._size
        if sums and len(sums) != size:
            raise ModelDefinitionError(
                f"the workers have sent {len(sums)} sums, but the loss and the metrics here have "
                f"{size}; all workers need the same model definition file"
            )
        numbers = np.array(sums, np.float64) if sums else np.zeros(size)
        results = {}
        for name in self._means:
            (total, weight), numbers = numbers[:2], numbers[2:]
            results[name] = float(total / weight) if weight else 0.0
        for name, metric in self._metrics.items():
            state, numbers = np.split(numbers, [_num_numbers(metric)])
            with explained(f"result() of the metric {name!r}"):
                results |= _values(name, _result(metric, state))
        return results

    @property
    def _size(self) -> int:
        return 2 * len(self._means) + sum(map(_num_numbers, self._metrics.values()))

    def _built(self) -> None:
        self._is_built = True
        if self._size > _MOST_NUMBERS:
            largest = max(self._metrics, key=lambda name: _num_numbers(self._metrics[name]))
            raise ModelDefinitionError(
                f"the state of the metric {largest!r} has "
                f"{_num_numbers(self._metrics[largest]):,} numbers, and that of all metrics can "
                f"have {_MOST_NUMBERS:,}; give it fewer thresholds or classes"
            )

    def _undecided(self, sums: NDArray[np.float64]) -> list[str]:
        """Returns the metrics of which a batch may tell whether they add up."""
        undecided, start = [], 2 * len(self._means)
        for name, metric in self._metrics.items():
            end = start + _num_numbers(metric)
            if not self._checks[name].is_done and sums[start:end].any():
                undecided.append(name)
            start = end
        return undecided

    def _check(self, features: Any, labels: Any, weights: Any, metrics: Sequence[str]) -> None:
        predictions = self._model(features, training=False)
        if not self._are_means_checked:
            told = [mean.check(labels, predictions, weights) for mean in self._means.values()]
            self._are_means_checked = all(told)
        for name in metrics:
            self._checks[name].look(labels, predictions, weights)

    def _sums(self, features: Any, labels: Any, weights: Any, weight: tf.Tensor) -> tf.Tensor:
        predictions = self._model(features, training=False)
        parts = []
        for mean in self._means.values():
            value = tf.cast(mean.mean(labels, predictions, weights), tf.float64)
            # A batch whose examples all have weight 0 must not spoil the sum.
            parts += [tf.math.multiply_no_nan(value, weight), weight]
        for metric in self._metrics.values():
            for variable in metric.variables:
                variable.assign(tf.zeros_like(variable.value))
            metric.update_state(labels, predictions, sample_weight=weights)
            parts += [tf.cast(variable.value, tf.float64) for variable in metric.variables]
        return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)


def _num_numbers(metric: keras.metrics.Metric) -> int:
    return sum(int(np.prod(variable.shape, dtype=np.int64)) for variable in metric.variables)


def _result(metric: keras.metrics.Metric, state: NDArray[np.float64]) -> Any:
    """Returns what `result()` makes of a state, as NumPy arrays."""
    values = []
    for variable in metric.variables:
        value, state = np.split(state, [int(np.prod(variable.shape, dtype=np.int64))])
        dtype = tf.float64 if variable.value.dtype.is_floating else tf.int64
        values.append(tf.cast(value.reshape(tuple(variable.shape)), dtype))
    try:
        # Not rounded to the types of the variables: differences of large counts may matter.
        with keras.StatelessScope() as scope:
            for variable, value in zip(metric.variables, values, strict=True):
                scope.add_update((variable, value))
            return tf.nest.map_structure(np.array, metric.result())
    except (TypeError, ValueError, tf.errors.OpError):
        # One that does not use keras.ops may insist on these types.
        for variable, value in zip(metric.variables, values, strict=True):
            variable.assign(tf.cast(value, variable.value.dtype))
        return tf.nest.map_structure(np.array, metric.result())


def _values(name: str, result: Any) -> dict[str, float]:
    if isinstance(result, Mapping):
        return {
            full_name: value
            for key, each in result.items()
            for full_name, value in _values(f"{name}_{key}", each).items()
        }
    values = np.ravel(result)
    if len(values) == 1:
        return {name: float(values[0])}
    return {f"{name}_{number}": float(value) for number, value in enumerate(values)}
