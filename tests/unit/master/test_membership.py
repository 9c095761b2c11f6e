from __future__ import annotations

import json

import pytest

from elasticdl_like.errors import InvalidRequestError, UnknownWorkerError
from elasticdl_like.master.membership import Membership
from elasticdl_like.tasks import Answer, LeaseReply


@pytest.fixture
def members() -> Membership:
    return Membership(timeout_s=10.0)


def ids(members: Membership) -> list[int]:
    return [worker.worker_id for worker in members]


def test_numbers_are_given_in_order(members: Membership) -> None:
    assert [members.register(name, None, "", False, 0).worker_id for name in "abc"] == [0, 1, 2]


def test_a_requested_number_is_given_and_skipped_afterwards(members: Membership) -> None:
    assert members.register("a", 5, "", False, 0).worker_id == 5
    assert members.register("b", None, "", False, 0).worker_id == 6
    assert members.register("c", 0, "", False, 0).worker_id == 0
    assert members.register("d", None, "", False, 0).worker_id == 7


def test_a_number_that_is_taken_is_refused(members: Membership) -> None:
    members.register("a", 3, "host-a, process 17", False, 0)
    with pytest.raises(InvalidRequestError, match=r"worker 3 is registered.*host-a, process 17"):
        members.register("b", 3, "", False, 0)
    assert ids(members) == [3]


def test_a_repeated_registration_changes_nothing(members: Membership) -> None:
    worker = members.register("a", None, "", False, 0)
    worker.last_sequence = 4
    assert members.register("a", None, "", False, 6) is worker
    assert ids(members) == [0]
    assert (worker.last_sequence, worker.heard_s) == (4, 6)


def test_hear(members: Membership) -> None:
    worker = members.register("a", None, "", False, 0)
    assert members.hear(0, "a", 7) is worker
    assert worker.heard_s == 7


def test_strangers_are_not_heard(members: Membership) -> None:
    members.register("a", 0, "", False, 0)
    for worker_id, incarnation in ((1, "a"), (0, "b"), (0, "")):
        with pytest.raises(UnknownWorkerError, match=f"worker {worker_id} is not part"):
            members.hear(worker_id, incarnation, 9)
    members.remove(0)
    with pytest.raises(UnknownWorkerError):
        members.hear(0, "a", 9)


def test_a_replacement_takes_the_number_and_starts_anew(members: Membership) -> None:
    old = members.register("a", 0, "", False, 0)
    old.last_sequence, old.last_reply = 9, LeaseReply(Answer.WAIT)
    members.remove(0)
    new = members.register("b", 0, "", False, 1)
    assert (new.worker_id, new.last_sequence, new.last_reply) == (0, 0, None)
    with pytest.raises(UnknownWorkerError):
        members.hear(0, "a", 2)


def test_a_number_given_by_the_master_is_not_given_again(members: Membership) -> None:
    members.register("a", None, "", False, 0)
    members.remove(0)
    members.remove(0)
    assert members.register("b", None, "", False, 0).worker_id == 1


def test_a_retired_incarnation_never_comes_back(members: Membership) -> None:
    members.register("a", 0, "", False, 0)
    members.remove(0)
    for requested_id in (0, 1, None):
        with pytest.raises(UnknownWorkerError, match="has left the job, or was given up for lost"):
            members.register("a", requested_id, "", False, 1)
    assert ids(members) == []
    again = Membership(10.0)
    again.load_plain(json.loads(json.dumps(members.to_plain())))
    with pytest.raises(UnknownWorkerError):
        again.register("a", 0, "", False, 1)


def test_json(members: Membership) -> None:
    members.register("a", 4, "host a", True, 0)
    members.register("b", None, "host b", False, 0)
    members.remove(4)
    again = Membership(10.0)
    again.load_plain(json.loads(json.dumps(members.to_plain())))
    assert again.to_plain() == members.to_plain()
    assert [(each.worker_id, each.description) for each in again] == [(5, "host b")]
    assert again.register("c", None, "", False, 0).worker_id == 6


def silent(members: Membership, until_s: float, since_s: float = 0) -> list[int]:
    """Asks each second, as a master that runs does; returns who is silent at the end."""
    found: list[int] = []
    for now_s in range(int(since_s), int(until_s) + 1):
        found = [worker.worker_id for worker in members.silent(now_s)]
    return found


def test_silence(members: Membership) -> None:
    members.register("a", None, "", False, 0)
    members.register("b", None, "", False, 5)
    assert silent(members, 10) == []
    assert silent(members, 11, 10) == [0]
    assert silent(members, 16, 11) == [0, 1]
    members.hear(0, "a", 16)
    assert silent(members, 26, 16) == [1]
    assert silent(members, 27, 26) == [0, 1]


def test_one_that_a_platform_watches_may_be_silent_for_longer(members: Membership) -> None:
    members.register("a", None, "", True, 0)
    assert silent(members, 60) == []
    assert silent(members, 61, 60) == [0]


def test_where_others_wait_for_it_that_makes_no_difference() -> None:
    members = Membership(timeout_s=10.0, hanging_factor=1)
    members.register("a", None, "", True, 0)
    assert silent(members, 10) == []
    assert silent(members, 11, 10) == [0]


def test_to_be_known_is_not_to_be_heard(members: Membership) -> None:
    worker = members.register("a", None, "", False, 0)
    assert members.known(0, "a") is worker
    assert worker.heard_s == 0
    with pytest.raises(UnknownWorkerError, match="worker 0 is not part"):
        members.known(0, "b")


def test_nobody_is_blamed_for_a_pause_of_the_master(members: Membership) -> None:
    members.register("silent", None, "", False, 0)
    members.register("heard", None, "", False, 0)
    assert silent(members, 4) == []
    # The master stands still for an hour; then the first message comes before the first look.
    members.hear(1, "heard", 3604)
    assert [worker.worker_id for worker in members.silent(3604)] == []
    assert silent(members, 3610, 3604) == []
    assert silent(members, 3611, 3610) == [0]  # 4 s before the pause, 7 s after it
    # Nobody may be silent for longer because of the pause.
    assert silent(members, 3614, 3611) == [0]
    assert silent(members, 3615, 3614) == [0, 1]


def test_deadlines_start_anew(members: Membership) -> None:
    members.register("a", None, "", True, 0)
    members.start_deadlines(500)
    # Whether a platform watches it is for that to say again.
    assert silent(members, 510, 500) == []
    assert silent(members, 511, 510) == [0]
