from __future__ import annotations

import pytest

from elasticdl_like.errors import InvalidRequestError, UnknownWorkerError
from elasticdl_like.master.membership import Membership


@pytest.fixture
def members() -> Membership[str]:
    return Membership(timeout_s=10.0)


def ids(members: Membership[str]) -> list[int]:
    return [worker.worker_id for worker in members]


def test_numbers_are_given_in_order(members: Membership[str]) -> None:
    assert [members.register(name, None, "", False, 0).worker_id for name in "abc"] == [0, 1, 2]


def test_a_requested_number_is_given_and_skipped_afterwards(members: Membership[str]) -> None:
    assert members.register("a", 5, "", False, 0).worker_id == 5
    assert members.register("b", None, "", False, 0).worker_id == 6
    assert members.register("c", 0, "", False, 0).worker_id == 0
    assert members.register("d", None, "", False, 0).worker_id == 7


def test_a_number_that_is_taken_is_refused(members: Membership[str]) -> None:
    members.register("a", 3, "host-a, process 17", False, 0)
    with pytest.raises(InvalidRequestError, match=r"worker 3 is registered.*host-a, process 17"):
        members.register("b", 3, "", False, 0)
    assert ids(members) == [3]


def test_a_repeated_registration_changes_nothing(members: Membership[str]) -> None:
    worker = members.register("a", None, "", False, 0)
    worker.last_sequence = 4
    assert members.register("a", None, "", False, 6) is worker
    assert ids(members) == [0]
    assert (worker.last_sequence, worker.heard_s) == (4, 6)


def test_hear(members: Membership[str]) -> None:
    worker = members.register("a", None, "", False, 0)
    assert members.hear(0, "a", 7) is worker
    assert worker.heard_s == 7


def test_strangers_are_not_heard(members: Membership[str]) -> None:
    members.register("a", 0, "", False, 0)
    for worker_id, incarnation in ((1, "a"), (0, "b"), (0, "")):
        with pytest.raises(UnknownWorkerError, match=f"worker {worker_id} is not part"):
            members.hear(worker_id, incarnation, 9)
    members.remove(0)
    with pytest.raises(UnknownWorkerError):
        members.hear(0, "a", 9)


def test_a_replacement_takes_the_number_and_starts_anew(members: Membership[str]) -> None:
    old = members.register("a", 0, "", False, 0)
    old.last_sequence, old.last_reply = 9, "reply"
    members.remove(0)
    new = members.register("b", 0, "", False, 1)
    assert (new.worker_id, new.last_sequence, new.last_reply) == (0, 0, None)
    with pytest.raises(UnknownWorkerError):
        members.hear(0, "a", 2)


def test_a_number_given_by_the_master_is_not_given_again(members: Membership[str]) -> None:
    members.register("a", None, "", False, 0)
    members.remove(0)
    members.remove(0)
    assert members.register("b", None, "", False, 0).worker_id == 1


def test_silence(members: Membership[str]) -> None:
    members.register("a", None, "", False, 0)
    members.register("b", None, "", False, 5)
    members.register("supervised", None, "", True, 0)
    assert members.silent(10) == []
    assert [worker.worker_id for worker in members.silent(10.5)] == [0]
    assert [worker.worker_id for worker in members.silent(99)] == [0, 1]
    members.hear(0, "a", 98)
    assert [worker.worker_id for worker in members.silent(99)] == [1]
