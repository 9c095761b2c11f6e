"""The stream of leases, with a real task queue in place of the master; no port, no sleep."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import pytest

from elasticdl_like.errors import LeaseLostError, MasterLostError, UnknownWorkerError
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import Commit, EpochKey, Interval, Lease, Shard, TaskType
from elasticdl_like.worker import task_stream
from elasticdl_like.worker.master_client import LeaseReply, MasterClient
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


class Master:
    """What a worker knows of its master: calls that are answered by a real task queue."""

    def __init__(self, tasks: int, num_epochs: int = 1) -> None:
        self.queue = TaskQueue(ShardTable([Shard("a", 0, 4 * tasks)], 4), None, num_epochs, None)
        self.changed = threading.Condition()
        self.asked: list[int] = []
        self.commits: list[Commit] = []
        self.losses: list[float] = []
        self.error: Exception | None = None
        self.before_reply: Callable[[], Any] = lambda: None

    def commit_and_lease(
        self, key: EpochKey, commits: Sequence[Commit], max_leases: int, loss: float | None
    ) -> LeaseReply:
        with self.changed:
            if self.error is not None:
                raise self.error
            fenced = [each.step for each in commits if not self.queue.commit(0, key, each)]
            answer, leases = self.queue.request(0, key, max_leases)
            self.before_reply()
            self.asked.append(max_leases)
            self.commits += commits
            self.losses += [] if loss is None else [loss]
            self.changed.notify_all()
            return LeaseReply(answer, leases, fenced)

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
        return self.queue.ledger()[0].committed


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


def test_wait_tells_whether_there_is_more_and_takes_nothing() -> None:
    master = Master(tasks=1)
    with master.stream() as stream:
        assert within_time(stream.wait)
        assert within_time(stream.wait)
        stream.commit(1, whole(taken(stream)))
        assert not within_time(stream.wait)


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
    assert master.queue.ledger()[0].leases_granted <= 29 + 2
    assert max(master.asked) == 2


def test_a_reader_that_runs_dry_is_given_more_at_a_time_up_to_a_limit() -> None:
    tasks = 2000
    master = Master(tasks)
    begun = 0

    def until_dry() -> None:
        # The answer is late: the reader has used up all there was and asks for more.
        granted = master.queue.ledger()[0].leases_granted
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
