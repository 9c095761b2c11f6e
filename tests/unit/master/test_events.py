from __future__ import annotations

import typing
from typing import Any

import pytest
from job_parts import used

from elasticdl_like.errors import JournalError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.round_codec import (
    plan_from_plain,
    plan_to_plain,
    uses_from_plain,
    uses_to_plain,
)
from elasticdl_like.proto import convert
from elasticdl_like.rounds import Member, RoundPlan, StepUse
from elasticdl_like.tasks import EpochKey, Interval, LeaseRequest, StartPoint, TaskType

EVENTS: list[Any] = [
    events.Registered("abc", None, "host ö, process 3", True),
    events.Registered("abc", 4, "\udc80", False),
    events.Dropped(3, True),
    events.GivenBack(0, [3, 2**62]),
    events.Split(2**62),
    events.Evaluated(["evaluation", 1, 20], {"loss": 0.5, "accuracy": 1e-300}),
    events.CheckpointPublished(20, "/a/checkpoint-000000020"),
    events.Adopted(20),
    events.TrainingStopped("enough"),
    events.Ended(JobState.FAILED, "a 'reason'\nof two lines"),
    events.GoneOn("{}", {"num_epochs": 3, "shuffle_seed": None}, ["a", "b"], True),
    events.RoundBegan({"number": 3, "members": [], "holders": ["host:1"]}),
    events.RoundEnded(3, [8, 9], [[9, [[2**62, 0, 4]]]], [1], 9),
    events.Scaled(4),
    events.WorkDone(),
    events.OutputBegun('{"session": "ö"}'),
    events.FinisherChosen(3),
    events.PartsPublished(["part-a-00001.csv", "part-b-00001.csv"]),
    events.OutputPublished(),
]


@pytest.mark.parametrize("event", EVENTS)
def test_events_come_back_as_they_were(event: Any) -> None:
    assert events.decode_event(*events.encode_event(event)) == event


def test_every_kind_is_tried() -> None:
    tried = {type(event) for event in EVENTS} | {LeaseRequest}
    assert tried == set(typing.get_args(events.Event))


def test_a_request_is_the_message_that_was_sent() -> None:
    request = LeaseRequest(
        *(3, "abc", 7, EpochKey(TaskType.TRAINING, 2)),
        *([used((1, 0, 4), (2, 3, 5), step=9), used((2, 5, 6), problem="torn")], 4, [8], 0.25),
    )
    body = convert.lease_request_to_proto(request).SerializeToString()
    assert events.decode_event(events.LEASE_REQUEST, body) == request


@pytest.mark.parametrize("evaluated", [None, EpochKey(TaskType.EVALUATION, 1, 20)])
def test_a_round_in_the_journal_is_the_one_that_was_begun(evaluated: EpochKey | None) -> None:
    plan = RoundPlan(
        7,
        (Member(2, "host:1", "host:2"), Member(0, "host:3", "host:4")),
        StartPoint(1, 20, "/a/checkpoint-000000020", evaluated, {"loss": 0.5}),
        ("host:1",),
    )
    event = events.decode_event(*events.encode_event(events.RoundBegan(plan_to_plain(plan))))
    assert isinstance(event, events.RoundBegan)
    assert plan_from_plain(event.plan) == plan


def test_uses_in_the_journal_are_those_that_were_told() -> None:
    uses = [StepUse(3, [Interval(1, 0, 4), Interval(2**62, 4, 5)]), StepUse(4, [])]
    event = events.RoundEnded(1, [4], uses_to_plain(uses), [], 4)
    again = events.decode_event(*events.encode_event(event))
    assert isinstance(again, events.RoundEnded)
    assert uses_from_plain(again.uses) == uses


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Invented", b"{}"),
        ("Dropped", b"{"),
        ("Dropped", b"[]"),
        ("Dropped", b"\xff"),
        ("Dropped", b'{"worker_id": 1}'),
        ("Dropped", b'{"worker_id": 1, "lost": true, "more": 1}'),
        (events.LEASE_REQUEST, b"\xff\xff"),
        (events.LEASE_REQUEST, b"\x1a\x02\x08\x63"),  # a type of task that there is not
    ],
)
def test_what_this_version_does_not_know_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(JournalError, match=f"entry of kind '{kind}' that cannot be read"):
        events.decode_event(kind, body)
