from __future__ import annotations

from collections.abc import Sequence

import pytest
from job_parts import evaluation, whole
from job_parts import training as key

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.plan import Plan
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease, LeaseRequest, Shard, TaskType

TABLES = ((Shard("a", 0, 6),), (Shard("v", 0, 3),))


def queue(num_epochs: int = 2, validation: bool = True, seed: int | None = None) -> TaskQueue:
    return TaskQueue(TABLES, Plan(0, 1 if validation else None, 2, num_epochs, seed))


def ask(
    of: TaskQueue, worker_id: int, key: EpochKey, max_leases: int
) -> tuple[Answer, Sequence[Lease]]:
    return of.request(LeaseRequest(worker_id, "", 1, key, max_leases=max_leases))


def test_a_job_of_two_epochs() -> None:
    one = queue()
    for epoch in (0, 1):
        answer, leases = ask(one, 5, key(epoch), 10)
        assert answer is Answer.LEASED
        assert [lease.task.start for lease in leases] == [0, 2, 4]
        assert {lease.task.epoch for lease in leases} == {epoch}
        assert ask(one, 5, key(epoch), 10) == (Answer.WAIT, [])
        assert ask(one, 6, key(epoch), 1) == (Answer.WAIT, [])
        assert not one.ended
        assert one.commit(5, key(epoch), whole(epoch + 1, leases))
        assert one.epoch_number == epoch + 1
        assert one.last_step == epoch + 1
    assert one.ended
    assert ask(one, 6, key(1), 1) == (Answer.EPOCH_ENDED, [])
    assert ask(one, 6, key(2), 1) == (Answer.END, [])
    assert [entry.missing for entry in one.epochs.ledger()] == [0, 0]
    last = one.epochs.last()
    assert last is not None
    assert last.ledger() == one.epochs.ledger()[1]


def test_no_more_leases_than_asked_for() -> None:
    one = queue()
    assert len(ask(one, 0, key(0), 2)[1]) == 2
    assert len(ask(one, 0, key(0), 2)[1]) == 1


def test_a_report_that_asks_for_nothing_is_not_told_to_wait() -> None:
    one = queue()
    assert ask(one, 0, key(0), 0) == (Answer.LEASED, [])
    ask(one, 0, key(0), 1)
    assert ask(one, 0, key(0), 0) == (Answer.LEASED, [])
    assert one.epochs.ledger()[0].leases_granted == 1


def test_tokens_are_never_used_again() -> None:
    one = queue()
    tokens = []
    for epoch in (0, 1):
        _, leases = ask(one, 0, key(epoch), 1)
        tokens += [lease.token for lease in leases]
        one.take_back(0, lost=True)
        _, leases = ask(one, 1, key(epoch), 3)
        tokens += [lease.token for lease in leases]
        one.commit(1, key(epoch), whole(1, leases))
        _, leases = ask(one, 1, evaluation(epoch), 3)
        tokens += [lease.token for lease in leases]
    assert len(set(tokens)) == len(tokens) == 12


def test_a_worker_cannot_be_ahead() -> None:
    one = queue()
    with pytest.raises(InvalidRequestError, match=r"training epoch 1, but epoch 0 has not ended"):
        ask(one, 3, key(1), 1)


def test_a_worker_that_is_behind_is_told() -> None:
    one = queue()
    one.commit(0, key(0), whole(1, ask(one, 0, key(0), 3)[1]))
    assert ask(one, 1, key(0), 1) == (Answer.EPOCH_ENDED, [])


def test_a_commit_in_an_epoch_that_never_began() -> None:
    for wrong in (key(1), key(5), evaluation(1)):
        with pytest.raises(InvalidRequestError, match="which never began"):
            queue().commit(0, wrong, Commit(1, []))


def test_a_late_commit_of_an_ended_epoch_is_fenced() -> None:
    one = queue()
    (stale,) = ask(one, 0, key(0), 1)[1]
    one.take_back(0, lost=True)
    one.commit(1, key(0), whole(1, ask(one, 1, key(0), 3)[1]))
    before = one.epochs.ledger()[1:]
    assert not one.commit(0, key(0), whole(9, [stale]))
    assert not one.commit(0, key(1), whole(9, [stale]))
    assert one.last_step == 1
    assert [entry.committed for entry in one.epochs.ledger()] == [6, 0]
    assert [entry.reports_fenced for entry in one.epochs.ledger()] == [1, 1]
    assert before[0].committed == 0


def test_the_last_step_never_goes_back() -> None:
    one = queue()
    for worker, step in ((0, 5), (1, 3)):
        one.commit(worker, key(0), whole(step, ask(one, worker, key(0), 1)[1]))
    assert one.last_step == 5


def test_stop() -> None:
    one = queue()
    _, leases = ask(one, 0, key(0), 1)
    one.stop()
    assert one.ended
    assert ask(one, 1, key(0), 1) == (Answer.END, [])
    # What was under way still counts, and the model may still be evaluated.
    assert one.commit(0, key(0), whole(1, leases))
    assert one.epochs.ledger()[0].committed == 2
    assert ask(one, 0, evaluation(1), 1)[0] is Answer.LEASED


def test_an_evaluation_is_opened_by_its_first_request_and_never_shuffled() -> None:
    one = queue(1, seed=3)
    _, leases = ask(one, 0, evaluation(7), 5)
    assert [(lease.task.start, lease.order_key) for lease in leases] == [(0, None), (2, None)]
    assert {lease.task.type for lease in leases} == {TaskType.EVALUATION}
    assert ask(one, 1, evaluation(7), 5) == (Answer.WAIT, [])
    assert one.commit(0, evaluation(7), whole(7, leases))
    assert ask(one, 0, evaluation(7), 5) == (Answer.EPOCH_ENDED, [])
    assert ask(one, 0, evaluation(8), 5)[0] is Answer.LEASED
    assert one.last_step == 0  # evaluating is not a step of training
    assert one.epoch_number == 0


def test_nothing_to_evaluate_or_predict() -> None:
    assert ask(queue(validation=False), 0, evaluation(1), 1) == (Answer.END, [])
    prediction = EpochKey(TaskType.PREDICTION, 0)
    assert ask(queue(), 0, prediction, 1) == (Answer.END, [])


def test_a_lost_worker_loses_its_evaluation_too() -> None:
    one = queue()
    ask(one, 0, key(0), 3)
    ask(one, 0, evaluation(1), 2)
    one.take_back(0, lost=True)
    assert [entry.leased for entry in one.epochs.ledger()] == [0, 0]
    assert [entry.leases_lost for entry in one.epochs.ledger()] == [3, 2]
    assert len(ask(one, 1, evaluation(1), 9)[1]) == 2


def test_the_ledger_lists_each_epoch_before_its_evaluations() -> None:
    one = queue()
    ask(one, 0, evaluation(30), 1)
    ask(one, 0, evaluation(9), 1)
    one.commit(0, key(0), whole(1, ask(one, 0, key(0), 3)[1]))
    ask(one, 0, evaluation(60, epoch=1), 1)
    assert [entry.key for entry in one.epochs.ledger()] == [
        key(0),
        evaluation(9),
        evaluation(30),
        key(1),
        evaluation(60, epoch=1),
    ]
