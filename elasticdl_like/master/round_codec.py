"""Rounds as JSON, for the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from elasticdl_like.rounds import Member, RoundPlan, StepUse
from elasticdl_like.tasks import EpochKey, Interval, StartPoint, TaskType


def plan_to_plain(plan: RoundPlan) -> dict[str, Any]:
    """Returns a round as JSON."""
    return asdict(plan)


def plan_from_plain(plain: Mapping[str, Any]) -> RoundPlan:
    """Reads what `plan_to_plain` returned."""
    start = dict(plain["start"])
    evaluated = start.pop("evaluated")
    if evaluated is not None:
        evaluated = EpochKey(**(evaluated | {"type": TaskType(evaluated["type"])}))
    return RoundPlan(
        plain["number"],
        tuple(Member(**each) for each in plain["members"]),
        StartPoint(**start, evaluated=evaluated),
        tuple(plain["holders"]),
    )


def uses_to_plain(uses: Sequence[StepUse]) -> list[Any]:
    """Returns what steps have used as JSON."""
    return [
        [
            use.step,
            [[each.token, each.start_position, each.end_position] for each in use.intervals],
        ]
        for use in uses
    ]


def uses_from_plain(plain: Sequence[Any]) -> list[StepUse]:
    """Reads what `uses_to_plain` returned."""
    return [
        StepUse(step, [Interval(*interval) for interval in intervals]) for step, intervals in plain
    ]
