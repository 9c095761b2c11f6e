from __future__ import annotations

from job_parts import KEY, evaluation, used

from elasticdl_like.master.stragglers import StragglerWatch
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease, LeaseReply, LeaseRequest, Task

AT_STEP = evaluation(7)


def request(key: EpochKey, *commits: Commit) -> LeaseRequest:
    return LeaseRequest(0, "a", 1, key, commits, 1)


def leased(*tokens: int) -> LeaseReply:
    return LeaseReply(Answer.LEASED, [Lease(token, Task("a", 0, 8), 0, 8) for token in tokens])


WAIT = LeaseReply(Answer.WAIT)


def test_the_lease_without_progress_for_longest_is_found() -> None:
    watch = StragglerWatch()
    watch.note(request(AT_STEP), leased(1, 2, 3), 0.0)
    watch.note(request(AT_STEP, used((1, 0, 4))), leased(), 1.0)
    assert watch.slowest(AT_STEP, [1, 2, 3], 1.9) is None
    assert watch.slowest(AT_STEP, [1, 3], 2.0) == 3
    # It has time again, and what is over is not looked at.
    assert watch.slowest(AT_STEP, [1, 3], 2.5) is None
    assert watch.slowest(AT_STEP, [1, 3], 3.0) == 1
    assert watch.slowest(AT_STEP, [], 99.0) is None
    assert watch.slowest(AT_STEP, [55], 99.0) is None


def test_only_epochs_in_which_somebody_waits_now() -> None:
    watch = StragglerWatch()
    watch.note(request(AT_STEP), leased(1), 0.0)
    assert watch.keys(0.5) == []
    watch.note(request(AT_STEP), WAIT, 1.0)
    assert watch.keys(1.5) == [AT_STEP]
    assert watch.keys(2.5) == []


def test_training_is_not_split() -> None:
    watch = StragglerWatch()
    watch.note(request(KEY), leased(1), 0.0)
    watch.note(request(KEY), WAIT, 5.0)
    assert watch.keys(5.0) == []
    assert watch.slowest(KEY, [1], 5.0) is None


def test_an_evaluation_that_is_over_is_forgotten() -> None:
    watch = StragglerWatch()
    watch.note(request(AT_STEP), leased(1), 0.0)
    watch.note(request(AT_STEP), WAIT, 0.0)
    watch.note(request(AT_STEP), LeaseReply(Answer.EPOCH_ENDED), 0.5)
    assert watch.keys(0.5) == []
    assert watch.slowest(AT_STEP, [1], 9.0) is None
