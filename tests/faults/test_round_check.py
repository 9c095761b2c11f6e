"""What the chaos harness looks for in the traces of several workers: each fault is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faults.chaos.round_check import trace_problems
from faults.chaos.round_plan import make_many_workers_plan
from faults.chaos.round_trace import Life, Trace

PLAN = replace(make_many_workers_plan(11), checkpoint_steps=10, num_minibatches_per_task=1)


def life(
    number: int,
    worker: int,
    start_step: int,
    last_step: int,
    *,
    rank: int | None = None,
    holds_state: bool = True,
    incarnation: str = "a",
) -> Life:
    steps = range(start_step + 1, last_step + 1)
    made = Life(
        number,
        worker if rank is None else rank,
        2,
        (worker, incarnation),
        start_step,
        {step: f"digest {step}" for step in steps},
    )
    made.records.update(dict.fromkeys(steps, 8))
    if holds_state:
        made.ended_step, made.holds_state, made.packed = last_step, True, f"digest {last_step}"
        made.outcome = "broken"
    return made


def problems(*lives: Life, lines: tuple[dict[str, object], ...] = ()) -> list[str]:
    return trace_problems(PLAN, Trace(lives, lines))


def test_rounds_that_go_on_from_the_last_finished_step_are_fine() -> None:
    assert not problems(
        life(1, 0, 0, 50, holds_state=False),
        life(1, 1, 0, 49),
        life(2, 0, 49, 60, rank=1),
        life(2, 1, 49, 60, rank=0),
    )


def test_rounds_that_go_on_from_a_checkpoint_are_fine_if_nobody_is_left() -> None:
    assert not problems(
        life(1, 0, 0, 50, holds_state=False),
        life(1, 1, 0, 49),
        life(2, 0, 40, 60),
        life(2, 1, 40, 60, incarnation="b"),
    )


def test_state_is_given_up_once_a_later_step_is_finished() -> None:
    assert not problems(life(1, 0, 0, 9), life(2, 0, 9, 10, holds_state=False), life(3, 0, 0, 60))
    assert problems(life(1, 0, 0, 9), life(2, 0, 9, 9, holds_state=False), life(3, 0, 0, 60))


@pytest.mark.parametrize(
    ("lives", "problem"),
    [
        (
            [
                life(1, 0, 0, 9),
                replace(life(1, 1, 0, 9), steps=dict.fromkeys(range(1, 10), "other")),
            ],
            "round 1: members differ after steps [1, 2, 3, 4, 5, 6, 7, 8, 9]",
        ),
        (
            [life(1, 0, 0, 9), replace(life(1, 1, 0, 9), packed="other")],
            "round 1: members differ after steps [9]",
        ),
        ([life(1, 0, 0, 9), life(1, 1, 0, 7)], "round 1: the last steps of its members are [9, 7]"),
        ([life(1, 0, 3, 9), life(1, 1, 4, 9)], "round 1: members began at different steps"),
        (
            [life(1, 0, 0, 9), life(1, 1, 0, 9), life(2, 0, 8, 12), life(2, 1, 8, 12)],
            "round 2 goes on from step 8, although worker 0 holds step 9 of round 1",
        ),
        (
            [life(1, 0, 0, 9), life(1, 1, 0, 9, rank=0)],
            "round 1: two members of one rank",
        ),
        (
            [life(1, 0, 0, 50, holds_state=False), life(2, 0, 10, 60)],
            "round 2 does 40 steps again, more than 34: it goes on from step 10, round 1 got to "
            "step 50",
        ),
    ],
)
def test_finds_what_is_wrong(lives: list[Life], problem: str) -> None:
    assert problem in problems(*lives)


def test_finds_a_step_that_was_left_out() -> None:
    found = life(1, 0, 0, 9)
    del found.steps[5]
    assert any("finished steps [1, 2, 3, 4, 6" in each for each in problems(found))


def test_finds_callbacks_that_others_than_the_chief_have_called() -> None:
    assert problems(lines=({"what": "epoch ends", "rank": 1},)) == [
        "'epoch ends' was called by rank 1"
    ]
