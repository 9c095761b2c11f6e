"""Which leases a heartbeat lists."""

from __future__ import annotations

import pytest

from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
    Interval,
    Lease,
    LeaseReply,
    LeaseRequest,
    Task,
    TaskType,
)
from elasticdl_like.worker.held_leases import HeldLeases

KEY = EpochKey(TaskType.TRAINING, 0)
OTHER = EpochKey(TaskType.EVALUATION, 0, 5)


def lease(token: int) -> Lease:
    return Lease(token, Task("a", 0, 10), 2, 6)


def settle(
    held: HeldLeases,
    *granted: int,
    commits: tuple[Commit, ...] = (),
    returned: tuple[int, ...] = (),
    fenced: tuple[int, ...] = (),
    key: EpochKey = KEY,
) -> None:
    held.settle(
        LeaseRequest(0, "life", 1, key, commits, len(granted), returned),
        LeaseReply(Answer.LEASED, [lease(token) for token in granted], fenced),
    )


@pytest.fixture
def held() -> HeldLeases:
    held = HeldLeases()
    settle(held, 1, 2)
    settle(held, 3, key=OTHER)
    return held


def test_what_is_granted_is_held_whatever_it_is_for(held: HeldLeases) -> None:
    assert held.tokens == [1, 2, 3]


@pytest.mark.parametrize("problem", ["", "unreadable"])
def test_a_lease_is_held_until_its_last_position_is_counted(held: HeldLeases, problem: str) -> None:
    settle(held, commits=(Commit(1, [Interval(1, 2, 3)]), Commit(2, [Interval(1, 3, 5)])))
    assert held.tokens == [2, 1, 3]
    settle(held, commits=(Commit(3, [Interval(1, 5, 6), Interval(2, 2, 4)], problem),))
    assert held.tokens == [2, 3]


def test_what_is_returned_or_fenced_is_not_held(held: HeldLeases) -> None:
    settle(held, returned=(2,))
    assert held.tokens == [1, 3]
    settle(held, commits=(Commit(4, [Interval(1, 2, 3)]),), fenced=(4,))
    assert held.tokens == [3]


def test_what_is_abandoned_is_not_held_even_when_a_commit_of_it_is_counted_later(
    held: HeldLeases,
) -> None:
    held.abandon(KEY, [1])
    assert held.tokens == [2, 3]
    held.abandon(KEY)
    assert held.tokens == [3]
    settle(held, commits=(Commit(1, [Interval(1, 2, 3)]),))
    assert held.tokens == [3]
    held.abandon(KEY, [1])
    held.abandon(KEY)
