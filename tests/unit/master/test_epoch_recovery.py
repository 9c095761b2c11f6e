"""What an epoch does about leases, records and shards that do not go the straight way."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from job_parts import Record, records_of, used, whole

from elasticdl_like.errors import LedgerError
from elasticdl_like.master.epoch import Epoch
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.tasks import EpochKey, Lease, Shard, TaskType

TABLE = ShardTable([Shard("a", 100, 16), Shard("b", 0, 5)], 8)  # tasks of 8, 8 and 5 records
SEED = 3  # begins with a task of 8


def epoch(seed: int | None = None) -> Epoch:
    return Epoch(EpochKey(TaskType.TRAINING, 0), TABLE, seed)


def lease(of: Epoch, token: int, worker_id: int = 0, sequence: int = 1) -> Lease:
    found = of.lease(worker_id, sequence, token)
    assert found is not None
    return found


def finish(of: Epoch, bad: frozenset[Record] = frozenset(), first_token: int = 1000) -> list[Lease]:
    """Leases and uses all there is, as one worker; a lease with a bad record cannot be used."""
    leases: list[Lease] = []
    while one := of.lease(0, 1, first_token + len(leases)):
        leases.append(one)
        is_bad = not bad.isdisjoint(records_of(one))
        assert of.commit(0, whole(1, [one], "torn" if is_bad else ""))
        of.check()
    return leases


def restored(of: Epoch) -> Epoch:
    copy = Epoch(of.key, of.table, of.order_key)
    copy.load_plain(json.loads(json.dumps(of.to_plain())))
    assert copy.to_plain() == of.to_plain()
    return copy


# Leases that come back.


def test_given_back_leases_wait_again_and_others_stay() -> None:
    one = epoch()
    lease(one, 1)
    lease(one, 2)
    lease(one, 3, worker_id=1)
    assert one.commit(0, used((1, 0, 3)))
    one.give_back(0, [1, 3, 99])  # 3 is another's
    assert not one.commit(0, used((1, 3, 8)))
    assert one.commit(0, used((2, 0, 8)))
    assert one.commit(1, used((3, 0, 5)))
    again = lease(one, 4, worker_id=1)
    assert (again.start_position, again.end_position) == (3, 8)
    assert one.ledger().leases_lost == 0


def test_unlisted_leases_are_those_of_answered_requests() -> None:
    one = epoch()
    for token, sequence in ((1, 1), (2, 2), (3, 3)):
        lease(one, token, sequence=sequence)
    assert one.unlisted(0, 2, {1}) == [2]  # the reply to request 3 may be under way
    assert sorted(one.unlisted(0, 3, frozenset())) == [1, 2, 3]
    assert one.unlisted(0, 0, frozenset()) == []
    assert one.unlisted(1, 9, frozenset()) == []


def test_a_commit_that_is_fenced_frees_the_other_leases_of_it_alone() -> None:
    one = epoch()
    for token in (1, 2, 3):
        lease(one, token)
    one.give_back(0, [1])
    assert not one.commit(0, used((1, 0, 8), (2, 0, 4)))
    # The next commit goes on where the fenced one would have ended.
    assert not one.commit(0, used((2, 4, 8)))
    assert one.commit(0, used((3, 0, 5)))
    assert {records_of(each)[0] for each in finish(one)} == {("a", 100), ("a", 108)}
    assert one.ledger().missing == 0


def test_untouched_leases_are_counted_for_each_worker() -> None:
    one = epoch()
    for token, worker in ((1, 0), (2, 0), (3, 1)):
        lease(one, token, worker)
    assert dict(one.untouched) == {0: 2, 1: 1}
    one.commit(0, used((1, 0, 1)))
    assert one.untouched[0] == 1
    one.give_back(0, [1, 2])
    one.take_back(1, lost=True)
    assert [one.untouched.get(worker, 0) for worker in (0, 1)] == [0, 0]


# Slow leases.


@pytest.mark.parametrize(
    ("size", "done", "alignment", "cut"),
    [
        (8, 0, 1, 4),
        (8, 2, 1, 5),
        (8, 0, 3, 3),
        (8, 1, 2, 3),
        (8, 5, 4, 6),
        (8, 6, 4, 7),
        (5, 0, 2, 2),
    ],
)
def test_a_split(size: int, done: int, alignment: int, cut: int) -> None:
    one = Epoch(EpochKey(TaskType.EVALUATION, 0, 1), ShardTable([Shard("a", 0, size)], 8), None)
    lease(one, 1)
    if done:
        one.commit(0, used((1, 0, done)))
    assert one.split(1, alignment)
    tail = lease(one, 2, worker_id=1)
    assert (tail.start_position, tail.end_position) == (cut, size)
    assert one.commit(0, used((1, done, cut)))
    assert one.commit(1, used((2, cut, size)))
    assert one.ledger().missing == 0
    one.check()


def test_one_position_cannot_be_split_nor_what_is_gone() -> None:
    one = epoch()
    lease(one, 1)
    one.commit(0, used((1, 0, 7)))
    assert not one.split(1, 1)
    assert not one.split(2, 1)
    one.commit(0, used((1, 7, 8)))
    assert not one.split(1, 1)


def test_what_was_cut_off_is_not_for_the_worker_that_was_slow() -> None:
    one = epoch()
    lease(one, 1)
    assert one.split(1, 1)
    assert one.lease(0, 2, 2) is None
    assert lease(one, 2, worker_id=1)
    one.commit(0, used((1, 0, 4)))
    assert one.lease(0, 3, 3) is not None


def test_a_commit_across_the_cut_is_fenced_and_the_rest_waits() -> None:
    one = epoch()
    lease(one, 1)
    lease(one, 2)
    one.commit(0, used((1, 0, 2)))
    assert one.split(1, 1)  # at 5
    assert not one.commit(0, used((1, 2, 6), (2, 0, 1)))
    assert not one.commit(0, used((2, 1, 8)))
    found = [record for each in finish(one) for record in records_of(each)]
    assert sorted(found) == sorted(
        [("a", index) for index in range(102, 116)] + [("b", index) for index in range(5)]
    )
    assert one.ledger().missing == 0


def test_a_shuffled_lease_is_split_in_its_own_order() -> None:
    one = epoch(seed=3)
    first = lease(one, 1)
    expected = records_of(first)
    assert one.split(1, 1)
    middle = first.size // 2
    one.commit(0, used((1, 0, middle)))
    rest = finish(one)
    assert [
        record for each in rest if each.order_key == first.order_key for record in records_of(each)
    ][: first.size - middle] == expected[middle:]
    assert one.ledger().missing == 0


# Records that cannot be used.


@pytest.mark.parametrize("seed", [None, SEED])
@pytest.mark.parametrize("bad", [{("a", 100)}, {("a", 103), ("a", 104), ("b", 4)}, set()])
def test_a_record_that_cannot_be_used_is_found_and_set_aside(
    seed: int | None, bad: set[Record]
) -> None:
    one = epoch(seed)
    leases = finish(one, frozenset(bad))
    entry = one.ledger()
    assert (entry.quarantined, entry.committed, entry.missing) == (len(bad), 21 - len(bad), 0)
    found = {(each.shard_name, i) for each in one.quarantine for i in range(each.start, each.end)}
    assert found == bad
    assert one.num_unusable == len(bad)
    for record in bad:
        alone = [each for each in leases if records_of(each) == [record]]
        assert len(alone) == 2  # one failure might be chance
        assert all(each.order_key is None for each in alone)


def test_a_shuffled_failure_comes_back_as_runs_of_records() -> None:
    one = epoch(SEED)
    first = lease(one, 1)
    failed = {index for _, index in records_of(first)[2:7]}
    one.commit(0, used((1, 0, 2)))
    one.commit(0, used((1, 2, 7), problem="torn"))
    assert one.ledger().quarantined == 0
    runs: list[list[int]] = []
    while len({index for run in runs for index in run}) < len(failed):
        again = lease(one, 2 + len(runs))
        assert again.order_key is None
        runs.append([index for _, index in records_of(again)])
    assert {index for run in runs for index in run} == failed
    # As few runs as there are, in ascending order.
    assert all(before[-1] + 1 < after[0] for before, after in itertools.pairwise(runs))


def test_a_second_try_that_works_is_not_held_against_a_record() -> None:
    one = Epoch(EpochKey(TaskType.TRAINING, 0), ShardTable([Shard("a", 0, 1)], 8), None)
    lease(one, 1)
    one.commit(0, used((1, 0, 1), problem="the line was bad"))
    assert one.ledger().waiting == 1
    lease(one, 2)
    one.take_back(0, lost=True)  # being lost is no try
    lease(one, 3)
    assert one.commit(0, used((3, 0, 1)))
    assert (one.ledger().committed, one.num_unusable) == (1, 0)
    assert one.last_unusable is None


def test_the_problem_is_kept() -> None:
    one = epoch()
    finish(one, frozenset({("b", 2)}))
    assert one.last_unusable == ("b", 2, 3, "torn")


def test_a_failing_commit_of_several_leases() -> None:
    one = epoch(seed=1)
    leases = [lease(one, token) for token in (1, 2)]
    one.commit(0, whole(1, leases, "torn"))
    assert one.ledger().leased == 0
    one.check()
    finish(one)
    assert (one.ledger().quarantined, one.ledger().missing) == (0, 0)


# Shards that have changed.


@pytest.mark.parametrize("seed", [None, 9])
def test_what_is_left_of_a_shard_that_is_gone_is_set_aside(seed: int | None) -> None:
    one = epoch(seed)
    first = lease(one, 1)
    one.commit(0, used((1, 0, 1)))
    lease(one, 2)
    one.drop_shards(["a"])
    one.drop_shards(["gone before"])  # a second change does not undo the first
    one.take_back(0, lost=True)
    assert {each.task.shard_name for each in finish(one)} == {"b"}
    entry = one.ledger()
    committed_of_a = 1 if first.task.shard_name == "a" else 0
    assert (entry.quarantined, entry.missing) == (16 - committed_of_a, 0)
    assert one.num_unusable == 0  # that is nobody's fault
    assert {each.shard_name for each in one.quarantine} == {"a"}


GROUPS = ShardTable([Shard("a", 0, 25, splits=(20,))], 8)  # a task of 20 in parts, and one of 5


@pytest.mark.parametrize("seed", [None, SEED])
def test_a_bad_record_of_a_large_group_is_found_in_a_few_leases(seed: int | None) -> None:
    one = Epoch(EpochKey(TaskType.TRAINING, 0), GROUPS, seed)
    leases = finish(one, frozenset({("a", 11)}))
    assert [(each.start, each.end) for each in one.quarantine] == [(11, 12)]
    assert (one.ledger().committed, one.ledger().missing) == (24, 0)
    assert len(leases) < 15


@pytest.mark.parametrize("seed", [None, SEED])
def test_the_position_inside_a_large_group_is_part_of_the_state(seed: int | None) -> None:
    one = Epoch(EpochKey(TaskType.TRAINING, 0), GROUPS, seed)
    first = lease(one, 1)
    while first.task.size != 20:
        first = lease(one, 2)
    assert (first.start_position, first.end_position) == (0, 7)
    position = json.loads(json.dumps(one.position()))
    copy = restored(one)
    following = lease(one, 3)
    assert (following.task, following.start_position) == (first.task, 7)
    assert copy.lease(0, 1, 3) == following
    one.restore(position)
    one.check()
    read = [record for each in finish(one) for record in records_of(each)]
    assert sorted(read) == [("a", index) for index in range(25)]


def test_shuffling_stays_inside_a_group_and_goes_through_all_of_it() -> None:
    one = Epoch(EpochKey(TaskType.TRAINING, 0), GROUPS, SEED)
    parts = [[index for _, index in records_of(each)] for each in finish(one)]
    large = [part for part in parts if max(part) < 20]
    assert sorted(index for part in large for index in part) == list(range(20))
    assert all(max(part) - min(part) > len(part) for part in large)


# Going back.


def used_up_to(seed: int | None) -> tuple[Epoch, dict[str, Any]]:
    """An epoch in which much has happened, and its position in the middle of that."""
    one = epoch(seed)
    lease(one, 1)
    assert one.commit(0, used((1, 0, 2)))
    assert one.commit(0, used((1, 2, 6), problem="torn"))
    lease(one, 2, worker_id=1)
    return one, json.loads(json.dumps(one.position()))


@pytest.mark.parametrize("seed", [None, SEED])
def test_restore_goes_back_exactly(seed: int | None) -> None:
    one, position = used_up_to(seed)
    before = one.ledger()
    finish(one, frozenset({("a", 104), ("b", 0)}))
    for worker in (0, 1):
        one.take_back(worker, lost=False)
    finish(one, frozenset({("a", 104), ("b", 0)}), first_token=2000)
    assert one.ended
    assert one.ledger().quarantined == 2
    one.restore(position)
    assert one.position() == position
    assert not one.ended
    assert (one.num_unusable, one.last_unusable, list(one.quarantine)) == (0, None, [])
    entry = one.ledger()
    assert (entry.committed, entry.leased) == (before.committed, 0)
    assert entry.waiting == before.waiting + before.leased
    one.check()
    finish(one, first_token=3000)
    assert (one.ledger().committed, one.ledger().missing) == (21, 0)


@pytest.mark.parametrize("seed", [None, SEED])
def test_restore_loses_every_lease(seed: int | None) -> None:
    one, position = used_up_to(seed)
    held = one.ledger().leased
    assert held > 0
    lost = len(one.tokens)
    one.restore(position)
    assert one.ledger().leases_lost == lost
    assert list(one.tokens) == []
    assert not one.commit(1, used((2, 0, 1)))


def test_a_copy_goes_on_like_the_original() -> None:
    one, _ = used_up_to(SEED)
    copy = restored(one)
    bad = frozenset({("a", 103)})
    assert finish(one, bad) == finish(copy, bad)
    assert one.to_plain() == copy.to_plain()


# The check.


@pytest.mark.parametrize("seed", [None, SEED])
@pytest.mark.parametrize("ended", [False, True])
def test_check_finds_what_is_tampered_with(seed: int | None, ended: bool) -> None:
    one, _ = used_up_to(seed)
    if ended:
        for worker in (0, 1):
            one.take_back(worker, lost=False)
        finish(one)
        assert one.ended
    plain = json.loads(json.dumps(one.to_plain()))
    changes: list[dict[str, Any]] = [
        {"committed": [plain["committed"][0] + 1, *plain["committed"][1:]]},
        {"committed": [plain["committed"][0], plain["committed"][1] + 1, plain["committed"][2]]},
        {"set_aside": [1, 3, 9]},
    ]
    if not ended:
        changes += [
            {"waiting": plain["waiting"][1:]},
            {"waiting": [*plain["waiting"], plain["waiting"][0]]},
            {"leases": []},
            {"frontier": plain["frontier"] + 1},
        ]
    one.check()
    for change in changes:
        wrong = epoch(seed)
        wrong.load_plain(plain | change)
        with pytest.raises(LedgerError, match="does not add up"):
            wrong.check()


# The order.


@pytest.mark.parametrize("seed", [None, 0, 2**64 - 1])
def test_first_leases_come_in_one_order_whatever_else_happens(seed: int | None) -> None:
    straight = [record for each in finish(epoch(seed)) for record in records_of(each)]
    one, token, first = epoch(seed), 0, []
    while not one.ended:
        for worker in (0, 1):
            token += 1
            found = one.lease(worker, 1, token)
            if found is not None:
                first += [record for record in records_of(found) if record not in first]
                start = found.start_position
                one.commit(worker, used((token, start, start + 1)))
        one.take_back(token // 2 % 2, lost=True)
    assert first == straight
