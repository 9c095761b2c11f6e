"""A worker's calls over a real connection, to a master that does what the test says."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_master import START, TOKEN, FakeMaster, failure
from slow_relay import slow_relay

from elasticdl_command import eventually
from elasticdl_like.errors import (
    AuthenticationError,
    JobFailedError,
    MasterLostError,
    UnknownWorkerError,
)
from elasticdl_like.proto import convert
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
    Interval,
    Lease,
    LeaseReply,
    Task,
    TaskType,
)
from elasticdl_like.time_spent import Activity, TimeSpent
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.task_stream import TaskStream
from elasticdl_like.worker.time_report import TimeReport

KEY = EpochKey(TaskType.TRAINING, 0)
TIMEOUT_S = 20.0


def granted(*tokens: int) -> Callable[[Any, grpc.ServicerContext], Any]:
    leases = [Lease(token, Task("a", 0, 4), 0, 4) for token in tokens]
    return lambda request, context: convert.lease_reply_to_proto(LeaseReply(Answer.LEASED, leases))


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    master = FakeMaster()
    yield master
    master.stop()


@pytest.fixture
def client(master: FakeMaster) -> Iterator[MasterClient]:
    client = MasterClient(MasterLocator.at(master.address, TOKEN), TIMEOUT_S, "life")
    yield client
    client.close()


def outage_log(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.message
        for each in caplog.records
        if "no answer from" in each.message or "answers again" in each.message
    ]


def test_registering_tells_where_to_begin(client: MasterClient, master: FakeMaster) -> None:
    job, start = client.register(None, "host")
    assert job.name == "job"
    assert start == START
    assert client.worker_id == 7
    assert master.calls[0].incarnation == "life"
    assert not master.calls[0].HasField("worker_id")


def test_each_client_has_an_incarnation_of_its_own_and_writes_under_it(master: FakeMaster) -> None:
    locator = MasterLocator.at(master.address, TOKEN)
    clients = [MasterClient(locator, TIMEOUT_S) for _ in range(2)]
    names = {client.temporary_name(Path("/c/checkpoint-000000007")) for client in clients}
    assert len(names) == 2
    for client in clients:
        assert Path(f"/c/.checkpoint-000000007.{client.incarnation}") in names
        client.close()


def test_a_repeated_request_is_the_same_request(client: MasterClient, master: FakeMaster) -> None:
    master.answers = [failure(grpc.StatusCode.UNAVAILABLE, "the reply got lost"), granted(5)]
    reply = client.commit_and_lease(KEY, [Commit(1, [Interval(4, 0, 2)])], 3, [9], 0.5)
    assert [lease.token for lease in reply.leases] == [5]
    assert master.calls[0] == master.calls[1]
    assert master.calls[0].sequence == 1
    client.commit_and_lease(KEY, [], 1)
    assert master.calls[2].sequence == 2


def test_a_connection_that_takes_long_to_make_is_waited_for(
    master: FakeMaster, caplog: pytest.LogCaptureFixture
) -> None:
    with slow_relay(master.address, 1.2) as address:
        client = MasterClient(MasterLocator.at(address, TOKEN), TIMEOUT_S)
        assert client.register(None, "host")[0].name == "job"
        client.close()
    assert not outage_log(caplog)


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE", "CANCELLED"])
def test_a_busy_master_is_asked_again_and_that_is_logged_once(
    client: MasterClient, master: FakeMaster, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    master.answers = 3 * [failure(grpc.StatusCode[code], "busy")]
    client.heartbeat()
    assert len(master.calls) == 4
    first, last = outage_log(caplog)
    assert first == f"no answer from the master at {master.address}, waiting: busy"
    assert last.startswith(f"the master at {master.address} answers again, after ")


@pytest.mark.parametrize(
    ("code", "error"),
    [("NOT_FOUND", UnknownWorkerError), ("ABORTED", JobFailedError)],
)
def test_an_error_that_is_an_answer_is_not_asked_for_again(
    client: MasterClient, master: FakeMaster, code: str, error: type[Exception]
) -> None:
    master.answers = [failure(grpc.StatusCode[code], "in so many words")]
    with pytest.raises(error, match=r"^in so many words$"):
        client.heartbeat()
    assert len(master.calls) == 1


def test_a_master_that_stays_silent_is_lost(master: FakeMaster) -> None:
    master.stop()
    client = MasterClient(MasterLocator.at(master.address, TOKEN), 0.5)
    with pytest.raises(MasterLostError, match=f"the master at {master.address} has not answered"):
        client.heartbeat()
    client.close()


def test_a_wrong_token_is_no_reason_to_wait(master: FakeMaster) -> None:
    client = MasterClient(MasterLocator.at(master.address, "guessed"), TIMEOUT_S)
    with pytest.raises(AuthenticationError):
        client.heartbeat()
    client.close()


def test_closing_ends_the_calls_that_wait(tmp_path: Path) -> None:
    client = MasterClient(MasterLocator.of_job(tmp_path), TIMEOUT_S)
    errors: list[Exception] = []

    def call() -> None:
        try:
            client.heartbeat()
        except MasterLostError as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    client.close()
    thread.join(TIMEOUT_S)
    assert "was closed" in str(errors)


def test_a_master_that_comes_back_elsewhere_is_found_by_every_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = MasterClient(MasterLocator.of_job(tmp_path), TIMEOUT_S)
    with ThreadPoolExecutor(4) as threads:
        # There is no master yet.
        calls = [threads.submit(client.heartbeat) for _ in range(4)]
        eventually(lambda: outage_log(caplog), TIMEOUT_S)
        first = FakeMaster()
        first.publish_endpoint(tmp_path)
        for call in calls:
            call.result(TIMEOUT_S)
        assert len(first.calls) == 4
        # It dies while it is asked, and leaves its address behind; another job gets the port.
        asked, dead = threading.Event(), threading.Event()

        def die(request: Any, context: grpc.ServicerContext) -> Any:
            asked.set()
            dead.wait(TIMEOUT_S)
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "not your job")

        first.answers = 4 * [die]
        calls = [threads.submit(client.heartbeat) for _ in range(4)]
        assert asked.wait(TIMEOUT_S)
        second = FakeMaster()
        dead.set()
        eventually(lambda: len(outage_log(caplog)) >= 3, TIMEOUT_S)
        first.stop()
        second.publish_endpoint(tmp_path)
        for call in calls:
            call.result(TIMEOUT_S)
    assert len(second.calls) >= 1
    client.heartbeat()
    client.close()
    second.stop()
    assert outage_log(caplog)[0].startswith(
        f"no answer from the master of the job in {tmp_path}, waiting: {tmp_path}/endpoint cannot"
    )


def test_a_heartbeat_lists_what_is_held_as_of_the_last_reply(
    client: MasterClient, master: FakeMaster
) -> None:
    def listed() -> tuple[int, list[int]]:
        client.heartbeat()
        return master.calls[-1].answered_sequence, list(master.calls[-1].held)

    assert listed() == (0, [])
    master.answers = [granted(5, 6, 7)]
    client.commit_and_lease(KEY, [], 3)
    assert listed() == (1, [5, 6, 7])
    client.commit_and_lease(KEY, [Commit(1, [Interval(5, 0, 4), Interval(6, 0, 2)])], 0, [7])
    assert listed() == (2, [6])
    client.abandon(KEY)
    assert listed() == (2, [])


def test_leases_that_arrive_after_their_stream_was_closed_are_not_held(
    client: MasterClient, master: FakeMaster
) -> None:
    asked, closed = threading.Event(), threading.Event()

    def answer_late(request: Any, context: grpc.ServicerContext) -> Any:
        asked.set()
        assert closed.wait(TIMEOUT_S)
        return granted(5, 6)(request, context)

    master.answers = [answer_late]
    with pytest.raises(ZeroDivisionError), TaskStream(client, KEY):  # noqa: PT012 - an error
        assert asked.wait(TIMEOUT_S)
        raise ZeroDivisionError
    closed.set()

    def told() -> tuple[int, list[int]]:
        client.heartbeat()
        return master.calls[-1].answered_sequence, list(master.calls[-1].held)

    eventually(lambda: told() == (1, []), TIMEOUT_S)


def test_a_checkpoint_is_published_with_sizes_and_sums(
    client: MasterClient, master: FakeMaster
) -> None:
    published = client.publish_checkpoint(Path("/c/.new"), 30, {"weights": (12, "ab" * 32)})
    assert published == Path("/c/done")
    request = master.calls[0]
    assert (request.written_path, request.step) == ("/c/.new", 30)
    assert {name: (each.size_bytes, each.sha256) for name, each in request.files.items()} == {
        "weights": (12, "ab" * 32)
    }


def test_the_heart_beats_on_after_an_outage_and_stops_when_the_worker_is_not_known(
    client: MasterClient, master: FakeMaster, caplog: pytest.LogCaptureFixture
) -> None:
    master.answers = [
        failure(grpc.StatusCode.UNAVAILABLE, "away"),
        lambda *_: pb.HeartbeatReply(),
        failure(grpc.StatusCode.NOT_FOUND, "who are you"),
    ]
    with Heartbeat(client, interval_s=0.01):
        eventually(lambda: "no more heartbeats: who are you" in caplog.text, TIMEOUT_S)
    assert len(master.calls) == 3


def test_a_beat_tells_where_the_time_goes(client: MasterClient, master: FakeMaster) -> None:
    now_s = itertools.count(100.0, 1.0)
    time_spent = TimeSpent(lambda: next(now_s))
    for activity in (Activity.TRAINING, Activity.RETRYING, Activity.RETRYING):
        with time_spent.measure(activity):
            pass
    with Heartbeat(client, 0.01, TimeReport(time_spent)):
        eventually(lambda: master.calls, TIMEOUT_S)
    first = master.calls[0]
    assert (first.seconds_spent["training"], first.seconds_spent["retrying"]) == (1.0, 2.0)
    assert first.num_retries == 2
    client.heartbeat()
    assert not master.calls[-1].seconds_spent
