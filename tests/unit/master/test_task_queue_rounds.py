"""Commits in rounds: tentative, firm, and what becomes of them when the round ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from job_parts import evaluation, training, used, whole

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.plan import Mark, Plan
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Answer, Commit, EpochKey, Interval, Lease, LeaseRequest, Shard

TABLES = ((Shard("a", 0, 12),), (Shard("v", 0, 2),))
KEY = training(0)


def queue(members: Sequence[int] = (0, 1), num_epochs: int = 2) -> TaskQueue:
    """A queue of tasks of 4 records, whose first round has begun."""
    one = TaskQueue(TABLES, Plan(0, 1, 4, num_epochs, None))
    one.begin_round(members)
    return one


def ask(one: TaskQueue, worker: int, number: int = 1, key: EpochKey = KEY) -> list[Lease]:
    return one.request(LeaseRequest(worker, "", 1, key, max_leases=number))[1]


def answer(one: TaskQueue, worker: int, key: EpochKey = KEY) -> Answer:
    return one.request(LeaseRequest(worker, "", 1, key, max_leases=1))[0]


def use(step: int, *intervals: tuple[int, int, int]) -> StepUse:
    return StepUse(step, [Interval(*each) for each in intervals])


def account(one: TaskQueue, number: int = 0) -> tuple[int, int, int, int]:
    """Returns what is committed, tentative, leased and waiting."""
    entry = one.epochs.ledger()[number]
    assert one.to_plain() == TaskQueue.from_plain(TABLES, copied(one)).to_plain()
    return entry.committed, entry.tentative, entry.leased, entry.waiting


def copied(one: TaskQueue) -> dict[str, object]:
    plain: dict[str, object] = json.loads(json.dumps(one.to_plain()))
    return plain


def waiting(mark: Mark | None) -> list[tuple[int, int, int]]:
    """Returns the task, start and end of each piece that waits in a mark."""
    assert mark is not None
    return [(task, start, end) for task, start, end, *_ in mark.position["waiting"]]


def held(one: TaskQueue, step: int) -> list[tuple[int, int, int]]:
    return waiting(one.marks.adoptable(step))


def report(one: TaskQueue, step: int, members: Sequence[int] = (0, 1)) -> None:
    for member in members:
        one.report_step(member, step)


def two_leases(one: TaskQueue) -> tuple[int, int]:
    """Leases a task to each of workers 0 and 1; returns the tokens."""
    (first,), (second,) = ask(one, 0), ask(one, 1)
    return first.token, second.token


def test_a_member_leaves_as_many_leases_to_each_other() -> None:
    one = TaskQueue(TABLES, Plan(0, 1, 1, 1, None))
    one.begin_round([0, 1, 2])
    first = ask(one, 0, 12)
    assert len(first) == 4
    assert answer(one, 0) is Answer.WAIT
    one.commit(0, KEY, whole(1, first[:1]))
    assert len(ask(one, 0, 12)) == 1
    assert (len(ask(one, 1, 12)), len(ask(one, 2, 12))) == (4, 3)


# Firm steps.


def test_a_step_is_counted_when_every_member_has_finished_it() -> None:
    one = queue()
    a, b = two_leases(one)
    assert one.commit(0, KEY, used((a, 0, 2), step=1))
    assert one.commit(1, KEY, used((b, 0, 4), step=1))
    assert one.commit(0, KEY, used((a, 2, 3), step=2))
    assert (account(one), one.firm_step) == ((0, 7, 1, 4), 0)
    one.report_step(0, 2)
    assert (account(one), one.firm_step) == ((0, 7, 1, 4), 0)
    one.report_step(1, 1)
    assert (account(one), one.firm_step) == ((6, 1, 1, 4), 1)
    one.report_step(1, 2)
    assert (account(one), one.firm_step, one.last_step) == ((7, 0, 1, 4), 2, 2)


def test_without_a_round_everything_is_firm_at_once() -> None:
    one = TaskQueue(TABLES, Plan(0, 1, 4, 1, None))
    one.commit(0, KEY, whole(3, ask(one, 0)))
    assert (account(one), one.firm_step) == ((4, 0, 0, 8), 3)
    one.begin_round([0])
    one.commit(0, KEY, whole(4, ask(one, 0)))
    assert (account(one), one.firm_step) == ((4, 4, 0, 4), 3)


def test_the_epoch_ends_when_all_of_it_is_firm() -> None:
    one = queue()
    one.commit(0, KEY, whole(1, ask(one, 0, 2)))
    one.commit(0, KEY, whole(1, ask(one, 0)))
    assert answer(one, 1) is Answer.WAIT
    one.report_step(0, 1)
    assert (answer(one, 0), one.epoch_number) == (Answer.WAIT, 0)
    one.report_step(1, 1)
    assert (answer(one, 0), one.epoch_number) == (Answer.EPOCH_ENDED, 1)
    assert one.epochs.ledger()[0].missing == 0


def test_commits_are_checked_against_what_is_reported() -> None:
    one = queue()
    a, b = two_leases(one)
    assert one.commit(0, KEY, used((a, 0, 2), step=1))
    for wrong in (used((a, 0, 2), step=2), used((a, 3, 4), step=2), used((a, 2, 2), step=2)):
        with pytest.raises(InvalidRequestError, match="whose next positions are"):
            one.commit(0, KEY, wrong)
    assert not one.commit(1, KEY, used((a, 2, 4), step=1))
    assert one.commit(0, KEY, used((a, 2, 4), step=2))
    assert not one.commit(0, KEY, used((a, 2, 4), step=2))  # the lease is used up
    assert list(one.epochs.live_tokens(KEY)) == [b]
    assert one.unlisted(1, 1, ()) == []  # it belongs to the round
    assert account(one) == (0, 4, 4, 4)
    assert one.epochs.ledger()[0].reports_fenced == 2


def test_a_commit_of_a_step_that_was_reported_is_refused() -> None:
    one = queue()
    (lease,) = ask(one, 0)
    one.report_step(0, 2)
    with pytest.raises(InvalidRequestError, match="after it has reported step 2"):
        one.commit(0, KEY, whole(1, [lease]))
    with pytest.raises(InvalidRequestError, match="worker 9 commits step 3"):
        one.commit(9, KEY, whole(3, ask(one, 9)))


def test_what_no_step_uses_is_counted_at_once_when_the_step_before_is_firm() -> None:
    one = queue()
    a, b = two_leases(one)
    one.commit(0, KEY, used((a, 0, 1), step=1))
    report(one, 1)
    assert one.commit(0, KEY, used((a, 1, 4), step=1))
    assert one.commit(1, KEY, used((b, 0, 4), step=1, problem="torn"))
    assert account(one) == (4, 0, 0, 8)


def test_a_problem_counts_when_its_step_is_firm() -> None:
    one = queue()
    a, _ = two_leases(one)
    one.commit(0, KEY, used((a, 0, 2), step=1))
    one.commit(0, KEY, used((a, 2, 4), step=1, problem="torn"))
    assert account(one) == (0, 4, 4, 4)
    report(one, 1)
    assert account(one) == (2, 0, 4, 6)
    # In halves, before what nobody has had yet.
    again = [*ask(one, 0, 2), *ask(one, 1)]
    assert [(each.start_position, each.end_position) for each in again] == [(2, 3), (3, 4), (0, 4)]


def test_a_mark_is_the_position_after_its_step() -> None:
    one = queue()
    a, b = two_leases(one)
    one.commit(0, KEY, used((a, 0, 2), step=1))
    one.commit(0, KEY, Commit(1, [], mark=True))
    one.commit(0, KEY, used((a, 2, 3), step=2))
    one.commit(1, KEY, used((b, 0, 1), step=1))
    one.report_step(0, 2)
    assert one.marks.find(1) is None
    report(one, 2)  # steps 1 and 2 become firm together
    assert waiting(one.marks.find(1)) == [(0, 2, 4), (1, 1, 4)]
    one.commit(0, KEY, Commit(2, [], mark=True))
    assert waiting(one.marks.find(2)) == [(0, 3, 4), (1, 1, 4)]


def test_evaluations_are_counted_at_once() -> None:
    one = queue()
    key = evaluation(1)
    assert one.commit(0, key, whole(1, ask(one, 0, 9, key)))
    assert account(one, 1) == (2, 0, 0, 0)
    assert answer(one, 0, key) is Answer.EPOCH_ENDED


def test_leases_of_a_lost_member_stay_until_the_round_ends() -> None:
    one = queue()
    a, _ = two_leases(one)
    ask(one, 1, 1, evaluation(0))
    one.take_back(1, lost=True)
    assert (account(one), account(one, 1)) == ((0, 0, 8, 4), (0, 0, 0, 2))
    one.end_round([0], [], lost=[1])
    assert (account(one), one.epochs.ledger()[0].leases_lost) == ((0, 0, 0, 12), 1)
    assert not one.commit(0, KEY, used((a, 0, 1), step=1))


def test_what_is_left_of_a_lease_can_be_given_back() -> None:
    one = queue()
    a, _ = two_leases(one)
    one.commit(0, KEY, used((a, 0, 1), step=1))
    one.give_back(0, [a])
    assert account(one) == (0, 1, 4, 7)
    assert not one.commit(0, KEY, used((a, 1, 2), step=1))
    report(one, 1)
    assert account(one) == (1, 0, 4, 7)


# The end of a round.


def test_each_step_that_survives_is_held_and_later_ones_are_dropped() -> None:
    one = queue((0, 1, 2))
    a, b = two_leases(one)
    one.commit(0, KEY, used((a, 0, 2), step=1))
    one.commit(1, KEY, used((b, 0, 1), step=1))
    one.commit(1, KEY, used((b, 1, 2), step=2))
    one.commit(1, KEY, used((b, 2, 4), step=3))
    one.end_round([2, 1], [], lost=[1])
    assert (account(one), one.last_step) == ((4, 0, 0, 8), 2)
    assert one.adoptable_steps == [0, 1, 2]
    assert held(one, 1) == [(0, 2, 4), (1, 1, 4)]
    assert held(one, 2) == [(0, 2, 4), (1, 2, 4)]
    assert one.epochs.ledger()[0].leases_lost == 0  # of worker 1 nothing was left to use
    one.adopt(1)
    assert (account(one), one.last_step) == ((3, 0, 0, 9), 1)
    assert one.adoptable_steps == [0, 1]


def test_uses_count_whether_they_were_committed_or_not() -> None:
    one = queue()
    a, b = two_leases(one)
    one.commit(0, KEY, used((a, 0, 2), step=1))
    one.commit(0, KEY, used((a, 2, 3), step=2))
    # Worker 1 is gone, with the same two steps unsent and a record that it could not use.
    uses = [use(1, (a, 0, 2), (b, 0, 1)), use(2, (b, 2, 4))]
    one.end_round([1, 2], [*uses, *uses], lost=[1])
    assert (account(one), one.last_step) == ((6, 0, 0, 6), 2)
    assert held(one, 1) == [(0, 2, 4), (1, 1, 4)]
    assert held(one, 2) == [(0, 3, 4), (1, 1, 2)]
    assert one.epochs.ledger()[0].leases_lost == 1


def test_uses_of_firm_steps_were_counted_and_those_of_dropped_ones_are_not() -> None:
    one = queue()
    a, b = two_leases(one)
    one.commit(0, KEY, used((a, 0, 4), step=1))
    report(one, 1)
    one.end_round([2], [use(1, (a, 0, 4)), use(2, (b, 0, 1)), use(3, (b, 1, 4))])
    assert (account(one), one.last_step) == ((5, 0, 0, 7), 2)


def test_a_problem_up_to_the_last_step_counts() -> None:
    one = queue()
    a, b = two_leases(one)
    one.commit(0, KEY, used((a, 0, 2), step=1, problem="torn"))
    one.commit(0, KEY, used((a, 2, 3), step=2))
    one.commit(1, KEY, used((b, 0, 2), step=3, problem="torn"))
    one.end_round([2], [])
    assert account(one) == (1, 0, 0, 11)
    assert held(one, 2) == [(0, 0, 1), (0, 1, 2), (0, 3, 4), (1, 0, 4)]


def test_when_no_state_survives_nothing_more_is_firm() -> None:
    one = queue()
    a, b = two_leases(one)
    one.commit(0, KEY, used((a, 0, 2), step=1))
    report(one, 1)
    one.commit(0, KEY, used((a, 2, 4), step=2))
    one.end_round([], [use(2, (b, 0, 1))], lost=[0, 1])
    assert (account(one), one.last_step, one.adoptable_steps) == ((2, 0, 0, 10), 1, [0])
    one.adopt(0)
    assert account(one) == (0, 0, 0, 12)


def test_an_earlier_step_than_the_firm_one_is_not_held() -> None:
    one = queue()
    report(one, 5)
    one.end_round([4], [])
    assert (one.last_step, one.adoptable_steps) == (5, [0])


def test_the_epoch_may_end_with_the_round() -> None:
    one = queue()
    one.commit(0, KEY, whole(1, ask(one, 0, 2)))
    last = ask(one, 0)[0].token
    one.end_round([1, 2, 3], [use(2, (last, 0, 4)), use(3, (last, 3, 4))])
    assert (account(one), account(one, 1)) == ((12, 0, 0, 0), (0, 0, 0, 12))
    assert one.epoch_number == 1
    marks = [one.marks.adoptable(step) for step in (1, 2, 3)]
    assert [mark.epoch for mark in marks if mark] == [0, 1, 1]
    one.adopt(1)
    assert (account(one), one.epoch_number, len(one.epochs.ledger())) == ((8, 0, 0, 4), 0, 1)


def test_a_round_may_end_after_the_last_epoch() -> None:
    one = queue(num_epochs=1)
    (lease, *_) = leases = ask(one, 0, 2)
    one.commit(0, KEY, whole(1, leases))
    one.commit(0, KEY, whole(1, ask(one, 0)))
    report(one, 1)
    with pytest.raises(InvalidRequestError, match="step 2"):
        one.end_round([1], [use(2, (lease.token, 0, 1))])
    one.end_round([1], [use(1, (lease.token, 0, 1))])
    one.adopt(1)
    assert one.ended
    assert one.epochs.ledger()[0].missing == 0


@pytest.mark.parametrize(
    "interval",
    [
        (99, 0, 1),
        (1, 0, 5),
        (1, 3, 3),
        (1, -1, 1),
        (2, 0, 2),  # its owner could not use the first
        (3, 0, 1),  # given back
    ],
)
def test_uses_that_cannot_be_are_refused_and_change_nothing(interval: tuple[int, int, int]) -> None:
    one = queue((0, 1, 2))
    a, b = two_leases(one)
    ask(one, 2)
    assert (a, b) == (1, 2)
    one.commit(0, KEY, used((a, 0, 2), step=1))
    one.commit(1, KEY, used((b, 0, 1), step=1, problem="torn"))
    one.give_back(2, [3])
    before = one.to_plain()
    token, start, end = interval
    with pytest.raises(
        InvalidRequestError,
        match=rf"step 2 has used positions \[{start}, {end}\) of lease {token}, it is said",
    ):
        one.end_round([2], [use(1, (a, 2, 3)), use(2, interval)])
    assert one.to_plain() == before
    one.end_round([1], [use(1, (a, 2, 3))])
    assert account(one) == (3, 0, 0, 9)


def test_evaluations_that_are_not_reported_are_dropped() -> None:
    one = queue()
    for step in (1, 2, 3):
        one.commit(0, evaluation(step), whole(step, ask(one, 0, 9, evaluation(step))))
    one.epochs.report(evaluation(1))
    one.epochs.report(evaluation(3))
    one.end_round([2], [])
    assert [entry.key for entry in one.epochs.ledger()] == [KEY, evaluation(1)]


def test_nobody_is_asked_to_share_any_more() -> None:
    one = queue()
    ask(one, 0, 2)
    one.commit(1, KEY, whole(1, ask(one, 1)))
    assert answer(one, 1) is Answer.WAIT
    assert one.recalled(0, KEY) == 1
    one.end_round([0], [])
    plain = one.to_plain()
    assert (plain["recalled"], plain["idle"]) == ([], [])


@pytest.mark.parametrize("last", [1, 2])
def test_a_stop_holds_unless_a_step_is_undone(last: int) -> None:
    one = queue()
    (lease,) = ask(one, 0)
    one.commit(0, KEY, used((lease.token, 0, 1), step=2))
    one.report_step(0, 2)
    one.stop()
    one.end_round([last], [])
    one.adopt(last)
    assert one.ended == (last == 2)


# Held marks.


def test_held_marks_are_dropped_when_a_later_step_is_firm() -> None:
    one = queue()
    one.end_round([1, 2], [])
    one.adopt(2)
    one.begin_round([0, 1])
    one.report_step(0, 3)
    assert one.adoptable_steps == [0, 1, 2]
    one.report_step(1, 3)
    assert one.adoptable_steps == [0]


def test_the_next_round_may_go_back_behind_its_start() -> None:
    one = queue()
    a, _ = two_leases(one)
    one.end_round([1, 2], [use(1, (a, 0, 1)), use(2, (a, 1, 2))])
    one.adopt(2)
    one.begin_round([0, 1])
    one.end_round([1], [], lost=[0])  # the one that had the state of step 2
    assert one.last_step == 2
    one.adopt(1)
    assert (account(one), one.last_step) == ((1, 0, 0, 11), 1)


def test_only_so_many_marks_are_held() -> None:
    one = queue()
    for step in range(1, 40):
        one.end_round([step], [])
        one.adopt(step)
        one.begin_round([0])
    assert one.adoptable_steps == [0, *range(24, 40)]


def test_a_held_mark_of_a_published_step_names_its_checkpoint() -> None:
    one = queue()
    a, _ = two_leases(one)
    one.commit(0, KEY, Commit(1, [], mark=True))
    report(one, 1)
    one.marks.publish(1, "/c/1", 0)
    one.commit(0, KEY, used((a, 0, 1), step=1))  # used up without a step
    one.end_round([1], [])
    assert one.adopt(1).checkpoint == "/c/1"
    assert account(one) == (1, 0, 0, 11)


def test_held_marks_do_without_a_shard_that_is_gone() -> None:
    one = TaskQueue(((Shard("a", 0, 4), Shard("b", 0, 4)),), Plan(0, None, 4, 1, None))
    one.begin_round([0])
    one.commit(0, KEY, whole(1, ask(one, 0)))
    one.end_round([1], [])
    one.tables.add((Shard("a", 0, 4),))
    one.replan(Plan(1, None, 4, 1, None), ["b"])
    one.adopt(1)
    assert answer(one, 0) is Answer.EPOCH_ENDED
    assert (one.epochs.ledger()[0].committed, one.epochs.ledger()[0].quarantined) == (4, 4)


# What cannot be.


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda one: one.begin_round([0]), "before the former one has ended"),
        (lambda one: one.adopt(0), "before the round has ended"),
        (lambda one: one.report_step(7, 1), "worker 7 reports step 1"),
    ],
)
def test_what_cannot_be_done_in_a_round(call: Callable[[TaskQueue], None], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        call(queue())


@pytest.mark.parametrize(
    "call", [lambda one: one.report_step(0, 1), lambda one: one.end_round([0], [])]
)
def test_what_cannot_be_done_without_a_round(call: Callable[[TaskQueue], None]) -> None:
    one = queue()
    one.end_round([], [])
    with pytest.raises(InvalidRequestError, match="there is no round"):
        call(one)


def test_a_snapshot_of_an_earlier_release_has_no_rounds() -> None:
    one = TaskQueue(TABLES, Plan(0, 1, 4, 1, None))
    ask(one, 0)
    plain = json.loads(json.dumps(one.to_plain()))
    del plain["round"], plain["held_marks"]
    for each in plain["epochs"]:
        del each["state"]["tentative"], each["state"]["done_leases"]
    assert TaskQueue.from_plain(TABLES, plain).to_plain() == one.to_plain()
