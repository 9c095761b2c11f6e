"""Evaluates a model: metrics over all records, not averages over batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from elasticdl_like.tasks import EpochKey
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker.dataset import BatchPipeline
from elasticdl_like.worker.example_mean import ExampleMean, example_count
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.task_stream import TaskStream
from elasticdl_like.worker.train_step import split_batch
from elasticdl_like.worker.user_code import explained
from elasticdl_like.worker.waits import awaited


class Evaluator:
    """Runs a model over the validation data.

    Keras metrics keep their own state over all batches. Functions, and the loss, are summed over
    the examples in float64.

    Args:
        client: leases the validation data.
        pipeline: makes batches of it.
        model: the model.
        loss: the user's loss.
        metrics: `{name: Keras metric, or function of (labels, predictions)}`.
        time_spent: measures the waits for a batch.
    """

    def __init__(
        self,
        client: MasterClient,
        pipeline: BatchPipeline,
        model: keras.Model,
        loss: Callable[..., Any],
        metrics: Mapping[str, Any],
        time_spent: TimeSpent,
    ) -> None:
        self._client = client
        self._pipeline = pipeline
        self._time_spent = time_spent
        self._model = model
        self._keras_metrics = {
            name: metric
            for name, metric in metrics.items()
            if isinstance(metric, keras.metrics.Metric)
        }
        self._means = {"loss": ExampleMean(loss, "loss(labels, predictions)")} | {
            name: ExampleMean(metric, f"the metric {name!r}")
            for name, metric in metrics.items()
            if not isinstance(metric, keras.metrics.Metric)
        }
        self._checked = False
        self._step = tf.function(self._run, reduce_retracing=True, jit_compile=model.jit_compile)

    def evaluate(self, key: EpochKey) -> dict[str, float]:
        """Evaluates the model as it is now, and reports the result to the master.

        Records that cannot be used are reported as such, and are no part of the result.

        Args:
            key: names the evaluation.

        Returns:
            `{name: value}`, the loss among them.

        Raises:
            ElasticdlError: the data cannot be read, or a function of the model file failed.
        """
        for metric in self._keras_metrics.values():
            metric.reset_state()
        sums = dict.fromkeys(self._means, 0.0)
        total_weight = 0.0
        with TaskStream(self._client, key) as stream:
            for batch in awaited(self._pipeline.batches(stream), self._time_spent):
                if batch.problem:
                    stream.fail(key.step, batch.intervals, batch.problem)
                    continue
                if batch.data is not None:
                    features, labels, weights = split_batch(batch.data)
                    with explained("the evaluation"):
                        if not self._checked:
                            self._check(features, labels, weights)
                        means = self._step(features, labels, weights)
                    weight = float(
                        example_count(labels) if weights is None else tf.reduce_sum(weights)
                    )
                    total_weight += weight
                    for name, mean in means.items():
                        sums[name] += float(mean) * weight
                stream.commit(key.step, batch.intervals)
        results = {name: total / max(total_weight, 1e-12) for name, total in sums.items()}
        results |= {name: float(metric.result()) for name, metric in self._keras_metrics.items()}
        self._client.report_evaluation(key, results)
        return results

    def _check(self, features: Any, labels: Any, weights: Any) -> None:
        predictions = self._model(features, training=False)
        told = [mean.check(labels, predictions, weights) for mean in self._means.values()]
        self._checked = all(told)

    def _run(self, features: Any, labels: Any, weights: Any) -> dict[str, tf.Tensor]:
        predictions = self._model(features, training=False)
        for metric in self._keras_metrics.values():
            metric.update_state(labels, predictions, sample_weight=weights)
        return {name: mean.mean(labels, predictions, weights) for name, mean in self._means.items()}
