from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.proto import convert
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.tasks import Answer, Commit, EpochKey, Interval, Lease, Task, TaskType

bounded = settings(derandomize=True, deadline=None, max_examples=100)

NUMBERS = st.integers(0, 2**63 - 1)
TOKENS = st.integers(0, 2**64 - 1)
TYPES = st.sampled_from(TaskType)
NAMES = st.text(st.characters(codec="utf-8"))
KEYS = st.builds(EpochKey, TYPES, NUMBERS, NUMBERS)
TASKS = st.builds(Task, NAMES, NUMBERS, NUMBERS, NUMBERS, TYPES)
LEASES = st.builds(Lease, TOKENS, TASKS, NUMBERS, NUMBERS, st.none() | TOKENS)
COMMITS = st.builds(
    Commit, NUMBERS, st.lists(st.builds(Interval, TOKENS, NUMBERS, NUMBERS), max_size=4)
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
@given(COMMITS)
def test_commit(commit: Commit) -> None:
    assert convert.commit_from_proto(over_the_wire(convert.commit_to_proto(commit))) == commit


@pytest.mark.parametrize("answer", Answer)
def test_answer(answer: Answer) -> None:
    reply = over_the_wire(pb.CommitAndLeaseReply(answer=convert.answer_to_proto(answer)))
    assert convert.answer_from_proto(reply.answer) is answer


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
