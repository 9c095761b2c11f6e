"""What an agent does next, and what it says of itself, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from elasticdl_like.rounds import AgentPhase, Member, Order, RoundOrder, RoundPlan, StepUse
from elasticdl_like.tasks import Interval, StartPoint
from elasticdl_like.worker.agent_status import (
    Action,
    AgentStatus,
    TrainerPhase,
    ended,
    leaves_unheard,
    lost,
    make_report,
    news_of,
    next_action,
    started,
)
from elasticdl_like.worker.trainer_link import Progress, TrainerEnd, TrainerOutcome

_PLAN = RoundPlan(4, (Member(1, "a:1", "a:2"),), StartPoint(0, 100, ""), ("b:1",))
_USES = (StepUse(101, (Interval(1, 0, 5),)),)


def wanted(order: Order, number: int = 0) -> RoundOrder:
    plan = replace(_PLAN, number=number) if order is Order.TRAIN else None
    return RoundOrder(order, number, plan)


_READY = AgentStatus(can_start=True, round=3)
_TRAINS = replace(_READY, trainer=TrainerPhase.TRAIN)
_STOPS = replace(_READY, trainer=TrainerPhase.STOP)
_ENDS = replace(_READY, trainer=TrainerPhase.END)
_NOT_READY = replace(_READY, can_start=False)


@pytest.mark.parametrize(
    ("order", "status", "action"),
    [
        (wanted(Order.WAIT), _READY, Action.NOTHING),
        (wanted(Order.WAIT), _TRAINS, Action.END),
        (wanted(Order.TRAIN, 4), _READY, Action.START),
        (wanted(Order.TRAIN, 4), _NOT_READY, Action.NOTHING),
        # The trainer of that round has ended already; the report says so.
        (wanted(Order.TRAIN, 3), _READY, Action.NOTHING),
        (wanted(Order.TRAIN, 2), _READY, Action.NOTHING),
        (wanted(Order.TRAIN, 3), _TRAINS, Action.NOTHING),
        (wanted(Order.TRAIN, 4), _TRAINS, Action.END),
        (wanted(Order.TRAIN, 4), _ENDS, Action.NOTHING),
        (wanted(Order.STOP, 3), _TRAINS, Action.STOP),
        (wanted(Order.STOP, 3), _STOPS, Action.NOTHING),
        (wanted(Order.STOP, 3), _ENDS, Action.NOTHING),
        (wanted(Order.STOP, 3), _READY, Action.NOTHING),
        # A round that came and went while nobody looked.
        (wanted(Order.STOP, 4), _READY, Action.NOTHING),
        (wanted(Order.END, 4), _NOT_READY, Action.NOTHING),
        (wanted(Order.STOP, 4), _TRAINS, Action.END),
        (wanted(Order.END, 3), _TRAINS, Action.END),
        (wanted(Order.END, 3), _STOPS, Action.END),
        (wanted(Order.END, 3), _ENDS, Action.NOTHING),
        (wanted(Order.END, 3), _READY, Action.NOTHING),
        (wanted(Order.LEAVE), _TRAINS, Action.END),
        (wanted(Order.LEAVE), _ENDS, Action.NOTHING),
        (wanted(Order.LEAVE), _READY, Action.LEAVE),
        (wanted(Order.LEAVE), _NOT_READY, Action.LEAVE),
    ],
)
def test_what_is_next(order: RoundOrder, status: AgentStatus, action: Action) -> None:
    assert next_action(order, status) is action


def report(status: AgentStatus) -> dict[str, Any]:
    made = make_report(status, "a:1", "a:2")
    assert (made.agent_address, made.trainer_address) == ("a:1", "a:2")
    return {
        "phase": made.phase,
        "round": made.round,
        "step": made.step,
        "holds_state": made.holds_state,
        "uses": made.uses,
        "problem": made.problem,
    }


def idle(
    step: int, holds_state: bool, uses: tuple[StepUse, ...] = (), problem: str = ""
) -> dict[str, Any]:
    return {
        "phase": AgentPhase.IDLE,
        "round": 4,
        "step": step,
        "holds_state": holds_state,
        "uses": uses,
        "problem": problem,
    }


def after_progress(held_step: int | None, progress: Progress) -> AgentStatus:
    """Returns the status in the midst of a round that goes on from step 100."""
    status = started(replace(_READY, held_step=held_step, problem="old", uses=_USES), _PLAN)
    return replace(status, progress=progress)


def test_a_worker_that_starts() -> None:
    assert report(AgentStatus())["phase"] is AgentPhase.STARTING
    assert report(AgentStatus(can_start=True))["phase"] is AgentPhase.IDLE


@pytest.mark.parametrize(
    ("held_step", "progress", "step", "holds_state"),
    [
        (None, Progress(), 0, False),  # it is fetched, or read from a checkpoint
        (100, Progress(), 100, True),
        (100, Progress(100, 0.0, True), 100, True),
        (None, Progress(101, 0.0, True), 101, True),
        (None, Progress(0, 0.0, True), 0, True),
    ],
)
def test_a_worker_that_trains(
    held_step: int | None, progress: Progress, step: int, holds_state: bool
) -> None:
    told = report(after_progress(held_step, progress))
    assert told == {
        "phase": AgentPhase.TRAINING,
        "round": 4,
        "step": step,
        "holds_state": holds_state,
        "uses": (),
        "problem": "",
    }


@pytest.mark.parametrize(
    ("told", "held_step", "end", "expected"),
    [
        # It has written its state, which its agent keeps.
        (
            *(TrainerPhase.STOP, 105),
            TrainerEnd(TrainerOutcome.STOPPED, 105, _USES, True),
            idle(105, True, _USES),
        ),
        # The stop was agreed on before its own agent knew of it.
        (
            *(TrainerPhase.TRAIN, 105),
            TrainerEnd(TrainerOutcome.STOPPED, 105, _USES, True),
            idle(105, True, _USES),
        ),
        (
            *(TrainerPhase.END, 105),
            TrainerEnd(TrainerOutcome.BROKEN, 105, _USES, True, "reset"),
            idle(105, True, _USES),
        ),
        (
            *(TrainerPhase.TRAIN, 105),
            TrainerEnd(TrainerOutcome.BROKEN, 105, _USES, True, "reset"),
            idle(105, True, _USES, "reset"),
        ),
        # A peer was lost before the stop.
        (
            *(TrainerPhase.STOP, 105),
            TrainerEnd(TrainerOutcome.BROKEN, 105, _USES, True),
            idle(105, True, _USES, "its trainer has ended by itself"),
        ),
        # No step was finished; what it started from is still here.
        (
            *(TrainerPhase.TRAIN, 100),
            TrainerEnd(TrainerOutcome.BROKEN, 100, problem="reset"),
            idle(100, True, (), "reset"),
        ),
        (
            *(TrainerPhase.TRAIN, 100),
            TrainerEnd(TrainerOutcome.BROKEN, 0, problem="reset"),
            idle(100, True, (), "reset"),
        ),
        # It could not write its state, and the one before it is of no use.
        (
            *(TrainerPhase.END, 100),
            TrainerEnd(TrainerOutcome.BROKEN, 105, _USES),
            idle(105, False, _USES),
        ),
        (*(TrainerPhase.END, None), TrainerEnd(TrainerOutcome.BROKEN, 100), idle(100, False)),
    ],
)
def test_a_trainer_has_ended(
    told: TrainerPhase, held_step: int | None, end: TrainerEnd, expected: dict[str, Any]
) -> None:
    status = after_progress(held_step, Progress(end.step, 0.0, True))
    assert report(ended(replace(status, trainer=told), end)) == expected


def test_the_job_is_done() -> None:
    status = after_progress(None, Progress(105, 0.0, True))
    status = ended(status, TrainerEnd(TrainerOutcome.DONE, 106, _USES))
    assert report(status) == idle(106, False, _USES) | {"phase": AgentPhase.DONE}
    assert report(started(status, replace(_PLAN, number=5)))["phase"] is AgentPhase.TRAINING


@pytest.mark.parametrize(
    ("told", "held_step", "progress", "expected"),
    [
        (TrainerPhase.TRAIN, None, Progress(105, 0.0, True), idle(105, False, (), "killed")),
        (TrainerPhase.STOP, 100, Progress(100, 0.0, True), idle(100, True, (), "killed")),
        (TrainerPhase.TRAIN, 100, Progress(), idle(100, True, (), "killed")),
        (TrainerPhase.TRAIN, 100, Progress(105, 0.0, True), idle(105, False, (), "killed")),
        (TrainerPhase.TRAIN, None, Progress(), idle(0, False, (), "killed")),
        (TrainerPhase.END, None, Progress(105, 0.0, True), idle(105, False)),
    ],
)
def test_a_trainer_is_gone(
    told: TrainerPhase, held_step: int | None, progress: Progress, expected: dict[str, Any]
) -> None:
    status = replace(after_progress(held_step, progress), trainer=told)
    assert report(lost(status, "killed")) == expected


@pytest.mark.parametrize(
    ("progress", "nothing"),
    [(Progress(), True), (Progress(0, 0.0, True), False), (Progress(101, 0.0, True), False)],
)
def test_a_trainer_that_has_begun_to_count_has_something_to_lose(
    progress: Progress, nothing: bool
) -> None:
    assert after_progress(None, progress).nothing_to_lose is nothing


_ALONE = after_progress(None, Progress(101, 0.0, True))


@pytest.mark.parametrize(
    ("status", "patience_s"),
    [
        (_READY, 1.0),
        (replace(_READY, held_step=100), 1.0),  # those of its last round have it, too
        (after_progress(None, Progress()), 1.0),
        (replace(_ALONE, was_alone=False), 1.0),
        (_ALONE, 10.0),
        (replace(lost(_ALONE, "killed"), held_step=101), 10.0),
        (lost(_ALONE, "killed"), 1.0),
    ],
)
def test_a_worker_that_leaves_waits_for_a_silent_master_if_it_has_what_nobody_else_has(
    status: AgentStatus, patience_s: float
) -> None:
    assert not leaves_unheard(status, 1000.0)
    status = replace(status, leaving=True)
    assert not leaves_unheard(status, 0.0)
    assert not leaves_unheard(status, patience_s - 0.1)
    assert leaves_unheard(status, patience_s)


def test_steps_are_no_news_but_the_end_of_a_trainer_is() -> None:
    before = after_progress(None, Progress(101, 0.0, True))
    after = replace(before, progress=Progress(102, 1.5, True))

    def news(status: AgentStatus) -> object:
        return news_of(make_report(status, "a:1", "a:2"))

    assert news(before) == news(after)
    assert news(after) != news(lost(after, "killed"))
    assert news(after) != news(replace(after, leaving=True))
    assert news(lost(before, "killed")) != news(lost(after, "killed"))
