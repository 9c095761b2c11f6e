"""The step of several members is the step of one worker on all of their examples."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from elasticdl_like.worker import shared_step
from elasticdl_like.worker.shared_step import (
    SharedStep,
    learning_rate_variable,
    moving_statistics,
    spread_seeds,
)
from elasticdl_like.worker.train_step import TrainStep

MEMBERS = 3
STEPS = 50
HEADER_SIZE = 5
HEADER = np.arange(HEADER_SIZE, dtype=np.float32)
CLASSES = 3
ROWS = 40

OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "Adam": lambda: keras.optimizers.Adam(0.01),
    "clipped norm": lambda: keras.optimizers.Adam(0.01, clipnorm=0.1),
    "clipped global norm": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.3),
    "clipped values": lambda: keras.optimizers.SGD(0.1, clipvalue=0.05),
}


def dense_model():
    layers = [keras.Input((5,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(CLASSES)]
    return keras.Sequential(layers)


def embedding_model():
    layers = [
        keras.Input((4,), dtype="int64"),
        keras.layers.Embedding(ROWS, 6),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES),
    ]
    return keras.Sequential(layers)


def cross_entropy(labels, predictions):
    return keras.losses.sparse_categorical_crossentropy(labels, predictions, from_logits=True)


def make_step(make_model, optimizer, loss=cross_entropy):
    keras.utils.set_random_seed(1)
    step = TrainStep(SimpleNamespace(model=make_model(), optimizer=optimizer, loss=loss))
    step.build(tf.zeros((1, *step.model.input_shape[1:]), step.model.inputs[0].dtype))
    return step


class OnePeer:
    """A member that sums nothing up: the sums of its exchanges are its own contributions."""

    def __init__(self, rank):
        self.rank = rank
        self.size = MEMBERS
        self.is_chief = rank == 0

    def all_reduce(self, tensors):
        return list(tensors)

    def exchange(self, function, *args):
        first, others, beside = function(*args)
        return first.numpy(), others, beside


class Members:
    """Some members in one process, who share one model: its step is made once for all of them."""

    def __init__(self, step, with_weights=False):
        inputs = step.model.inputs[0]
        spec = (
            tf.TensorSpec(inputs.shape, inputs.dtype),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None], tf.float32),
        )
        self.model = step.model
        self.members = [
            SharedStep(step, spec if with_weights else spec[:2], HEADER_SIZE, OnePeer(rank))
            for rank in range(MEMBERS)
        ]

    def run(self, batches):
        first = self.members[0]
        given = [
            member.exchange(batch, HEADER)
            for member, batch in zip(self.members, batches, strict=True)
        ]
        tails, vectors, of_each = zip(*given, strict=True)
        tail = sum(tails)
        summed = [sum(of_all) for of_all in zip(*vectors, strict=True)]
        np.testing.assert_array_equal(tail, summed[0][-first.tail_size :])
        np.testing.assert_array_equal(tail[-HEADER_SIZE:], MEMBERS * HEADER)
        rows = sum(
            member.exchange_rows(rows, tail)
            for member, rows in zip(self.members, of_each, strict=True)
        )
        if tail[0]:
            first.apply(summed, rows)
        return tail


def random_examples(model, random, size):
    shape = (size, *model.input_shape[1:])
    if model.inputs[0].dtype == "int64":
        features = random.integers(0, ROWS, shape)
    else:
        features = random.normal(size=shape).astype(np.float32)
    return features, random.integers(0, CLASSES, size)


def dealt(examples, sizes):
    """Returns a batch for each member; None for one without examples."""
    batches, start = [], 0
    for size in sizes:
        part = tuple(tf.constant(each[start : start + size]) for each in examples)
        batches.append(part if size else None)
        start += size
    return batches


def assert_same_training(alone, members, steps=STEPS, with_weights=False, tolerance=1e-5):
    random = np.random.default_rng(0)
    for _ in range(steps):
        sizes = random.integers(0, 7, MEMBERS)
        sizes[random.integers(MEMBERS)] += 1
        examples = random_examples(alone.model, random, sizes.sum())
        if with_weights:
            examples = (*examples, random.random(sizes.sum()).astype(np.float32))
        loss, weight = alone(tuple(map(tf.constant, examples)))
        tail = members.run(dealt(examples, sizes))
        assert tail[0] == pytest.approx(float(weight), rel=1e-5)
        assert tail[1] / tail[0] == pytest.approx(float(loss), rel=1e-4, abs=1e-5)
    for mine, theirs in zip(members.model.variables, alone.model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=0, atol=tolerance)
    for mine, theirs in zip(
        members.model.optimizer.variables, alone.model.optimizer.variables, strict=True
    ):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("make_model", [dense_model, embedding_model])
def test_fifty_steps_are_those_of_one_worker(make_model, optimizer):
    alone = make_step(make_model, OPTIMIZERS[optimizer]())
    members = Members(make_step(make_model, OPTIMIZERS[optimizer]()))
    assert_same_training(alone, members)


def test_large_variables_travel_by_themselves(monkeypatch):
    monkeypatch.setattr(shared_step, "_LARGE", 20)
    for make_model in (dense_model, batch_normalized_model):
        members = Members(make_step(make_model, keras.optimizers.SGD(0.1)))
        examples = random_examples(members.model, np.random.default_rng(0), 3)
        _, tensors, _ = members.members[0].exchange(dealt(examples, [3, 0, 0])[0], HEADER)
        assert [len(each.shape) for each in tensors] == [1, 2, 2]
    alone = make_step(dense_model, keras.optimizers.Adam(0.01))
    assert_same_training(alone, Members(make_step(dense_model, keras.optimizers.Adam(0.01))), 10)


def test_sample_weights_are_what_examples_count():
    def per_example(labels, predictions):
        return cross_entropy(labels, predictions)

    alone = make_step(dense_model, keras.optimizers.Adam(0.01), per_example)
    members = Members(make_step(dense_model, keras.optimizers.Adam(0.01), per_example), True)
    assert_same_training(alone, members, with_weights=True)


def scaled(optimizer):
    return keras.optimizers.LossScaleOptimizer(
        optimizer, initial_scale=2.0**10, dynamic_growth_steps=7
    )


@pytest.mark.parametrize("make_model", [dense_model, embedding_model])
def test_loss_scaling(make_model):
    alone = make_step(make_model, scaled(keras.optimizers.Adam(0.01)))
    members = Members(make_step(make_model, scaled(keras.optimizers.Adam(0.01))))
    assert_same_training(alone, members)
    assert float(members.model.optimizer.dynamic_scale) > 2.0**10


def test_mixed_precision_differs_by_no_more_than_float16_does():
    def mixed_model():
        policy = keras.mixed_precision.DTypePolicy("mixed_float16")
        layers = [
            keras.Input((5,)),
            keras.layers.Dense(16, "tanh", dtype=policy),
            keras.layers.Dense(CLASSES, dtype="float32"),
        ]
        return keras.Sequential(layers)

    alone = make_step(mixed_model, scaled(keras.optimizers.SGD(0.1)))
    members = Members(make_step(mixed_model, scaled(keras.optimizers.SGD(0.1))))
    assert_same_training(alone, members, tolerance=2e-3)


def test_one_member_whose_loss_overflows_skips_the_step_of_all():
    step = make_step(dense_model, scaled(keras.optimizers.SGD(0.1)))
    members = Members(step)
    before = [each.numpy() for each in step.model.trainable_variables]
    examples = np.full((2, 5), np.inf, np.float32), np.array([0, 1])
    good = random_examples(step.model, np.random.default_rng(0), 2)
    members.run([tuple(map(tf.constant, good)), tuple(map(tf.constant, examples)), None])
    for variable, value in zip(step.model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert float(step.model.optimizer.dynamic_scale) == 2.0**9


def test_examples_of_weight_zero_spoil_nothing():
    alone = make_step(dense_model, keras.optimizers.SGD(0.1))
    step = make_step(dense_model, keras.optimizers.SGD(0.1))
    members = Members(step, with_weights=True)
    features, labels = random_examples(step.model, np.random.default_rng(0), 4)
    ones = np.ones(4, np.float32)
    bad = np.full((1, 5), np.inf, np.float32), np.array([0]), np.zeros(1, np.float32)
    good = tuple(map(tf.constant, (features, labels, ones)))
    # The loss is checked on good examples first, as it would be in the middle of a job.
    step.check(good)
    members.run([good, tuple(map(tf.constant, bad)), None])
    alone((tf.constant(features), tf.constant(labels)))
    for mine, theirs in zip(step.model.variables, alone.model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6)


def batch_normalized_model():
    layers = [
        keras.Input((5,)),
        keras.layers.Dense(8),
        keras.layers.BatchNormalization(momentum=0.5),
        keras.layers.Dense(CLASSES),
    ]
    return keras.Sequential(layers)


def test_moving_statistics_are_averaged_and_change_only_with_the_step():
    step = make_step(batch_normalized_model, keras.optimizers.SGD(0.1))
    members = Members(step)
    (mean, _) = moving_statistics(step.model)
    kernel = step.model.layers[0].kernel.numpy()
    random = np.random.default_rng(0)
    examples = random_examples(step.model, random, 6)
    vectors = [
        member.exchange(batch, HEADER)
        for member, batch in zip(members.members, dealt(examples, [4, 2, 0]), strict=True)
    ]
    assert len(vectors) == MEMBERS
    np.testing.assert_array_equal(mean.numpy(), 0.0)
    members.run(dealt(examples, [4, 2, 0]))
    # From 0, at momentum 0.5: half of the mean over all six examples.
    np.testing.assert_allclose(mean.numpy(), (examples[0] @ kernel).mean(0) / 2, atol=1e-6)


def test_frozen_weights_do_not_travel():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    model.layers[0].trainable = False
    assert moving_statistics(model) == []


def test_a_variable_without_a_gradient_is_left_alone():
    def with_unused():
        inputs = keras.Input((5,))
        used = keras.layers.Dense(CLASSES)(inputs)
        unused = keras.layers.Dense(2, name="unused")(inputs)
        return keras.Model(inputs, {"used": used, "unused": unused})

    def loss(labels, predictions):
        return cross_entropy(labels, predictions["used"])

    keras.utils.set_random_seed(1)
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    step = TrainStep(SimpleNamespace(model=with_unused(), optimizer=optimizer, loss=loss))
    step.build(tf.zeros((1, 5)))
    members = Members(step)
    before = step.model.get_layer("unused").kernel.numpy()
    examples = random_examples(step.model, np.random.default_rng(0), 3)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        members.run(dealt(examples, [1, 1, 1]))
    np.testing.assert_array_equal(step.model.get_layer("unused").kernel.numpy(), before)


def test_members_draw_random_numbers_of_their_own():
    def with_dropout():
        return keras.Sequential([keras.Input((5,)), keras.layers.Dropout(0.5, seed=1)])

    states = []
    for rank in (0, 1):
        model = with_dropout()
        spread_seeds(model, rank)
        states.append([each.numpy() for each in model.variables if "seed" in each.name])
    assert len(states[0]) == 1
    assert not np.array_equal(states[0][0], states[1][0])


def test_the_learning_rate_of_a_schedule_is_nobodys_to_set():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert learning_rate_variable(keras.optimizers.SGD(schedule)) is None
    optimizer = scaled(keras.optimizers.SGD(0.25))
    assert float(learning_rate_variable(optimizer).numpy()) == 0.25
