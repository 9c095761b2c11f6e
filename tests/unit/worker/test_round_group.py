"""What the members of a round agree on with each step."""

import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from thread_peers import Meeting, ThreadPeers, run_members

from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Interval
from elasticdl_like.worker.group import Share
from elasticdl_like.worker.peers import PeersLostError
from elasticdl_like.worker.round_group import RoundGroup
from elasticdl_like.worker.train_step import TrainStep

SPEC = (tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([None, 1], tf.float32))


class Member:
    def __init__(self, meeting, rank):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)]
        )
        spec = SimpleNamespace(
            model=model,
            optimizer=keras.optimizers.SGD(0.5),
            loss=lambda labels, predictions: tf.square(labels - predictions),
        )
        self.step = TrainStep(spec)
        self.step.build(tf.zeros((1, 2)))
        self.stops = False
        self.group = RoundGroup(
            ThreadPeers(meeting, rank), self.step, first_step=7, stop_asked=lambda: self.stops
        )
        self.group.prepare(SPEC)

    @property
    def weights(self):
        return self.step.model.layers[0].kernel.numpy().ravel().tolist()

    def run(self, share):
        return lambda: self.group.run_step(share)

    def uses(self):
        with self.group.finished() as (step, uses):
            return step, list(uses)


@pytest.fixture
def meeting():
    return Meeting(3)


@pytest.fixture
def members(meeting):
    return [Member(meeting, rank) for rank in range(3)]


def batch(*labels):
    size = len(labels)
    return tf.ones((size, 2)), tf.constant(labels, tf.float32, (size, 1))


def step_together(members, *shares):
    runs = [member.run(share) for member, share in zip(members, shares, strict=True)]
    return run_members(runs)


def test_a_step_is_applied_by_all_and_all_know_what_it_used(members):
    first, second = [Interval(1, 0, 2)], [Interval(2, 4, 5)]
    shares = Share(batch(1, 1), first), Share(batch(4), second), Share()
    results = step_together(members, *shares)
    for member, result in zip(members, results, strict=True):
        assert result.applied
        assert result.weight == 3
        assert result.loss == pytest.approx((1 + 1 + 16) / 3)
        # The gradient of (w . x - y)^2 at w = 0 is -2 y x: its mean is -4, the rate 0.5.
        assert member.weights == pytest.approx([2.0, 2.0])
        assert member.uses() == (8, [StepUse(8, [*first, *second])])


def test_many_intervals_reach_all(members):
    many = [Interval(token, 2**40, 2**40 + 1) for token in range(1, 12)]
    step_together(members, Share(batch(1), [Interval(90, 0, 1)]), Share(), Share(batch(2), many))
    for member in members:
        assert member.uses() == (8, [StepUse(8, [Interval(90, 0, 1), *many])])


def test_what_the_master_has_counted_is_forgotten(members):
    step_together(members, *(Share(batch(1), [Interval(1, 0, 1)]) for _ in members))
    step_together(members, *(Share(batch(1), [Interval(1, 1, 2)], firm_step=8) for _ in members))
    assert [use.step for use in members[0].uses()[1]] == [9]


def test_nobody_with_data_is_no_step(members):
    for result in step_together(members, Share(), Share(ended=True), Share()):
        assert not result.applied
        assert not result.all_ended
        assert math.isnan(result.loss)
    assert members[0].uses() == (7, [])


def test_the_epoch_is_over_when_it_is_for_all(members):
    results = step_together(members, *(Share(ended=True) for _ in members))
    assert all(result.all_ended for result in results)


def test_who_halts_keeps_the_step_from_being_applied(members):
    results = step_together(
        members, Share(halts=True), Share(batch(1), [Interval(1, 0, 1)]), Share()
    )
    assert all(result.halts and not result.applied for result in results)
    assert [member.weights for member in members] == [[0.0, 0.0]] * 3
    assert members[1].uses() == (7, [])


def test_who_stops_has_all_stop_after_the_step(members):
    members[2].stops = True
    for result in step_together(members, Share(batch(1), [Interval(1, 0, 1)]), Share(), Share()):
        assert result.stops
        assert result.applied


def test_the_learning_rate_of_the_chief_counts(members):
    members[0].step.model.optimizer.learning_rate = 0.125
    step_together(members, Share(batch(4), [Interval(1, 0, 1)]), Share(), Share())
    assert [member.weights for member in members] == [pytest.approx([1.0, 1.0])] * 3
    assert float(members[2].step.model.optimizer.learning_rate) == 0.125


def test_a_member_that_leaves_changes_nothing(members, meeting):
    meeting.leave()
    with pytest.raises(PeersLostError):
        members[0].group.run_step(Share(batch(1), [Interval(1, 0, 1)]))
    assert members[0].weights == [0.0, 0.0]
    assert members[0].uses() == (7, [])


def test_what_the_chief_says_reaches_all(members):
    values = [["stop", {"best": np.arange(3.0)}], None, None]
    shared = run_members(
        [
            lambda member=member, value=value: member.group.share_from_chief(value)
            for member, value in zip(members, values, strict=True)
        ]
    )
    for text, states in shared:
        assert text == "stop"
        assert states["best"].tolist() == [0.0, 1.0, 2.0]


def test_the_model_of_the_chief_reaches_all(members):
    members[0].step.model.layers[0].kernel.assign([[3.0], [4.0]])
    assert members[0].group.model_digest()
    run_members([member.group.share_model for member in members])
    assert [member.weights for member in members] == [[3.0, 4.0]] * 3
