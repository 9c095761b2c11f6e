from __future__ import annotations

import typing
from typing import Any

import pytest
from job_parts import used

from elasticdl_like.errors import JournalError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.proto import convert
from elasticdl_like.tasks import EpochKey, LeaseRequest, TaskType

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
