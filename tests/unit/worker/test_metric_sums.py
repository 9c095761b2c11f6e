"""Sums of metrics over batches: added up in float64, and equal to what all records give at once."""

from __future__ import annotations

import itertools
import operator
from functools import reduce
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as reference

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker import metric_sums
from elasticdl_like.worker.metric_sums import MetricSums

RANDOM = np.random.RandomState(0)
SIZE = 500
CLASSES = 5
# Uneven, and the first is too small to tell whether a metric adds up.
CUTS = (0, 1, 8, 72, 73, 300, SIZE)
WEIGHTS = RANDOM.choice([0.0, 0.5, 1.0, 2.0], SIZE).astype(np.float32)

SCORES = RANDOM.rand(SIZE).astype(np.float32)
TRUE = (SCORES + RANDOM.randn(SIZE) * 0.4 > 0.5).astype(np.float32)
CLASS_SCORES = RANDOM.rand(SIZE, CLASSES).astype(np.float32)
CLASS = np.where(
    RANDOM.rand(SIZE) < 0.5, CLASS_SCORES.argmax(1), RANDOM.randint(CLASSES, size=SIZE)
)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[CLASS]


def squared(labels, predictions):
    return tf.square(labels - predictions)


def loss(labels, predictions):
    return tf.zeros(tf.shape(tf.nest.flatten(labels)[0])[:1])


def identity(features):
    inputs = keras.Input(features.shape[1:])
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def sums_of(sums: MetricSums, features: Any, labels: Any, weights: Any = None) -> list[float]:
    """Returns the sums of all batches."""
    batches = []
    for start, end in itertools.pairwise(CUTS):
        part = slice(start, end)
        of_part = None if weights is None else tf.constant(weights[part])
        batches.append(
            sums.of_batch(tf.constant(features[part]), tf.constant(labels[part]), of_part)
        )
    return reduce(lambda one, other: [*map(operator.add, one, other)], batches)


def result(metric: Any, features: Any, labels: Any, weights: Any = None, times: int = 1) -> Any:
    """Returns the result for the records, or as if each had been there several times."""
    sums = MetricSums(identity(features), loss, {"it": metric})
    added = sums_of(sums, features, labels, weights)
    results = sums.results([times * each for each in added])
    assert results.pop("loss") == 0.0
    return results["it"] if results.keys() == {"it"} else results


def auc_of_thresholds(weights):
    """The area under the curve that goes through 200 thresholds, as Keras defines it."""
    inner = np.arange(1, 199) / 199
    rates = []
    for value in (1, 0):
        mask = value == TRUE
        above = [weights[mask].sum()]
        above += [weights[mask & (SCORES.astype(np.float64) > each)].sum() for each in inner]
        rates.append(np.array([*above, 0.0]) / weights[mask].sum())
    true_rate, false_rate = rates
    return -np.trapezoid(true_rate, false_rate)


def top_2(weights):
    order = np.argsort(-CLASS_SCORES, axis=1)[:, :2]
    return np.average((order == CLASS[:, None]).any(1), weights=weights)


def mean_iou(weights):
    matrix = reference.confusion_matrix(TRUE, SCORES > 0.5, sample_weight=weights)
    both = matrix.diagonal()
    return np.mean(both / (matrix.sum(0) + matrix.sum(1) - both))


PREDICTED = SCORES > 0.5
CASES = {
    "accuracy": (
        keras.metrics.BinaryAccuracy,
        (SCORES[:, None], TRUE[:, None]),
        lambda w: reference.accuracy_score(TRUE, PREDICTED, sample_weight=w),
    ),
    "sparse_accuracy": (
        keras.metrics.SparseCategoricalAccuracy,
        (CLASS_SCORES, CLASS),
        lambda w: reference.accuracy_score(CLASS, CLASS_SCORES.argmax(1), sample_weight=w),
    ),
    "auc": (keras.metrics.AUC, (SCORES, TRUE), auc_of_thresholds),
    "precision": (
        keras.metrics.Precision,
        (SCORES, TRUE),
        lambda w: reference.precision_score(TRUE, PREDICTED, sample_weight=w),
    ),
    "recall": (
        keras.metrics.Recall,
        (SCORES, TRUE),
        lambda w: reference.recall_score(TRUE, PREDICTED, sample_weight=w),
    ),
    "f1": (
        lambda: keras.metrics.F1Score(average="macro"),
        (CLASS_SCORES, ONE_HOT),
        lambda w: reference.f1_score(
            CLASS, CLASS_SCORES.argmax(1), average="macro", sample_weight=w
        ),
    ),
    "mse": (
        keras.metrics.MeanSquaredError,
        (SCORES[:, None], TRUE[:, None]),
        lambda w: np.average((TRUE - SCORES.astype(np.float64)) ** 2, weights=w),
    ),
    "rmse": (
        keras.metrics.RootMeanSquaredError,
        (SCORES[:, None], TRUE[:, None]),
        lambda w: np.sqrt(np.average((TRUE - SCORES.astype(np.float64)) ** 2, weights=w)),
    ),
    "top_k": (
        lambda: keras.metrics.SparseTopKCategoricalAccuracy(k=2),
        (CLASS_SCORES, CLASS),
        top_2,
    ),
    "mean_iou": (
        lambda: keras.metrics.BinaryIoU(dtype="float32"),
        (SCORES, TRUE),
        mean_iou,
    ),
    "r2": (
        keras.metrics.R2Score,
        (SCORES[:, None], TRUE[:, None]),
        lambda w: reference.r2_score(TRUE, SCORES.astype(np.float64), sample_weight=w),
    ),
    "function": (
        lambda: squared,
        (SCORES, TRUE),
        lambda w: np.average((TRUE - SCORES.astype(np.float64)) ** 2, weights=w),
    ),
}


# Two thousand million records: more than a float32 or an int32 can count.
@pytest.mark.parametrize("times", [1, 4_000_037])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_equals_a_reference_in_float64(name, is_weighted, times):
    make, (features, labels), expected = CASES[name]
    weights = WEIGHTS if is_weighted else None
    value = result(make(), features, labels, weights, times)
    of_each = np.ones(SIZE) if weights is None else weights.astype(np.float64)
    assert value == pytest.approx(expected(of_each), rel=1e-6)


def test_a_count_does_not_stop_where_float32_does():
    sums = MetricSums(identity(SCORES[:, None]), loss, {"it": keras.metrics.BinaryAccuracy()})
    sums.build(tf.zeros([1, 1]), tf.zeros([1, 1]), None)
    batch = [0.0, 1.0, 0.0, 1.0]  # wrong
    right = [0.0, 2.0**24 - 1, 2.0**24 - 1, 2.0**24 - 1]
    added = reduce(lambda one, other: [*map(operator.add, one, other)], [batch] * 2**10, right)
    assert sums.results(added)["it"] == pytest.approx(right[2] / added[3], rel=1e-6)
    assert added[3] - right[3] == 2**10


class Largest(keras.metrics.Metric):
    def __init__(self):
        super().__init__()
        self.largest = self.add_weight(name="largest", initializer="zeros")

    def update_state(self, labels, predictions, sample_weight=None):
        values = keras.ops.abs(labels - predictions)
        self.largest.assign(keras.ops.maximum(self.largest, keras.ops.max(values)))

    def result(self):
        return self.largest


class NeverZero(keras.metrics.Metric):
    def __init__(self):
        super().__init__()
        self.total = self.add_weight(name="total", initializer="ones")

    def update_state(self, labels, predictions, sample_weight=None):
        self.total.assign_add(keras.ops.sum(predictions))

    def reset_state(self):
        self.total.assign(1.0)


class InPython(keras.metrics.Metric):
    values = ()

    def update_state(self, labels, predictions, sample_weight=None):
        self.values = [*self.values, labels]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (
            Largest(),
            r"metric 'it' \(Largest\) has 'largest' = .* after a batch of 7, but .*sums and",
        ),
        (NeverZero(), r"metric 'it' \(NeverZero\) has 'total' = 1 after reset_state"),
        (InPython(), r"metric 'it' \(InPython\) has no variables"),
    ],
)
def test_a_metric_that_does_not_add_up_is_refused_by_name(metric, said):
    with pytest.raises(ModelDefinitionError, match=said):
        result(metric, SCORES, TRUE)


def test_it_is_told_at_the_first_batch_that_can_tell():
    sums = MetricSums(identity(SCORES), loss, {"it": Largest()})
    for value in (0.0, 1.0, 0.0):  # alone, or without a difference
        sums.of_batch(tf.constant([value]), tf.constant([0.0]), None)
    sums.of_batch(tf.zeros(4), tf.zeros(4), None)
    sums.of_batch(tf.constant([0.0, 0.0, 1.0, 0.0]), tf.zeros(4), None)
    with pytest.raises(ModelDefinitionError, match=r"'largest' = 2 .* but 2 .* and 1 "):
        sums.of_batch(tf.constant([2.0, 0.0, 1.0, 0.0]), tf.zeros(4), None)


class Counts(keras.metrics.Metric):
    """Counts in integers, and computes with TensorFlow alone, which wants equal types."""

    def __init__(self):
        super().__init__()
        self.positive = self.add_weight(name="positive", initializer="zeros", dtype="int32")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, labels, predictions, sample_weight=None):
        self.positive.assign_add(tf.reduce_sum(tf.cast(predictions > 0.5, tf.int32)))
        self.total.assign_add(tf.cast(tf.size(labels), tf.float32))

    def result(self):
        share = tf.divide(tf.cast(self.positive.value, tf.float32), self.total.value)
        return {"share": share, "each": tf.stack([share, 1 - share])}


def test_metrics_of_several_values_and_of_other_types():
    results = result(Counts(), SCORES, TRUE)
    share = pytest.approx(PREDICTED.mean())
    assert results == {
        "it_share": share,
        "it_each_0": share,
        "it_each_1": pytest.approx(1 - PREDICTED.mean()),
    }


def test_several_outputs():
    inputs = keras.Input(())
    model = keras.Model(
        inputs, {"same": keras.layers.Identity()(inputs), "twice": keras.ops.multiply(inputs, 2)}
    )

    class OfTwice(keras.metrics.MeanSquaredError):
        def update_state(self, labels, predictions, sample_weight=None):
            super().update_state(
                labels["twice"][:, None], predictions["twice"][:, None], sample_weight
            )

    metrics = {"mse": OfTwice(), "own": lambda y, p: tf.abs(y["same"] - p["same"])}
    sums = MetricSums(model, loss, metrics)
    labels = {"same": tf.constant(TRUE), "twice": tf.constant(TRUE)}
    results = sums.results(sums.of_batch(tf.constant(SCORES), labels, None))
    assert results["mse"] == pytest.approx(np.mean((TRUE - 2.0 * SCORES) ** 2), rel=1e-6)
    assert results["own"] == pytest.approx(np.mean(np.abs(TRUE - SCORES)), rel=1e-6)


def test_a_mask_of_the_model_is_part_of_the_check():
    inputs = keras.Input((3,), dtype="int32")
    embedded = keras.layers.Embedding(4, 2, mask_zero=True)(inputs)
    model = keras.Model(inputs, embedded)
    metric = keras.metrics.MeanSquaredError()
    sums = MetricSums(model, lambda y, p: tf.reduce_mean((y - p) ** 2, [1, 2]), {"it": metric})
    tokens = tf.constant([[1, 0, 0], [2, 3, 0], [1, 1, 1], [3, 0, 0]])
    labels = tf.ones((4, 3, 2))
    results = sums.results(sums.of_batch(tokens, labels, None))
    metric.update_state(labels, model(tokens))
    assert results["it"] == pytest.approx(float(metric.result()), rel=1e-6)


def test_without_any_batch_there_is_a_result():
    sums = MetricSums(identity(CLASS_SCORES), loss, {"f1": keras.metrics.F1Score(average="macro")})
    sums.build(tf.zeros([1, CLASSES]), tf.zeros([1, CLASSES]), None)
    assert sums.results([]) == {"loss": 0.0, "f1": 0.0}


def test_sums_of_another_model_file_are_refused():
    sums = MetricSums(identity(SCORES), loss, {"auc": keras.metrics.AUC()})
    sums.build(tf.zeros([1]), tf.zeros([1]), None)
    with pytest.raises(ModelDefinitionError, match=r"have sent 3 sums, but .* 802"):
        sums.results([1.0, 2.0, 3.0])


def test_a_state_that_is_too_large_to_be_sent_is_refused(monkeypatch):
    monkeypatch.setattr(metric_sums, "_MOST_NUMBERS", 500)
    with pytest.raises(ModelDefinitionError, match=r"'it' has 800 numbers.*fewer thresholds"):
        result(keras.metrics.AUC(), SCORES, TRUE)


def test_a_batch_of_weight_0_does_not_spoil_the_sums():
    features, labels = SCORES.copy(), TRUE
    features[0] = np.nan
    weights = np.ones(SIZE, np.float32)
    weights[0] = 0.0  # the first batch is this one record
    value = result(lambda y, p: tf.square(y - p), features, labels, weights)
    assert value == pytest.approx(
        np.mean((TRUE[1:] - SCORES[1:].astype(np.float64)) ** 2), rel=1e-6
    )
