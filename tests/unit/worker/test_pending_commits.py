"""Commits that wait: which of them become one, and how many go together."""

from __future__ import annotations

from elasticdl_like.tasks import Commit, Interval
from elasticdl_like.worker.pending_commits import PendingCommits


def taken(*commits: Commit) -> list[Commit]:
    pending = PendingCommits()
    for each in commits:
        pending.append(each)
    return pending.take()


def test_successive_commits_with_sums_become_one() -> None:
    first = Commit(1, [Interval(7, 0, 3)], sums=[1.0, 2.0])
    second = Commit(2, [Interval(7, 3, 5), Interval(8, 0, 1)], sums=[10.0, 20.0])
    third = Commit(3, [Interval(8, 2, 3)], sums=[100.0, 200.0])
    assert taken(first, second, third) == [
        Commit(3, [Interval(7, 0, 5), Interval(8, 0, 1), Interval(8, 2, 3)], sums=[111.0, 222.0])
    ]


def test_others_stay_what_they_are_and_where_they_are() -> None:
    commits = [
        Commit(1, [Interval(7, 0, 3)], sums=[1.0]),
        Commit(2, [Interval(7, 3, 4)], "damaged"),
        Commit(3, [Interval(7, 4, 5)], sums=[1.0]),
        Commit(4, [Interval(7, 5, 6)]),
        Commit(5, [Interval(7, 6, 7)]),
        Commit(6, [], mark=True),
    ]
    assert taken(*commits) == commits


def test_no_more_at_once_than_a_request_may_hold() -> None:
    pending = PendingCommits()
    for number in range(4500):
        pending.append(Commit(number, [Interval(number, 0, 1)]))
    assert [len(pending.take()) for _ in range(4)] == [2000, 2000, 500, 0]
    large = [0.0] * 200_000
    for number in range(3):
        pending.append(Commit(2 * number, [Interval(number, 0, 1)], sums=large))
        pending.append(Commit(2 * number + 1, [Interval(number, 1, 2)], "damaged"))
    assert [len(pending.take()) for _ in range(4)] == [2, 2, 2, 0]
