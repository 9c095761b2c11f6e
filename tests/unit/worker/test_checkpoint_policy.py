"""When a checkpoint is due: by steps, by time, at ends."""

from __future__ import annotations

from elasticdl_like.config import CheckpointConfig
from elasticdl_like.worker.checkpoint_policy import CheckpointPolicy


def make_policy(steps=0, interval_s=600.0, step=0, now_s=0.0):
    return CheckpointPolicy(CheckpointConfig(steps=steps, interval_s=interval_s), step, now_s)


def test_each_so_many_steps():
    policy = make_policy(steps=10)
    taken = []
    for step in range(1, 41):
        if policy.is_due(step, now_s=1e9):
            taken.append(step)
            policy.taken(step, now_s=1e9)
    assert taken == [10, 20, 30, 40]


def test_a_late_one_does_not_move_the_next():
    policy = make_policy(steps=10)
    assert policy.is_due(13, 0.0)
    policy.taken(13, 0.0)
    assert not policy.is_due(19, 0.0)
    assert policy.is_due(20, 0.0)


def test_steps_are_counted_from_the_first_also_after_a_resume():
    policy = make_policy(steps=10, step=27)
    assert [step for step in range(27, 33) if policy.is_due(step, 0.0)] == [30, 31, 32]


def test_by_time():
    policy = make_policy(interval_s=600.0, now_s=1000.0)
    assert not policy.is_due(5, 1599.0)
    assert policy.is_due(6, 1600.0)
    policy.taken(6, 1600.0)
    assert not policy.is_due(7, 2199.0)
    assert policy.is_due(7, 2200.0)


def test_by_time_there_is_one_at_each_end_of_an_epoch():
    policy = make_policy(interval_s=0.0)
    assert not policy.is_due(22, 1e9)
    assert policy.is_due_at_end_of_epoch(22, 5.0)
    policy.taken(22, 5.0)
    assert not policy.is_due_at_end_of_epoch(22, 50.0)  # an epoch without records
    assert policy.is_due_at_end_of_epoch(44, 6.0)


def test_where_epochs_are_very_short_there_is_one_a_second_at_most():
    policy = make_policy(interval_s=0.0)
    assert policy.is_due_at_end_of_epoch(22, 0.1)
    policy.taken(22, 5.0)
    assert not policy.is_due_at_end_of_epoch(44, 5.9)
    assert policy.is_due_at_end_of_epoch(66, 6.0)


def test_by_steps_an_end_of_an_epoch_is_no_reason():
    policy = make_policy(steps=10)
    assert not policy.is_due_at_end_of_epoch(9, 0.0)
    assert policy.is_due_at_end_of_epoch(10, 0.0)


def test_a_step_is_never_saved_twice():
    policy = make_policy(interval_s=600.0, step=50)
    assert not policy.is_due(50, 1e9)
    assert not policy.is_new(50)
    assert policy.is_new(51)
