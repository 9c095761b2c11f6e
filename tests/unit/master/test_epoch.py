from __future__ import annotations

import pytest
from job_parts import used

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.epoch import Epoch
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.ordering import derive_key
from elasticdl_like.tasks import Commit, EpochKey, Lease, Shard, Task, TaskType

KEY = EpochKey(TaskType.TRAINING, 2)
TABLE = ShardTable([Shard("a", 0, 10), Shard("b", 5, 3)], 4)  # tasks of 4, 4, 2 and 3 records


def epoch(seed: int | None = None, key: EpochKey = KEY) -> Epoch:
    return Epoch(key, TABLE, None if seed is None else derive_key(seed, key.epoch))


def drained(of: Epoch) -> list[Lease]:
    leases: list[Lease] = []
    while lease := of.lease(0, 1, len(leases) + 1):
        leases.append(lease)
    return leases


def counts(of: Epoch) -> tuple[int, int]:
    entry = of.ledger()
    return entry.committed, entry.leased


def test_the_natural_order() -> None:
    assert drained(epoch()) == [
        Lease(1, Task("a", 0, 4, 2), 0, 4),
        Lease(2, Task("a", 4, 8, 2), 0, 4),
        Lease(3, Task("a", 8, 10, 2), 0, 2),
        Lease(4, Task("b", 5, 8, 2), 0, 3),
    ]


def test_the_shuffled_order_holds_the_same_tasks_and_is_pinned() -> None:
    leases = drained(epoch(seed=7))
    assert sorted(lease.task.start for lease in leases if lease.task.shard_name == "a") == [0, 4, 8]
    # These numbers are never to be adapted to the code: a journal depends on them.
    assert [(lease.task.shard_name, lease.task.start, lease.order_key) for lease in leases] == [
        ("a", 4, 0x2F4BE94097D3D9E1),
        ("b", 5, 0x934687BE0FB3659E),
        ("a", 0, 0x2DE5334D91CC1546),
        ("a", 8, 0xC37F6A48DE0F7858),
    ]


def test_the_order_depends_on_seed_and_epoch() -> None:
    table = ShardTable([Shard("a", 0, 50)], 1)

    def order(seed: int, number: int) -> list[int]:
        return [
            lease.task.start
            for lease in drained(
                Epoch(EpochKey(TaskType.TRAINING, number), table, derive_key(seed, number))
            )
        ]

    orders = [order(seed, number) for seed in (1, 2) for number in (0, 1)]
    assert len({tuple(each) for each in orders}) == 4
    assert orders == [order(seed, number) for seed in (1, 2) for number in (0, 1)]


def test_a_commit_in_parts() -> None:
    one = epoch()
    one.lease(0, 1, 1)
    assert counts(one) == (0, 4)
    assert one.commit(0, used((1, 0, 1)))
    assert counts(one) == (1, 3)
    assert one.commit(0, used((1, 1, 4)))
    assert counts(one) == (4, 0)


def test_a_commit_over_several_leases_and_several_parts_of_one() -> None:
    one = epoch()
    one.lease(0, 1, 1)
    one.lease(0, 1, 2)
    assert one.commit(0, used((1, 0, 2), (2, 0, 1), (1, 2, 4), (2, 1, 3)))
    assert counts(one) == (7, 1)


@pytest.mark.parametrize(
    "commit",
    [
        used((1, 1, 2)),  # a gap
        used((1, 0, 0)),  # empty
        used((1, 2, 1)),
        used((1, -1, 1)),
        used((1, 0, 2), (1, 1, 3)),  # twice
        used((1, 0, 2), (1, 3, 4)),
        used((2, 0, 4), (1, 1, 4)),  # a good part before a bad one
    ],
)
def test_a_commit_that_does_not_fit_counts_nothing(commit: Commit) -> None:
    one = epoch()
    one.lease(0, 1, 1)
    one.lease(0, 1, 2)
    with pytest.raises(InvalidRequestError, match="worker 0 commits positions"):
        one.commit(0, commit)
    assert counts(one) == (0, 8)
    assert one.commit(0, used((1, 0, 4), (2, 0, 4)))


def test_a_commit_twice_is_fenced() -> None:
    one = epoch()
    one.lease(0, 1, 1)
    assert one.commit(0, used((1, 0, 4)))
    assert not one.commit(0, used((1, 0, 4)))
    assert counts(one) == (4, 0)
    assert one.ledger().reports_fenced == 1


def test_a_commit_of_another_workers_lease_is_fenced_whole() -> None:
    one = epoch()
    one.lease(0, 1, 1)
    one.lease(1, 1, 2)
    assert not one.commit(0, used((1, 0, 4), (2, 0, 4)))
    assert not one.commit(0, used((99, 0, 1)))
    # What was the worker's own it will not do again: that waits for somebody else.
    assert counts(one) == (0, 4)
    assert one.ledger().reports_fenced == 2
    assert one.commit(1, used((2, 0, 4)))
    one.check()


def test_what_is_taken_back_is_leased_again_first_and_only_the_rest_of_it() -> None:
    one = epoch()
    for token in (1, 2):
        one.lease(token, 1, token)
    one.commit(1, used((1, 0, 3)))
    one.take_back(1, lost=True)
    assert counts(one) == (3, 4)
    assert one.lease(2, 1, 3) == Lease(3, Task("a", 0, 4, 2), 3, 4)
    assert one.lease(2, 1, 4) == Lease(4, Task("a", 8, 10, 2), 0, 2)
    assert not one.commit(1, used((1, 3, 4)))
    assert one.commit(2, used((3, 3, 4)))


def test_only_losses_are_counted_as_losses() -> None:
    one = epoch()
    one.lease(0, 1, 1)
    one.take_back(0, lost=False)
    assert (one.ledger().leases_granted, one.ledger().leases_lost) == (1, 0)
    one.lease(0, 1, 2)
    one.lease(0, 1, 3)
    one.take_back(0, lost=True)
    assert (one.ledger().leases_granted, one.ledger().leases_lost) == (3, 2)
    one.take_back(0, lost=True)
    assert one.ledger().leases_lost == 2


def test_the_end() -> None:
    one = epoch()
    leases = drained(one)
    assert one.lease(0, 1, 99) is None
    for lease in leases[:-1]:
        one.commit(0, used((lease.token, 0, lease.size)))
    assert not one.ended
    assert one.ledger().missing is None
    one.commit(0, used((4, 0, 3)))
    assert one.ended
    assert one.ledger().missing == 0


def test_the_ledger_as_json() -> None:
    one = epoch()
    one.lease(0, 1, 1)
    one.commit(0, used((1, 0, 1)))
    assert one.ledger().to_plain() == {
        "type": "training",
        "epoch": 2,
        "records": 13,
        "committed": 1,
        "tentative": 0,
        "leased": 3,
        "quarantined": 0,
        "missing": None,
        "ended": False,
        "leases_granted": 1,
        "leases_lost": 0,
        "reports_fenced": 0,
    }
    evaluation = epoch(key=EpochKey(TaskType.EVALUATION, 1, 70)).ledger().to_plain()
    assert (evaluation["type"], evaluation["epoch"], evaluation["step"]) == ("evaluation", 1, 70)
