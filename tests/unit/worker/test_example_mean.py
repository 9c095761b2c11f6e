"""Losses and metrics that are means over examples, and those that are not."""

from __future__ import annotations

import pytest
import tensorflow as tf

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.example_mean import ExampleMean

LABELS = tf.constant([1.0, 0.0, 2.0, 5.0])
PREDICTIONS = tf.constant([1.5, 0.0, 1.0, 1.0])
SQUARES = [0.25, 0.0, 1.0, 16.0]


def squares(labels, predictions):
    return tf.square(labels - predictions)


def mean_square(labels, predictions):
    return tf.reduce_mean(squares(labels, predictions))


@pytest.mark.parametrize(
    "function",
    [
        squares,
        mean_square,
        lambda labels, predictions: tf.stack([squares(labels, predictions)] * 3, axis=1),
        lambda labels, predictions: {
            "half": squares(labels, predictions) / 2,
            "other": mean_square(labels, predictions) / 2,
        },
    ],
)
def test_every_form_gives_the_mean_over_the_examples(function):
    mean = ExampleMean(function, "loss")
    assert mean.check(LABELS, PREDICTIONS, None)
    assert float(mean.mean(LABELS, PREDICTIONS, None)) == pytest.approx(sum(SQUARES) / 4)


def test_weights_are_applied_to_each_example():
    weights = tf.constant([4.0, 1.0, 1.0, 0.0])
    mean = ExampleMean(squares, "loss")
    assert mean.check(LABELS, PREDICTIONS, weights)
    assert float(mean.mean(LABELS, PREDICTIONS, weights)) == pytest.approx((4 * 0.25 + 1.0) / 6)


def test_booleans_are_counted():
    correct = ExampleMean(tf.equal, "accuracy")
    assert float(correct.mean(LABELS, PREDICTIONS, None)) == 0.25


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda labels, predictions: tf.reduce_sum(squares(labels, predictions)), "not the mean"),
        (
            lambda labels, predictions: tf.sqrt(mean_square(labels, predictions)),
            "not the mean",
        ),
        (lambda labels, predictions: squares(labels, predictions)[:2], r"shape \(2,\)"),
    ],
)
def test_what_does_not_add_up_is_refused(function, said):
    with pytest.raises(ModelDefinitionError, match=said):
        ExampleMean(function, "loss").check(LABELS, PREDICTIONS, None)


def test_a_scalar_cannot_be_weighted():
    with pytest.raises(ModelDefinitionError, match="one value per example"):
        ExampleMean(mean_square, "loss").check(LABELS, PREDICTIONS, tf.ones([4]))


def test_one_example_is_not_enough_to_tell():
    assert not ExampleMean(mean_square, "loss").check(LABELS[:1], PREDICTIONS[:1], None)
