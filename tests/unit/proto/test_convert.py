from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.proto import convert
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
    Interval,
    Lease,
    LeaseReply,
    LeaseRequest,
    StartPoint,
    Task,
    TaskType,
)

bounded = settings(derandomize=True, deadline=None, max_examples=100)

NUMBERS = st.integers(0, 2**63 - 1)
TOKENS = st.integers(0, 2**64 - 1)
TYPES = st.sampled_from(TaskType)
NAMES = st.text(st.characters(codec="utf-8"))
KEYS = st.builds(EpochKey, TYPES, NUMBERS, NUMBERS)
TASKS = st.builds(Task, NAMES, NUMBERS, NUMBERS, NUMBERS, TYPES)
LEASES = st.builds(Lease, TOKENS, TASKS, NUMBERS, NUMBERS, st.none() | TOKENS)
COMMITS = st.builds(
    Commit,
    NUMBERS,
    st.lists(st.builds(Interval, TOKENS, NUMBERS, NUMBERS), max_size=4),
    NAMES,
    st.booleans(),
)
# NaN is not equal to itself.
FLOATS = st.floats(allow_nan=False)
REQUESTS = st.builds(
    LeaseRequest,
    NUMBERS,
    NAMES,
    TOKENS,
    KEYS,
    st.lists(COMMITS, max_size=3),
    NUMBERS,
    st.lists(TOKENS, max_size=4),
    st.none() | FLOATS,
)
REPLIES = st.builds(
    LeaseReply,
    st.sampled_from(Answer),
    st.lists(LEASES, max_size=3),
    st.lists(NUMBERS, max_size=3),
    NUMBERS,
)
STARTS = st.builds(
    StartPoint,
    NUMBERS,
    NUMBERS,
    NAMES,
    st.none() | KEYS,
    st.dictionaries(NAMES, FLOATS, max_size=3),
)


def over_the_wire(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())


@bounded
@given(KEYS)
def test_epoch_key(key: EpochKey) -> None:
    message = over_the_wire(convert.epoch_key_to_proto(key))
    assert convert.epoch_key_from_proto(message) == key


@bounded
@given(LEASES)
def test_lease(lease: Lease) -> None:
    assert convert.lease_from_proto(over_the_wire(convert.lease_to_proto(lease))) == lease


def test_an_order_key_of_zero_is_not_no_order_key() -> None:
    for order_key in (0, None):
        lease = Lease(1, Task("s", 0, 1), 0, 1, order_key)
        message = over_the_wire(convert.lease_to_proto(lease))
        assert convert.lease_from_proto(message).order_key == order_key


@bounded
@given(REQUESTS)
def test_lease_request(request: LeaseRequest) -> None:
    message = convert.lease_request_to_proto(request)
    assert convert.lease_request_from_proto(over_the_wire(message)) == request
    assert convert.lease_request_from_bytes(message.SerializeToString()) == request


@bounded
@given(REPLIES)
def test_lease_reply(reply: LeaseReply) -> None:
    message = over_the_wire(convert.lease_reply_to_proto(reply))
    assert convert.lease_reply_from_proto(message) == reply


@bounded
@given(STARTS)
def test_start_point(start: StartPoint) -> None:
    message = over_the_wire(convert.start_point_to_proto(start))
    assert convert.start_point_from_proto(message) == start


def test_a_loss_of_zero_is_not_no_loss() -> None:
    for loss in (0.0, None):
        request = LeaseRequest(1, "a", 1, EpochKey(TaskType.TRAINING, 0), loss=loss)
        message = over_the_wire(convert.lease_request_to_proto(request))
        assert convert.lease_request_from_proto(message).loss == loss


def test_an_evaluation_at_step_zero_is_not_no_evaluation() -> None:
    for evaluated in (EpochKey(TaskType.TRAINING, 0), None):
        message = over_the_wire(convert.start_point_to_proto(StartPoint(evaluated=evaluated)))
        assert convert.start_point_from_proto(message).evaluated == evaluated


def test_bytes_that_are_no_request_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="not a request for leases"):
        convert.lease_request_from_bytes(b"\xff\xff")


def test_every_number_of_the_protocol_has_a_value_of_ours() -> None:
    assert {convert.task_type_from_proto(number) for number in pb.TaskType.values()} == set(
        TaskType
    )
    answers = pb.CommitAndLeaseReply.Answer.values()
    assert {convert.answer_from_proto(number) for number in answers} == set(Answer)


def test_what_a_newer_version_sends_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="task type 99 is not known"):
        convert.task_type_from_proto(99)
    with pytest.raises(InvalidRequestError, match="answer 99 is not known"):
        convert.answer_from_proto(99)
    # proto3 keeps unknown enum numbers, so that they do arrive.
    key = pb.EpochKey(epoch=1)
    key.MergeFromString(b"\x08\x63")
    with pytest.raises(InvalidRequestError, match="task type 99"):
        convert.epoch_key_from_proto(over_the_wire(key))
