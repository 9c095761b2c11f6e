from __future__ import annotations

import json

import pytest

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.task_order import Piece
from elasticdl_like.master.tentative import Part, Parts, RoundSteps, cut_out


def part(step: int, start: int, end: int, problem: str = "") -> Part:
    return Part(step, 7, Piece(0, start, end, True), problem)


def test_parts_are_taken_by_step_in_the_order_they_came() -> None:
    parts = Parts()
    for added in (part(5, 0, 2), part(4, 9, 10), part(5, 2, 3, "torn")):
        parts.add(added)
    assert set(parts.steps) == {4, 5}
    copy = Parts.from_plain(json.loads(json.dumps(parts.to_plain())))
    for each in (parts, copy):
        assert list(each.take(5)) == [part(5, 0, 2), part(5, 2, 3, "torn")]
        assert list(each) == [part(4, 9, 10)]
        assert list(each.take(5)) == []
    assert part(4, 9, 12).size == 3


def test_a_step_is_firm_when_every_member_has_reported_it() -> None:
    steps = RoundSteps([2, 0], 10)
    assert steps.firm == 10
    steps.report(0, 12)
    assert (steps.firm, steps.latest) == (10, 12)
    steps.report(2, 11)
    assert steps.firm == 11
    steps.report(2, 3)  # a late message takes nothing back
    assert steps.firm == 11


def test_a_member_commits_in_the_order_of_the_steps() -> None:
    steps = RoundSteps([0, 1], 10)
    steps.check(0, 12)
    steps.committed(0, 12, mark=False)
    with pytest.raises(InvalidRequestError, match="commits step 11 after it has reported step 12"):
        steps.check(0, 11)
    steps.check(1, 11)
    steps.report(1, 13)
    steps.check(1, 13)
    with pytest.raises(InvalidRequestError, match="worker 1 commits step 12"):
        steps.check(1, 12)


def test_others_are_no_members() -> None:
    steps = RoundSteps([0, 1], 10)
    for call in (steps.check, steps.report):
        with pytest.raises(InvalidRequestError, match=r"not in the round of workers \[0, 1\]"):
            call(5, 11)
    with pytest.raises(InvalidRequestError, match="at least one member"):
        RoundSteps([], 0)


def test_a_mark_is_taken_once() -> None:
    steps = RoundSteps([0], 0)
    steps.committed(0, 3, mark=True)
    steps.committed(0, 4, mark=False)
    copy = RoundSteps.from_plain(json.loads(json.dumps(steps.to_plain())))
    assert copy.to_plain() == steps.to_plain()
    for each in (steps, copy):
        assert list(each.marks) == [3]
        assert [each.take_mark(step) for step in (4, 3, 3)] == [False, True, False]


def test_cutting_out() -> None:
    waiting = [Piece(0, 0, 10, True), Piece(1, 0, 4, False), Piece(0, 12, 14, True, failures=1)]
    wanted = [
        Piece(0, 8, 13, True),  # in two pieces, and in none between
        Piece(0, 2, 4, True),
        Piece(0, 2, 3, True),  # twice
        Piece(1, 0, 4, True),  # other positions of the same task
        Piece(2, 0, 4, False),
    ]
    left, found = cut_out(waiting, wanted)
    assert left == [
        Piece(0, 0, 2, True),
        Piece(0, 4, 8, True),
        Piece(1, 0, 4, False),
        Piece(0, 13, 14, True, failures=1),
    ]
    assert found == [
        Piece(0, 2, 3, True),
        Piece(0, 3, 4, True),
        Piece(0, 8, 10, True),
        Piece(0, 12, 13, True, failures=1),
    ]
