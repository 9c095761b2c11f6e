"""When the master is called, and for how many leases: decided without a clock."""

from __future__ import annotations

import math

import pytest

from elasticdl_like.tasks import Answer
from elasticdl_like.worker.call_timing import CallTiming


def answered(answer: Answer, now_s: float = 100.0) -> CallTiming:
    timing = CallTiming()
    timing.answered(answer, now_s)
    return timing


def test_leases_are_asked_for_when_half_of_them_are_read() -> None:
    timing = answered(Answer.LEASED)
    assert [timing.time_to_lease_s(100.0, number) for number in (0, 1, 2)] == [0.0, 0.0, math.inf]
    assert [timing.wanted(number) for number in (0, 1, 2, 3)] == [2, 1, 0, 0]


def test_calls_that_follow_each_other_closely_ask_for_more_up_to_a_limit() -> None:
    timing = answered(Answer.LEASED)
    timing.calls(100.5)
    assert timing.wanted(0) == 2
    for wanted in (4, 8, 16, 32, 64, 64):
        timing.calls(100.01)
        assert timing.wanted(0) == wanted
    timing.hold_at_most(0)
    assert timing.wanted(0) == 1


def test_when_there_is_nothing_to_lease_it_asks_for_no_more_and_again_soon() -> None:
    timing = answered(Answer.WAIT)
    timing.calls(100.01)
    assert timing.wanted(0) == 2
    assert timing.time_to_lease_s(100.04, 5) == pytest.approx(0.06)


@pytest.mark.parametrize("answer", [Answer.EPOCH_ENDED, Answer.END])
def test_after_the_end_news_are_told_at_once_and_nothing_is_leased(answer: Answer) -> None:
    timing = answered(answer)
    timing.news_began(100.0)
    assert timing.has_ended
    assert timing.time_to_lease_s(200.0, 0) == math.inf
    assert timing.time_to_tell_s(100.0, is_last=False) == 0.0


def test_news_wait_for_others_unless_the_end_of_the_epoch_may_depend_on_them() -> None:
    for answer, is_last, wait_s in (
        (Answer.LEASED, True, 0.15),
        (Answer.WAIT, False, 0.15),
        (Answer.WAIT, True, 0.0),
    ):
        timing = answered(answer)
        timing.news_began(100.0)
        assert timing.time_to_tell_s(100.05, is_last) == pytest.approx(wait_s)
