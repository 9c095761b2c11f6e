from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.master.server import serve
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import open_channel
from recording_job import RecordingJob

TOKEN = "the-right-token"


def start_and_stop(host: str, port: int = 0, *, insecure: bool = False) -> str:
    with serve(RecordingJob().as_job(), host, port, TOKEN, TlsConfig(), insecure) as address:
        return address


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "2001:db8::1"])
def test_without_tls_only_this_machine_may_be_listened_to(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--tls_cert_file and --tls_key_file .*--insecure"):
        start_and_stop(host)


def test_unless_insecure_is_said() -> None:
    assert start_and_stop("0.0.0.0", insecure=True).startswith("0.0.0.0:")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    name, _, port = start_and_stop(host).partition(":")
    assert name == host
    assert int(port) > 0


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: the port is in use"):
            start_and_stop("127.0.0.1", port)


def test_two_masters_do_not_share_a_port() -> None:
    with (
        serve(RecordingJob().as_job(), "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address,
        pytest.raises(ConfigError, match="the port is in use"),
    ):
        start_and_stop("127.0.0.1", int(address.split(":")[1]))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="is not an address of this machine"):
        start_and_stop(host, insecure=True)


def test_it_stops_with_calls_in_progress_and_leaves_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    before = set(threading.enumerate())
    job = RecordingJob()
    caplog.set_level(logging.WARNING)
    with serve(job.as_job(), "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address:
        channel = open_channel(address, TOKEN, TlsConfig())
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        stub.Heartbeat(pb.HeartbeatRequest(), timeout=20)
        never = threading.Event()

        def nothing() -> Iterator[bytes]:
            never.wait(20)
            yield from ()

        raw: Any = grpc.insecure_channel(address)
        held = raw.stream_unary("/elasticdl.Master/Heartbeat").future(
            nothing(), metadata=(("authorization", f"Bearer {TOKEN}"),)
        )
        stub.Heartbeat(pb.HeartbeatRequest(), timeout=20)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 10
    assert isinstance(held.exception(20), grpc.RpcError)
    never.set()
    raw.close()
    channel.close()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "master"]
    assert "destroyed" not in caplog.text
    assert "destroyed" not in capfd.readouterr().err


def test_a_call_that_is_being_answered_is_answered_before_it_stops() -> None:
    job = RecordingJob()
    job.may_publish.clear()
    with serve(job.as_job(), "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address:
        channel = open_channel(address, TOKEN, TlsConfig())
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        publishing = stub.Publish.future(pb.PublishRequest(), timeout=20)
        while not job.calls:
            time.sleep(0.01)
        threading.Timer(0.1, job.may_publish.set).start()
    assert publishing.result(20) == pb.PublishReply()
    assert job.flushed == [1]
    channel.close()


def test_a_client_finds_a_master_that_starts_again() -> None:
    job = RecordingJob()
    with serve(job.as_job(), "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address:
        channel = open_channel(address, TOKEN, TlsConfig())
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        stub.Heartbeat(pb.HeartbeatRequest(), timeout=20)
    with pytest.raises(grpc.RpcError):
        stub.Heartbeat(pb.HeartbeatRequest(), timeout=20)
    port = int(address.split(":")[1])
    with serve(job.as_job(), "127.0.0.1", port, TOKEN, TlsConfig(), False):
        stub.Heartbeat(pb.HeartbeatRequest(), timeout=20, wait_for_ready=True)
    channel.close()
    assert job.calls == ["heartbeat"] * 2
