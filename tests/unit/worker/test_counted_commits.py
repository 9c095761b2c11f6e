"""The commits of an independent worker, with a real task queue in place of the master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from queue_master import WORKER, QueueMaster, make_queue

from elasticdl_like.tasks import EpochKey, Lease, Shard, TaskType
from elasticdl_like.worker.blocks import Batch, Piece
from elasticdl_like.worker.counted_commits import CountedCommits
from elasticdl_like.worker.master_client import MasterClient

KEY = EpochKey(TaskType.TRAINING, 0)


@pytest.fixture
def master() -> QueueMaster:
    return QueueMaster(make_queue([Shard("a", 0, 200)], 4))


def next_lease(commits: CountedCommits) -> Lease:
    lease = commits.stream.next()
    assert isinstance(lease, Lease)
    return lease


def whole(lease: Lease) -> list[Piece]:
    return [Piece(lease, lease.start_position, lease.end_position)]


def test_commits_that_wait_when_one_is_refused_are_sent_and_count_if_they_can(
    master: QueueMaster,
) -> None:
    commits = CountedCommits(cast(MasterClient, master), KEY, step=6)
    left = [Batch(None, ()), Batch(None, ())]

    def batches() -> Iterator[Batch]:
        while left:
            yield left.pop()

    with commits.stream:
        lost, kept = next_lease(commits), next_lease(commits)
        with master.changed:
            master.queue.give_back(WORKER, [lost.token])
        commits.send(whole(lost))
        commits.stream.flush()
        assert commits.are_refused
        commits.send(whole(kept))
        commits.give_up(batches())
        assert (left, master.held.tokens) == ([], [])
    assert [commit.step for commit in master.commits] == [7, 8]
    assert commits.step == 8
    entry = master.queue.epochs.ledger()[0]
    assert (entry.committed, entry.reports_fenced) == (4, 1)


def test_a_part_is_counted_or_refused_by_itself(master: QueueMaster) -> None:
    commits = CountedCommits(cast(MasterClient, master), KEY)
    with commits.stream:
        lost, kept = next_lease(commits), next_lease(commits)
        with master.changed:
            master.queue.give_back(WORKER, [lost.token])
        commits.fail(whole(lost), "damaged")
        # Whoever thinks this one is refused, too, removes a file that the master has counted.
        assert commits.commit_part(whole(kept), "part-0")
        assert commits.are_refused
        assert not commits.commit_part(whole(lost), "part-1")
