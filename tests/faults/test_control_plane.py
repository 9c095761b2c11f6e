"""What others on the network can do to a master: nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import (
    AuthenticationError,
    ElasticdlError,
    InvalidRequestError,
    JobFailedError,
    JournalWriteError,
    MasterUnavailableError,
)
from elasticdl_like.master import call_gate
from elasticdl_like.master.server import serve
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import open_channel
from elasticdl_like.proto.status_codes import error_from_status
from recording_job import RecordingJob

TOKEN = "the-right-token"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
METHODS = list(pb.DESCRIPTOR.services_by_name["Master"].methods)
LEASE_METHOD = "/elasticdl.Master/CommitAndLease"
TIMEOUT_S = 20


@pytest.fixture
def job() -> RecordingJob:
    return RecordingJob()


@pytest.fixture
def address(job: RecordingJob) -> Iterator[str]:
    with serve(job.as_job(), "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address:
        yield address


def ask(address: str, times: int = 1, tls: TlsConfig | None = None) -> None:
    """Does what a worker does, over a new connection; raises what a worker would be told."""
    with open_channel(address, TOKEN, tls or TlsConfig()) as channel:
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        for _ in range(times):
            try:
                stub.CommitAndLease(pb.CommitAndLeaseRequest(), timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                raise as_told(error) from error


def as_told(error: grpc.RpcError) -> ElasticdlError:
    return error_from_status(error.code(), error.details() or "")


def call_raw(address: str, method: str, body: bytes, metadata: Any, **options: Any) -> bytes:
    unlimited = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, unlimited) as channel:
        call = channel.unary_unary(method)
        try:
            reply: bytes = call(body, timeout=TIMEOUT_S, metadata=metadata, **options)
        except grpc.RpcError as error:
            raise as_told(error) from error
        return reply


# --- the token ---


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_no_method_answers_without_the_token(address: str, job: RecordingJob, method: Any) -> None:
    name = f"/elasticdl.Master/{method.name}"
    for metadata in (
        (),
        (("authorization", ""),),
        (("authorization", TOKEN),),
        (("authorization", f"Bearer {TOKEN[:-1]}"),),
        (("authorization", f"Bearer {TOKEN}x"),),
        (("authorization", f"bearer {TOKEN}"),),
        (("authorization-bin", f"Bearer {TOKEN}".encode()),),
        (("token", TOKEN),),
    ):
        with pytest.raises(AuthenticationError, match="JOB_DIR/token"):
            call_raw(address, name, b"", metadata)
    assert job.calls == []
    reply = call_raw(address, name, b"", METADATA)
    GetMessageClass(method.output_type).FromString(reply)
    assert len(job.calls) == 1


def test_an_unknown_method_is_refused_either_way(address: str) -> None:
    with pytest.raises(AuthenticationError):
        call_raw(address, "/elasticdl.Master/Nothing", b"", ())
    with pytest.raises(ElasticdlError, match="Method not found"):
        call_raw(address, "/elasticdl.Master/Nothing", b"", METADATA)


# --- what does not belong ---


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(range(256)) * 8,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x01\x04\x00\x00\x00\x01",
        os.urandom(1 << 16),
        b"\x00" * (1 << 20),
    ],
    ids=["http1", "tls", "broken_http2", "endless_frame", "random", "zeros"],
)
def test_garbage_does_no_harm(address: str, job: RecordingJob, garbage: bytes) -> None:
    host, port = address.split(":")
    with ExitStack() as stack:
        for _ in range(5):
            connection = stack.enter_context(socket.create_connection((host, int(port)), TIMEOUT_S))
            try:
                connection.sendall(garbage)
            except OSError:
                continue  # it hung up in the middle, as it may
        ask(address)
    assert job.calls == ["commit_and_lease"]


def test_hundreds_of_silent_connections_do_no_harm(address: str) -> None:
    host, port = address.split(":")
    with ExitStack() as stack:
        for number in range(400):
            connection = stack.enter_context(socket.create_connection((host, int(port)), TIMEOUT_S))
            if number % 2:
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        ask(address, times=20)


def test_a_body_that_is_no_message_is_refused(address: str, job: RecordingJob) -> None:
    with pytest.raises(InvalidRequestError, match="not a CommitAndLeaseRequest"):
        call_raw(address, LEASE_METHOD, b"\xff" * 100, METADATA)
    assert job.calls == []


@pytest.mark.parametrize("size_bytes", [(4 << 20) + 1, 64 << 20])
def test_a_message_that_is_too_large_is_refused_for_good(
    address: str, job: RecordingJob, size_bytes: int
) -> None:
    with pytest.raises(InvalidRequestError, match="larger than max"):
        call_raw(address, LEASE_METHOD, bytes(size_bytes), METADATA)
    assert job.calls == []
    ask(address)


def test_the_client_does_not_even_send_it(address: str, job: RecordingJob) -> None:
    request = pb.RegisterRequest(description="x" * (5 << 20))
    with open_channel(address, TOKEN, TlsConfig()) as channel:
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as caught:
            stub.Register(request, timeout=TIMEOUT_S)
    assert isinstance(as_told(caught.value), InvalidRequestError)
    assert job.calls == []


def test_nothing_is_unpacked(address: str, job: RecordingJob) -> None:
    bomb = pb.RegisterRequest(description="x" * (2 << 20)).SerializeToString()
    with pytest.raises(ElasticdlError, match="ompress"):
        call_raw(
            address, "/elasticdl.Master/Register", bomb, METADATA, compression=grpc.Compression.Gzip
        )
    assert job.calls == []


def test_too_much_metadata_is_refused(address: str, job: RecordingJob) -> None:
    more = tuple((f"name-{number}", "x" * 1000) for number in range(30))
    with pytest.raises(ElasticdlError, match="metadata"):
        call_raw(address, LEASE_METHOD, b"", METADATA + more)
    assert job.calls == []
    ask(address)


# --- many calls ---


async def ask_elsewhere(address: str, times: int) -> None:
    await asyncio.to_thread(ask, address, times)


@pytest.mark.parametrize("metadata", [(), METADATA], ids=["no_token", "token"])
def test_a_flood_does_not_stop_a_worker(address: str, metadata: Any) -> None:
    codes: Counter[grpc.StatusCode] = Counter()

    async def flood(channel: grpc.aio.Channel) -> None:
        method: Any = channel.unary_unary(LEASE_METHOD, None, None)
        while True:
            codes[await method(b"", metadata=metadata).code()] += 1

    async def scenario() -> None:
        local = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(address, local) for _ in range(8)]
        floods = [asyncio.create_task(flood(channel)) for channel in channels for _ in range(40)]
        while codes.total() < 1000:
            await asyncio.sleep(0)
        before = codes.total()
        await ask_elsewhere(address, times=20)
        assert codes.total() > before
        for task in floods:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
        for channel in channels:
            await channel.close(None)

    asyncio.run(scenario())
    expected = grpc.StatusCode.OK if metadata else grpc.StatusCode.UNAUTHENTICATED
    assert codes[expected] > 500
    # What is too much for one connection, or for the server, is put off.
    assert set(codes) <= {
        expected,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }


def hold_open(channels: list[grpc.aio.Channel], metadata: Any) -> list[Any]:
    """Opens 20 calls on each connection and sends no message on any."""
    calls = []
    for channel in channels:
        method: Any = channel.stream_unary(LEASE_METHOD, None, None)
        calls += [method(metadata=metadata) for _ in range(20)]
    return calls


async def held(address: str, metadata: Any, connections: int, expected_ends: int) -> list[Any]:
    """Asks as a worker while calls are held open; returns the codes of those that ended."""
    local = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, local) for _ in range(connections)]
    tasks = {asyncio.create_task(call.code()) for call in hold_open(channels, metadata)}
    ended: set[asyncio.Task[Any]] = set()
    async with asyncio.timeout(60):
        await ask_elsewhere(address, times=20)
        while len(ended) < expected_ends:
            now_ended, _ = await asyncio.wait(tasks - ended, return_when=asyncio.FIRST_COMPLETED)
            ended |= now_ended
        await ask_elsewhere(address, times=20)
    codes = [task.result() for task in ended]
    for channel in channels:
        await channel.close(None)
    await asyncio.gather(*tasks)
    return codes


def test_calls_held_open_without_the_token_end_at_once(address: str) -> None:
    codes = asyncio.run(held(address, (), connections=5, expected_ends=100))
    assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 100


def test_calls_held_open_with_the_token_end_when_they_are_many(
    address: str, job: RecordingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_gate, "_MESSAGE_TIMEOUT_S", 0.5)
    # 300 calls of which 200 may wait, besides those of the worker.
    codes = asyncio.run(held(address, METADATA, connections=15, expected_ends=100))
    assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert set(job.calls) == {"commit_and_lease"}
    assert len(job.calls) == 40


def test_when_very_many_wait_the_oldest_makes_room(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_gate, "_MESSAGE_TIMEOUT_S", 600.0)
    monkeypatch.setattr(call_gate, "_FEW_CALLS", 10)
    monkeypatch.setattr(call_gate, "_MOST_WAITING", 30)
    codes = asyncio.run(held(address, METADATA, connections=5, expected_ends=60))
    assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}


def test_a_call_that_ends_without_a_message_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_gate, "_FEW_CALLS", 0)
    with grpc.insecure_channel(address) as channel:
        method = channel.stream_unary(LEASE_METHOD)
        with pytest.raises(grpc.RpcError) as caught:
            method(iter(()), timeout=TIMEOUT_S, metadata=METADATA)
        assert isinstance(as_told(caught.value), InvalidRequestError)
    ask(address)


def test_the_timed_way_answers_as_the_other(
    address: str, job: RecordingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = call_raw(address, LEASE_METHOD, b"", METADATA)
    monkeypatch.setattr(call_gate, "_FEW_CALLS", 0)
    assert call_raw(address, LEASE_METHOD, b"", METADATA) == expected
    job.failure = JobFailedError("no more")
    with pytest.raises(JobFailedError, match="no more"):
        ask(address)


# --- answers ---


def test_a_long_reason_arrives_shortened(address: str, job: RecordingJob) -> None:
    job.failure = JobFailedError("because " + "ä" * 100_000)
    with pytest.raises(JobFailedError, match="because ä"):
        ask(address)


def test_nothing_is_answered_while_the_journal_cannot_be_written(
    address: str, job: RecordingJob
) -> None:
    job.flush_failure = JournalWriteError("the disk is full")
    with pytest.raises(MasterUnavailableError, match="the disk is full"):
        ask(address)
    ask(address)
    assert job.flushed == [2]


def test_publishing_does_not_keep_others_waiting(address: str, job: RecordingJob) -> None:
    job.may_publish.clear()
    with open_channel(address, TOKEN, TlsConfig()) as channel:
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        publishing = stub.Publish.future(pb.PublishRequest(), timeout=TIMEOUT_S)
        ask(address)
        assert not publishing.done()
        job.may_publish.set()
        publishing.result(TIMEOUT_S)
