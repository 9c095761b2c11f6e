"""Going back to a checkpoint, going on with other data, and the queue as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from job_parts import Record, evaluation, records_of, training, used, whole

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.plan import Mark, Plan
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease, LeaseRequest, Shard

SHARDS = (Shard("a", 0, 6), Shard("b", 10, 2))
TABLES = (SHARDS, (Shard("v", 0, 3),))
ALL = [(shard.name, index) for shard in SHARDS for index in range(shard.first, shard.end)]


def queue(num_epochs: int = 2, seed: int | None = None, start: Mark | None = None) -> TaskQueue:
    return TaskQueue(TABLES, Plan(0, 1, 2, num_epochs, seed), start)


def copy_of(one: TaskQueue, tables: Sequence[Sequence[Shard]] = TABLES) -> TaskQueue:
    copy = TaskQueue.from_plain(tables, json.loads(json.dumps(one.to_plain())))
    assert json.dumps(copy.to_plain()) == json.dumps(one.to_plain())
    return copy


def ask(one: TaskQueue, epoch: EpochKey | int, number: int = 1, worker: int = 0) -> list[Lease]:
    key = training(epoch) if isinstance(epoch, int) else epoch
    return one.request(LeaseRequest(worker, "", 1, key, max_leases=number))[1]


def answer(one: TaskQueue, epoch: int, worker: int = 0) -> Answer:
    return one.request(LeaseRequest(worker, "", 1, training(epoch), max_leases=1))[0]


def train(
    one: TaskQueue, epoch: int, step: int, number: int = 1, mark: bool = False
) -> list[Record]:
    """Uses some tasks, one a step; marks the last step if asked to. Returns the records."""
    records = []
    for each in range(number):
        leases = ask(one, epoch)
        assert one.commit(0, training(epoch), whole(step + each, leases))
        records += [record for lease in leases for record in records_of(lease)]
    if mark:
        assert one.commit(0, training(epoch), Commit(step + number - 1, [], mark=True))
    return records


def finish_epoch(one: TaskQueue, epoch: int, step: int = 100) -> list[Record]:
    found = []
    while one.epoch_number == epoch and not one.ended:
        found += train(one, epoch, step)
    return found


# Marks and adopting them.


def test_what_was_committed_after_the_mark_is_undone() -> None:
    one = queue()
    before = train(one, 0, 1, mark=True)
    one.marks.publish(1, "/c/1", 0)
    undone = train(one, 0, 2, 2)
    held = ask(one, 0)
    assert one.adopt(1).checkpoint == "/c/1"
    assert (one.last_step, one.epochs.ledger()[0].committed, one.epochs.ledger()[0].leased) == (
        1,
        2,
        0,
    )
    assert not one.commit(0, training(0), whole(3, held))
    assert sorted(before + finish_epoch(one, 0)) == sorted(ALL)
    assert undone
    assert one.epochs.ledger()[0].missing == 0


def test_the_start_can_always_be_gone_back_to() -> None:
    one = queue()
    train(one, 0, 1, 2)
    one.adopt(0)
    assert (one.last_step, one.epoch_number, one.epochs.ledger()[0].committed) == (0, 0, 0)
    assert finish_epoch(one, 0) == ALL
    assert one.epoch_number == 1
    one.adopt(0)
    assert [entry.key for entry in one.epochs.ledger()] == [training(0)]
    assert finish_epoch(one, 0) == ALL


def test_only_what_is_published_can_be_adopted() -> None:
    one = queue()
    train(one, 0, 1, mark=True)
    with pytest.raises(InvalidRequestError, match="no checkpoint of step 1 to go back to"):
        one.adopt(1)
    with pytest.raises(InvalidRequestError, match="step 2 has no mark"):
        one.marks.publish(2, "/c/2", 0)
    assert one.epochs.ledger()[0].committed == 2


def test_marks_of_undone_steps_are_gone() -> None:
    one = queue()
    train(one, 0, 1, mark=True)
    one.marks.publish(1, "/c/1", 0)
    train(one, 0, 2, mark=True)
    one.adopt(1)
    assert one.marks.find(2) is None
    with pytest.raises(InvalidRequestError, match="undone since"):
        one.marks.publish(2, "/c/2", 0)


@pytest.mark.parametrize("seed", [None, 4])
def test_back_into_an_earlier_epoch(seed: int | None) -> None:
    one = queue(3, seed)
    before = train(one, 0, 1, 2, mark=True)
    one.marks.publish(2, "/c/2", 0)
    rest = finish_epoch(one, 0)
    train(one, 1, 10)
    one.adopt(2)
    assert one.epoch_number == 0
    assert [entry.key for entry in one.epochs.ledger()] == [training(0)]
    assert answer(one, 0) is Answer.LEASED
    one.take_back(0, lost=True)
    assert sorted(before + finish_epoch(one, 0)) == sorted(before + rest) == sorted(ALL)
    for epoch in (1, 2):
        assert sorted(finish_epoch(one, epoch)) == sorted(ALL)
    assert one.ended
    assert [entry.missing for entry in one.epochs.ledger()] == [0, 0, 0]


def test_a_mark_at_the_end_of_an_epoch_is_at_the_start_of_the_next() -> None:
    one = queue()
    finish_epoch(one, 0, step=4)
    one.commit(0, training(0), Commit(4, [], mark=True))
    one.marks.publish(4, "/c/4", 0)
    train(one, 1, 5)
    one.adopt(4)
    assert (one.epoch_number, one.epochs.ledger()[0].missing, one.epochs.ledger()[1].committed) == (
        1,
        0,
        0,
    )
    assert finish_epoch(one, 1) == ALL


def test_a_mark_after_the_last_epoch() -> None:
    one = queue(1)
    finish_epoch(one, 0, step=4)
    one.commit(0, training(0), Commit(4, [], mark=True))
    one.marks.publish(4, "/c/4", 0)
    one.adopt(4)
    assert one.ended
    # With more epochs than before it goes on from there.
    one.replan(Plan(0, 1, 2, 2, None), ())
    one.adopt(4)
    assert not one.ended
    assert finish_epoch(one, 1) == ALL


@pytest.mark.parametrize("undone", [0, 1])
def test_a_stop_holds_unless_a_step_is_undone(undone: int) -> None:
    one = queue()
    train(one, 0, 1, mark=True)
    one.marks.publish(1, "/c/1", 0)
    train(one, 0, 2, undone)
    one.stop()
    assert answer(one, 0) is Answer.END
    one.adopt(1)
    assert one.ended == (undone == 0)
    assert answer(one, 0) is (Answer.LEASED if undone else Answer.END)


@pytest.mark.parametrize("keep_max", [0, 1, 2, 3, 9])
def test_the_newest_checkpoints_are_kept(keep_max: int) -> None:
    one = queue()
    dropped = []
    for step in range(1, 5):
        train(one, 0, step, mark=True)
        dropped += [mark.step for mark in one.marks.publish(step, f"/c/{step}", keep_max)]
    kept = [1, 2, 3, 4][-keep_max:] if keep_max else [1, 2, 3, 4]
    assert [mark.step for mark in one.marks.published] == [0, *kept]
    assert dropped + kept == [1, 2, 3, 4]
    one.adopt(kept[0])
    assert one.last_step == kept[0]


def test_publishing_twice_changes_nothing() -> None:
    one = queue()
    train(one, 0, 1, mark=True)
    for _ in range(2):
        assert one.marks.publish(1, "/c/1", 1) == []
    assert [mark.checkpoint for mark in one.marks.published] == ["", "/c/1"]


# Evaluations.


def test_reported_evaluations_up_to_the_step_stay_and_others_vanish() -> None:
    one = queue()
    train(one, 0, 1, mark=True)
    one.marks.publish(1, "/c/1", 0)
    for step in (1, 2):
        leases = ask(one, evaluation(step), 9)
        one.commit(0, evaluation(step), whole(step, leases))
        one.epochs.report(evaluation(step))
    ask(one, evaluation(1, epoch=5), 1)  # begun, not finished
    one.adopt(1)
    assert [entry.key for entry in one.epochs.ledger()] == [training(0), evaluation(1)]
    assert one.request(LeaseRequest(0, "", 1, evaluation(1), max_leases=1))[0] is Answer.EPOCH_ENDED
    # Step 2 comes again, and is evaluated again.
    train(one, 0, 2)
    assert len(ask(one, evaluation(2), 9)) == 2
    copy_of(one)


# Tokens, recalls.


def test_tokens_are_never_used_again_after_going_back() -> None:
    one = queue()
    tokens = {lease.token for lease in ask(one, 0, 9)}
    one.adopt(0)
    again = {lease.token for lease in ask(one, 0, 9)}
    assert not tokens & again
    assert len(tokens | again) == 8
    assert min(lease.token for lease in ask(copy_of(one), evaluation(0), 1)) > max(again)


def test_a_worker_that_waits_has_the_fullest_give_something_back() -> None:
    one = queue()
    ask(one, 0, 3, worker=1)
    (mine,) = ask(one, 0, 3, worker=2)
    assert one.recalled(1, training(0)) == 0
    assert answer(one, 0, worker=3) is Answer.WAIT
    assert [one.recalled(worker, training(0)) for worker in (1, 2, 3)] == [1, 0, 0]
    # It has been told; it is told again only when somebody waits again.
    ask(one, 0, 0, worker=1)
    assert one.recalled(1, training(0)) == 0
    assert one.commit(2, training(0), whole(1, [mine]))
    assert answer(one, 0, worker=2) is Answer.WAIT
    assert copy_of(one).recalled(1, training(0)) == one.recalled(1, training(0)) == 1


def test_which_of_two_gives_back_does_not_depend_on_how_the_state_was_reached() -> None:
    one = queue()
    for worker in (2, 1):
        ask(one, 0, 2, worker)
    copy = copy_of(one)
    for worker in (1, 2):  # now the mapping of the original has another order than the copy's
        for each in (one, copy):
            each.take_back(worker, lost=False)
            ask(each, 0, 2, worker)
    for each in (one, copy, copy_of(one)):
        assert answer(each, 0, worker=3) is Answer.WAIT
        assert [each.recalled(worker, training(0)) for worker in (1, 2)] == [1, 0]


def test_nobody_gives_back_its_only_lease() -> None:
    one = queue()
    for worker in range(4):
        ask(one, 0, 1, worker)
    assert answer(one, 0, worker=9) is Answer.WAIT
    assert [one.recalled(worker, training(0)) for worker in range(4)] == [0] * 4


# A resumed job.


@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("records_per_task", [1, 3, 100])
def test_a_job_goes_on_from_anothers_mark_with_another_task_size(
    seed: int | None, records_per_task: int
) -> None:
    first = queue(2, seed)
    before = train(first, 0, 1, 2)
    lease = ask(first, 0)[0]
    first.commit(0, training(0), used((lease.token, 0, 1), step=3))
    first.commit(0, training(0), Commit(3, [], mark=True))
    mark = first.marks.find(3)
    assert mark is not None
    mark = Mark(**json.loads(json.dumps(mark.to_plain())))
    second = TaskQueue(TABLES, Plan(0, 1, records_per_task, 2, seed), mark)
    assert (second.last_step, second.epoch_number) == (3, 0)
    rest = finish_epoch(second, 0)
    assert sorted([*before, records_of(lease)[0], *rest]) == sorted(ALL)
    assert {each.size <= records_per_task for each in ask(second, 1, 99)} == {True}
    assert second.adopt(3).step == 3
    assert sorted(finish_epoch(second, 0)) == sorted(rest)


# Other data.


def changed(one: TaskQueue, shards: Sequence[Shard], dropped: Sequence[str]) -> None:
    one.tables.add(shards)
    one.replan(Plan(len(one.tables) - 1, 1, 2, 2, None), dropped)


def test_what_is_gone_is_left_out_and_what_is_new_comes_with_the_next_epoch() -> None:
    one = queue()
    train(one, 0, 1, 3)  # all of a
    changed(one, (Shard("a", 0, 6), Shard("c", 0, 3)), ["b"])
    assert answer(one, 0) is Answer.EPOCH_ENDED
    assert (one.epochs.ledger()[0].committed, one.epochs.ledger()[0].quarantined) == (6, 2)
    assert sorted(finish_epoch(one, 1)) == [("a", i) for i in range(6)] + [
        ("c", i) for i in range(3)
    ]


def test_the_epoch_ends_even_if_nothing_else_is_left() -> None:
    one = queue()
    train(one, 0, 1, 3)
    ask(one, 0)
    one.take_back(0, lost=True)  # the last task was handed out before
    changed(one, (Shard("a", 0, 6),), ["b"])
    assert answer(one, 0) is Answer.EPOCH_ENDED
    assert answer(one, 1) is Answer.LEASED


def test_going_back_does_not_bring_back_what_is_gone() -> None:
    one = queue()
    train(one, 0, 1, 2, mark=True)
    one.marks.publish(2, "/c/2", 0)
    changed(one, (Shard("a", 0, 6),), ["b"])
    one.adopt(2)
    assert finish_epoch(copy_of(one, (*TABLES, (Shard("a", 0, 6),))), 0) == [("a", 4), ("a", 5)]
    assert ask(one, 0, 9)[0].task.shard_name == "a"
    assert ask(one, 0, 9) == []


def test_going_back_to_the_start_takes_the_data_that_is_there_now() -> None:
    one = queue()
    train(one, 0, 1, 2)
    changed(one, (Shard("a", 0, 6), Shard("c", 0, 1)), ["b"])
    one.adopt(0)
    assert finish_epoch(one, 0) == [*(("a", index) for index in range(6)), ("c", 0)]


def test_two_changes_add_up() -> None:
    one = queue()
    train(one, 0, 1)
    changed(one, (Shard("b", 10, 2),), ["a"])
    changed(one, (), ["b"])
    assert answer(one, 0) is Answer.EPOCH_ENDED
    assert one.epochs.ledger()[0].quarantined == 6


# As JSON.


def test_json_at_any_moment() -> None:
    one = queue(2, seed=8)
    for step in range(1, 12):
        epoch = one.epoch_number
        if one.ended:
            break
        leases = ask(one, epoch, 2, worker=step % 2)
        answer(one, epoch, worker=5)
        one.take_back(5, lost=True)
        copy_of(one)
        if leases:
            problem = "torn" if step % 4 == 0 else ""
            one.commit(step % 2, training(epoch), whole(step, leases[:1], problem))
            one.commit(step % 2, training(epoch), Commit(step, [], mark=True))
            one.marks.publish(step, f"/c/{step}", 2)
        ask(one, evaluation(step, epoch), 1)
        copy_of(one)
    one.stop()
    copy = copy_of(one)
    assert copy.ended
    step = one.marks.published[-1].step
    for each in (one, copy):
        each.adopt(step)
    assert json.dumps(copy.to_plain()) == json.dumps(one.to_plain())


# Size.


def test_a_billion_tasks_in_the_middle() -> None:
    tables = tuple(Shard(f"shard {number}", 0, 10**11 // 2) for number in range(10))
    plan = Plan(0, None, 500, 1, 7)
    one = TaskQueue([tables], plan)
    (early,) = ask(one, 0)
    one.commit(0, training(0), whole(1, [early]))
    one.commit(0, training(0), Commit(1, [], mark=True))
    mark = one.marks.find(1)
    assert mark is not None
    position = dict(mark.position) | {"frontier": 500_000_000}
    one = TaskQueue([tables], plan, Mark(2, 0, position, 0, 500, mark.order_key))
    for step in range(200):
        leases = ask(one, 0, 16)
        assert [lease.size for lease in leases] == [500] * 16
        assert one.commit(0, training(0), whole(step, leases))
    held = ask(one, 0, 16)
    assert one.to_plain()["epochs"][0]["state"]["frontier"] == 500_000_000 + 201 * 16
    assert len(json.dumps(one.to_plain())) < 5000
    assert len({(lease.task.shard_name, lease.task.start) for lease in held}) == 16
