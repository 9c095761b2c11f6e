"""The stream of leases, with a real task queue in place of the master; no port, no sleep."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import pytest
from queue_master import WORKER, QueueMaster, make_queue

from elasticdl_like.errors import LeaseLostError, MasterLostError, UnknownWorkerError
from elasticdl_like.tasks import (
    Commit,
    EpochKey,
    Interval,
    Lease,
    LeaseReply,
    LeaseRequest,
    Shard,
    TaskType,
)
from elasticdl_like.worker import task_stream
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.task_stream import Signal, TaskStream

KEY = EpochKey(TaskType.TRAINING, 0)
TIMEOUT_S = 20.0

Result = TypeVar("Result")


def within_time(function: Callable[[], Result]) -> Result:
    """Calls a function that waits, in a thread, and fails when it waits for too long."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    assert not thread.is_alive(), "it waits for ever"
    if errors:
        raise errors[0]
    return results[0]


class Clock:
    """Time as the stream sees it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(task_stream, "time", clock)
    return clock


class Master(QueueMaster):
    """A master that can fail, and be late."""

    def __init__(self, tasks: int, num_epochs: int = 1) -> None:
        super().__init__(make_queue([Shard("a", 0, 4 * tasks)], 4, num_epochs))
        self.error: Exception | None = None
        self.before_reply: Callable[[], Any] = lambda: None
        self.recall = 0

    def commit_and_lease(
        self,
        key: EpochKey,
        commits: Sequence[Commit],
        max_leases: int,
        returned: Sequence[int] = (),
        loss: float | None = None,
        step: int = 0,
    ) -> LeaseReply:
        with self.changed:
            if self.error is not None:
                raise self.error
            reply = super().commit_and_lease(key, commits, max_leases, returned, loss, step)
            self.before_reply()
            recalled, self.recall = self.recall, 0
            return dataclasses.replace(reply, recalled=recalled)

    @property
    def asked(self) -> list[int]:
        return [request.max_leases for request in self.requests]

    @property
    def losses(self) -> list[float]:
        return [request.loss for request in self.requests if request.loss is not None]

    def stream(self, key: EpochKey = KEY) -> TaskStream:
        return TaskStream(cast(MasterClient, self), key)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), "it never came"

    def wait_for_calls(self, number: int) -> None:
        self.wait_for(lambda: len(self.asked) >= number)

    def take_leases_back(self) -> None:
        with self.changed:
            self.queue.take_back(0, lost=True)

    @property
    def committed(self) -> int:
        return self.queue.epochs.ledger()[0].committed


def taken(stream: TaskStream) -> Lease:
    event = within_time(stream.next)
    assert isinstance(event, Lease)
    return event


def leases_until_signal(stream: TaskStream) -> Iterator[Lease]:
    while isinstance(event := within_time(stream.next), Lease):
        yield event


def settle(master: Master, stream: TaskStream, calls: int) -> None:
    """Waits until the stream has taken the answer to so many calls, and makes no other."""
    master.wait_for_calls(calls)
    within_time(stream.flush)


def whole(lease: Lease) -> list[Interval]:
    return [Interval(lease.token, lease.start_position, lease.end_position)]


def test_all_leases_then_flush_then_end() -> None:
    master = Master(tasks=10)
    with master.stream() as stream:
        leases = list(leases_until_signal(stream))
        assert [lease.task.start for lease in leases] == list(range(0, 40, 4))
        for step, lease in enumerate(leases, 1):
            stream.commit(step, whole(lease))
        assert within_time(stream.next) is Signal.END
        assert within_time(stream.next) is Signal.END
        assert not stream.job_ended
    assert master.committed == 40
    assert [commit.step for commit in master.commits] == list(range(1, 11))


def test_it_is_idle_from_a_flush_to_the_next_lease() -> None:
    master = Master(tasks=1)
    with master.stream() as stream:
        assert not stream.is_idle(0)
        taken(stream)
        assert not stream.is_idle(0)
        assert within_time(stream.next) is Signal.FLUSH
        # Who has not seen the flush yet has to come to it first.
        assert (stream.is_idle(0), stream.is_idle(1)) == (False, True)
        master.take_leases_back()
        again = taken(stream)
        assert not stream.is_idle(1)
        assert within_time(stream.next) is Signal.FLUSH
        assert (stream.is_idle(1), stream.is_idle(2)) == (False, True)
        stream.commit(1, whole(again))
        assert within_time(stream.next) is Signal.END
        assert not stream.is_idle(2)


def test_to_be_aligned_is_not_to_be_idle() -> None:
    master = Master(tasks=1)
    with master.stream() as stream:
        stream.align()
        assert within_time(stream.next) is Signal.FLUSH
        assert not stream.is_idle(1)
        taken(stream)
        assert within_time(stream.next) is Signal.FLUSH
        stream.align()
        assert within_time(stream.next) is Signal.FLUSH
        assert stream.is_idle(3)


def test_a_lease_that_came_and_was_recalled_ends_in_another_flush() -> None:
    master = Master(tasks=1)
    calls_with_lease = 0
    taken_by_other: list[Lease] = []

    def recall() -> None:
        nonlocal calls_with_lease
        if master.queue.epochs.ledger()[0].leases_granted == 2:
            calls_with_lease += 1
        if calls_with_lease == 2:  # the call after the one that the lease came with
            master.recall = 1
        elif calls_with_lease > 2 and not taken_by_other:
            request = LeaseRequest(WORKER + 1, "life", 1, KEY, [], 1)
            taken_by_other.extend(master.queue.request(request)[1])

    with master.stream() as stream:
        taken(stream)
        assert within_time(stream.next) is Signal.FLUSH
        master.before_reply = recall
        master.take_leases_back()
        master.wait_for(lambda: bool(taken_by_other))
        assert within_time(stream.next) is Signal.FLUSH
        assert stream.is_idle(2)


def test_the_signal_between_is_flush_and_comes_once_each_time() -> None:
    master = Master(tasks=1)
    with master.stream() as stream:
        lease = taken(stream)
        assert within_time(stream.next) is Signal.FLUSH
        # The lease goes to somebody else, is given back, and comes here again.
        master.take_leases_back()
        again = taken(stream)
        assert again.task == lease.task
        assert again.token != lease.token
        assert within_time(stream.next) is Signal.FLUSH
        stream.commit(1, whole(again))
        assert within_time(stream.next) is Signal.END


def test_after_a_flush_it_waits_instead_of_telling_again() -> None:
    master = Master(tasks=1)
    with master.stream() as stream:
        lease = taken(stream)
        assert within_time(stream.next) is Signal.FLUSH
        events: list[Lease | Signal] = []
        waiting = threading.Thread(target=lambda: events.append(stream.next()), daemon=True)
        waiting.start()
        calls = len(master.asked)
        master.wait_for_calls(calls + 2)  # it goes on asking
        assert events == []
        stream.commit(1, whole(lease))
        waiting.join(TIMEOUT_S)
        assert events == [Signal.END]


def test_a_report_with_enough_leases_at_hand_is_no_reason_to_flush(clock: Clock) -> None:
    master = Master(tasks=10)
    with master.stream() as stream:
        settle(master, stream, calls=1)
        clock.now_s += 1
        lease = taken(stream)
        settle(master, stream, calls=2)
        clock.now_s += 1
        stream.commit(1, whole(lease))
        within_time(stream.flush)
        # It had as many leases as it likes to have, and asked for none.
        assert master.asked[2:] == [0]
        # A flush here would make a batch smaller that need not be.
        rest = list(leases_until_signal(stream))
        assert len(rest) == 9


def test_commits_arrive_by_themselves_soon() -> None:
    master = Master(tasks=50)
    with master.stream() as stream:
        lease = taken(stream)
        stream.commit(1, [Interval(lease.token, 0, 1)], loss=0.5)
        stream.commit(2, [Interval(lease.token, 1, 3)])
        master.wait_for(lambda: len(master.commits) == 2)
        assert master.committed == 3
        assert master.losses == [0.5]


def test_with_all_leases_at_hand_the_last_commit_alone_hurries(clock: Clock) -> None:
    master = Master(tasks=5)
    with master.stream() as stream:
        leases = list(leases_until_signal(stream))
        positions = [(lease.token, position) for lease in leases for position in range(4)]
        for step, (token, position) in enumerate(positions, 1):
            stream.commit(step, [Interval(token, position, position + 1)])
        master.wait_for(lambda: master.committed == 20)
        # Time stands still: no call was due before.
        assert [len(request.commits) for request in master.requests if request.commits] == [20]


def test_news_that_come_during_a_call_are_no_older_than_the_call(clock: Clock) -> None:
    master = Master(tasks=50)
    with master.stream() as stream:
        lease = taken(stream)
        settle(master, stream, 1)
        calls = len(master.asked)
        master.before_reply = lambda: stream.finish_step(3)
        stream.finish_step(1)
        clock.now_s += 0.5
        stream.commit(2, [Interval(lease.token, 0, 1)])
        master.wait_for_calls(calls + 1)
        stream.commit(4, [Interval(lease.token, 1, 2)])
        stream.commit(5, [Interval(lease.token, 2, 3)])
        clock.now_s += 0.5
        stream.commit(6, [Interval(lease.token, 3, 4)])
        master.wait_for(lambda: master.committed == 4)
        sent = [[commit.step for commit in request.commits] for request in master.requests[calls:]]
        assert sent == [[2], [4, 5, 6]]


def test_flush_waits_until_everything_is_counted() -> None:
    master = Master(tasks=50)
    with master.stream() as stream:
        lease = taken(stream)
        stream.commit(1, whole(lease))
        within_time(stream.flush)
        assert master.committed == 4
        within_time(stream.flush)
        assert len(master.commits) == 1


def test_leaving_sends_what_is_left() -> None:
    master = Master(tasks=50)
    with master.stream() as stream:
        stream.commit(1, whole(taken(stream)))
    assert master.committed == 4


def test_leaving_by_an_error_does_not_wait_for_the_master() -> None:
    master = Master(tasks=50)
    stream = master.stream()

    def fail() -> None:
        with stream:
            taken(stream)
            master.error = MasterLostError("gone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        within_time(fail)


def test_a_refused_commit_is_a_lost_lease() -> None:
    master = Master(tasks=50)
    with (  # noqa: PT012 - leaving the stream raises it as well
        pytest.raises(LeaseLostError, match=r"steps \[7\] in training epoch 0"),
        master.stream() as stream,
    ):
        lease = taken(stream)
        master.take_leases_back()
        stream.commit(7, whole(lease))
        within_time(stream.flush)
    assert master.committed == 0
    with pytest.raises(LeaseLostError):
        within_time(stream.next)
    with pytest.raises(LeaseLostError):
        stream.commit(8, whole(lease))


def test_a_refused_commit_can_be_taken_note_of() -> None:
    master = Master(tasks=50)
    refused: list[int] = []
    with TaskStream(cast(MasterClient, master), KEY, refused.append) as stream:
        lease = taken(stream)
        with master.changed:
            given_up = set(master.held.tokens)
            master.take_leases_back()
        stream.commit(7, whole(lease))
        within_time(stream.flush)
        assert refused == [7]
        # What is leased from now on is not refused.
        while (later := taken(stream)).token in given_up:
            pass
        stream.commit(8, whole(later))
        within_time(stream.flush)
    assert refused == [7]
    assert master.committed == 4


@pytest.mark.parametrize("error", [MasterLostError("gone"), UnknownWorkerError("who?")])
def test_an_error_comes_out_of_every_method(error: Exception) -> None:
    master = Master(tasks=50)
    with (  # noqa: PT012 - leaving the stream raises it as well
        pytest.raises(type(error), match=f"^{re.escape(str(error))}$"),
        master.stream() as stream,
    ):
        lease = taken(stream)
        master.error = error
        stream.commit(1, whole(lease))
        for method in (stream.flush, stream.next, lambda: stream.commit(2, [])):
            with pytest.raises(type(error)):
                within_time(method)
    # Leaving the stream raises it too: what was committed last is not counted.
    assert master.committed == 0


def test_an_error_wakes_who_waits() -> None:
    master = Master(tasks=1)
    with pytest.raises(MasterLostError), master.stream() as stream:  # noqa: PT012 - as above
        taken(stream)
        assert within_time(stream.next) is Signal.FLUSH
        master.error = MasterLostError("gone")
        within_time(stream.next)


def test_closing_wakes_who_waits() -> None:
    master = Master(tasks=1)
    with master.stream() as stream:
        taken(stream)
        assert within_time(stream.next) is Signal.FLUSH
        events: list[Lease | Signal] = []
        waiting = threading.Thread(target=lambda: events.append(stream.next()), daemon=True)
        waiting.start()
        stream.close()
        waiting.join(TIMEOUT_S)
        assert events == [Signal.END]


def test_the_end_of_the_job_is_told_from_the_end_of_the_epoch() -> None:
    master = Master(tasks=1, num_epochs=2)
    with master.stream() as stream:
        stream.commit(1, whole(taken(stream)))
        assert [*leases_until_signal(stream)] == []
        assert within_time(stream.next) is Signal.END
        assert not stream.job_ended
    with master.stream(EpochKey(TaskType.TRAINING, 1)) as stream:
        lease = taken(stream)
        with master.changed:
            master.queue.stop()
        stream.commit(2, whole(lease))
        within_time(stream.flush)
        assert within_time(stream.next) is Signal.END
        assert stream.job_ended


def test_a_slow_reader_holds_few_leases(clock: Clock) -> None:
    master = Master(tasks=1000)
    with master.stream() as stream:
        for number in range(1, 30):
            settle(master, stream, calls=number)
            clock.now_s += 1
            taken(stream)
    assert master.queue.epochs.ledger()[0].leases_granted <= 29 + 2
    assert max(master.asked) == 2


def test_a_reader_that_runs_dry_is_given_more_at_a_time_up_to_a_limit() -> None:
    tasks = 2000
    master = Master(tasks)
    begun = 0

    def until_dry() -> None:
        # The answer is late: the reader has used up all there was and asks for more.
        granted = master.queue.epochs.ledger()[0].leases_granted
        if granted < tasks:
            before = given[0]
            assert master.changed.wait_for(lambda: begun > before, TIMEOUT_S)
        given[0] = granted

    given = [0]
    master.before_reply = until_dry
    with master.stream() as stream:

        def read_all() -> int:
            nonlocal begun
            leases = 0
            while True:
                with master.changed:
                    begun += 1
                    master.changed.notify_all()
                if not isinstance(stream.next(), Lease):
                    return leases
                leases += 1

        assert within_time(read_all) == tasks
        assert max(master.asked) == 64


def test_a_recalled_lease_is_given_back_from_the_end_at_once(clock: Clock) -> None:
    master = Master(tasks=3)
    with master.stream() as stream:
        first = taken(stream)
        # It has all three by now: the answer to the second call is that there are no more.
        master.wait_for_calls(2)
        clock.now_s += 1
        master.recall = 1
        stream.commit(1, whole(first))
        within_time(stream.flush)
        master.wait_for(lambda: any(request.returned for request in master.requests))
        giving_back = next(request for request in master.requests if request.returned)
        assert [len(giving_back.returned), giving_back.max_leases] == [1, 0]
        second = taken(stream)
        assert second.task.start == 4
        assert giving_back.returned[0] > second.token
        assert second.token in master.held.tokens
        assert giving_back.returned[0] not in master.held.tokens


def test_more_recalled_than_there_is_unread_gives_back_what_there_is(clock: Clock) -> None:
    master = Master(tasks=2)
    with master.stream() as stream:
        first = taken(stream)
        master.wait_for_calls(2)
        clock.now_s += 1
        master.recall = 5
        stream.commit(1, [dataclasses.replace(whole(first)[0], end_position=1)])
        master.wait_for(lambda: any(request.returned for request in master.requests))
        assert [len(each.returned) for each in master.requests if each.returned] == [1]


def test_a_problem_and_a_mark_are_told_in_their_order() -> None:
    master = Master(tasks=50)
    with master.stream() as stream:
        lease = taken(stream)
        stream.commit(1, [Interval(lease.token, 0, 1)])
        stream.fail(1, [Interval(lease.token, 1, 2)], "unreadable" + 1000 * "!")
        stream.mark(1)
        stream.commit(2, [Interval(lease.token, 2, 4)])
    told = [(each.step, bool(each.problem), each.mark) for each in master.commits]
    assert told == [(1, False, False), (1, True, False), (1, False, True), (2, False, False)]
    assert len(master.commits[1].problem) == 500
    assert master.committed == 3


def test_align_is_a_flush_after_the_leases_so_far_and_comes_once() -> None:
    master = Master(tasks=50)
    with master.stream() as stream:
        taken(stream)
        stream.align()
        assert within_time(stream.next) is Signal.FLUSH
        assert taken(stream).task.start == 4


def test_align_wakes_who_waits() -> None:
    master = Master(tasks=1)
    with master.stream() as stream:
        lease = taken(stream)
        assert within_time(stream.next) is Signal.FLUSH
        events: list[Lease | Signal] = []
        waiting = threading.Thread(target=lambda: events.append(stream.next()), daemon=True)
        waiting.start()
        stream.align()
        waiting.join(TIMEOUT_S)
        assert events == [Signal.FLUSH]
        stream.commit(1, whole(lease))


def test_leases_that_are_not_used_up_are_let_go_when_the_stream_is_left() -> None:
    master = Master(tasks=50)
    with master.stream() as stream:
        lease = taken(stream)
        stream.commit(1, [Interval(lease.token, 0, 1)])
        within_time(stream.flush)
        assert lease.token in master.held.tokens
    assert master.held.tokens == []
    assert within_time(stream.next) is Signal.END


def test_flush_of_a_closed_stream_does_not_wait_for_ever() -> None:
    master = Master(tasks=50)
    with pytest.raises(ZeroDivisionError), master.stream() as stream:  # noqa: PT012 - an error
        lease = taken(stream)
        raise ZeroDivisionError
    within_time(stream.flush)
    stream.commit(1, whole(lease))
    with pytest.raises(LeaseLostError, match="1 commits in training epoch 0 were not sent"):
        within_time(stream.flush)


def test_what_an_outage_has_piled_up_is_sent_in_parts() -> None:
    master = Master(tasks=1000)
    with master.stream() as stream:
        lease = taken(stream)
        for step in range(5000):
            stream.commit(step, [])
        stream.commit(5000, whole(lease))
        within_time(stream.flush)
        assert [commit.step for commit in master.commits] == list(range(5001))
        assert max(len(request.commits) for request in master.requests) <= 2000
