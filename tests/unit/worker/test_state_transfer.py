"""The transfer of a model's state between two agents, over connections that break."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
import trustme

from elasticdl_command import eventually
from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError, StateUnavailableError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.worker import state_client
from elasticdl_like.worker.held_state import HeldState
from elasticdl_like.worker.own_address import own_host
from elasticdl_like.worker.state_client import StateFetch
from elasticdl_like.worker.state_memory import mapped, new_memory
from elasticdl_like.worker.state_server import CHUNK_BYTES, StateServer

_TOKEN = "secret"
_NOBODY = "127.0.0.1:1"
_NO_TLS = TlsConfig()
_CONTENT = os.urandom(10 * CHUNK_BYTES + 17)


@pytest.fixture
def held() -> Iterator[HeldState]:
    held = HeldState()
    held.keep(7, memory_of(_CONTENT))
    yield held
    held.drop()


@pytest.fixture
def server(held: HeldState) -> Iterator[StateServer]:
    with closing(StateServer(held, "127.0.0.1", _TOKEN, _NO_TLS)) as server:
        yield server


def memory_of(content: bytes) -> int:
    file = new_memory(len(content))
    os.pwrite(file, content, 0)
    return file


def fetch(*holders: str, step: int = 7, token: str = _TOKEN, tls: TlsConfig = _NO_TLS) -> bytes:
    file = StateFetch(holders, step, token, tls).run()
    try:
        return bytes(mapped(file, writable=False))
    finally:
        os.close(file)


def test_a_state_arrives_as_it_was(server: StateServer) -> None:
    assert fetch(server.address) == _CONTENT


def test_an_empty_state_arrives(held: HeldState, server: StateServer) -> None:
    held.keep(7, new_memory(0))
    assert fetch(server.address) == b""


def test_a_state_that_is_dropped_meanwhile_arrives_whole(
    held: HeldState, server: StateServer
) -> None:
    with cutting_proxy(server.address, [], on_first_bytes=held.drop) as proxy:
        assert fetch(proxy.address) == _CONTENT


def test_what_is_not_held_is_refused_in_words(held: HeldState, server: StateServer) -> None:
    with pytest.raises(StateUnavailableError, match="step 8 is not here, but that of step 7"):
        fetch(server.address, step=8)
    held.drop()
    with pytest.raises(StateUnavailableError, match="step 7 is not here, and no other"):
        fetch(server.address)


@pytest.mark.parametrize("token", ["", "another"])
def test_without_the_token_there_is_no_state(server: StateServer, token: str) -> None:
    with pytest.raises(StateUnavailableError, match="UNAUTHENTICATED"):
        fetch(server.address, token=token)


def test_the_next_holder_is_asked_when_one_is_gone(server: StateServer) -> None:
    assert fetch(_NOBODY, server.address) == _CONTENT


def test_nobody_has_it() -> None:
    with pytest.raises(StateUnavailableError, match=f"{_NOBODY} did not give it"):
        fetch(_NOBODY)


class Proxy:
    """Passes bytes on between a client and an address, and cuts connections."""

    def __init__(
        self, address: str, cut_after: list[int], on_first_bytes: Callable[[], None] | None
    ) -> None:
        host, _, port = address.rpartition(":")
        self._upstream = (host, int(port))
        self._cut_after = cut_after
        self._on_first_bytes = on_first_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.num_connections = 0
        self.num_bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # `close` alone does not end an `accept` of another thread.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.num_connections += 1
                cut = self._cut_after.pop(0) if self._cut_after else None
                threading.Thread(target=self._serve, args=(client, cut), daemon=True).start()

    def _serve(self, client: socket.socket, cut_after: int | None) -> None:
        with client, socket.create_connection(self._upstream) as server:
            up = threading.Thread(target=self._pass_on, args=(client, server, None), daemon=True)
            up.start()
            self._pass_on(server, client, cut_after)
            for each in (client, server):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            up.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, cut_after: int | None) -> None:
        num_bytes = 0
        with suppress(OSError):
            while cut_after is None or num_bytes < cut_after:
                data = source.recv(1 << 16)
                if not data:
                    return
                target.sendall(data)
                num_bytes += len(data)
                if num_bytes > CHUNK_BYTES and self._on_first_bytes is not None:
                    self._on_first_bytes()
                    self._on_first_bytes = None
        self.num_bytes += num_bytes


@contextmanager
def cutting_proxy(
    address: str, cut_after: list[int], on_first_bytes: Callable[[], None] | None = None
) -> Iterator[Proxy]:
    """Yields a way to an address that is cut after so many bytes of the reply, each time."""
    with closing(Proxy(address, cut_after, on_first_bytes)) as proxy:
        yield proxy


def test_a_transfer_goes_on_where_the_connection_was_cut(server: StateServer) -> None:
    cuts = [3 * CHUNK_BYTES, 4 * CHUNK_BYTES, 4 * CHUNK_BYTES, 4 * CHUNK_BYTES]
    with cutting_proxy(server.address, list(cuts)) as proxy:
        assert fetch(proxy.address) == _CONTENT
        # Four times the same bytes would be more than that.
        assert 3 <= proxy.num_connections <= len(cuts) + 1


def test_a_holder_that_vanishes_in_the_middle_is_given_up(
    held: HeldState, server: StateServer
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(closing(StateServer(held, "127.0.0.1", _TOKEN, _NO_TLS)))
        proxy = stack.enter_context(cutting_proxy(first.address, [2 * CHUNK_BYTES] + 5 * [1]))
        assert fetch(proxy.address, server.address) == _CONTENT
        assert proxy.num_connections > 1


class FaultyAgent(elasticdl_pb2_grpc.AgentServicer):
    """Sends the given chunks, one list for each call, and the right rest after the last."""

    def __init__(self, *calls: list[pb.StateChunk]) -> None:
        self._calls = list(calls)
        self.offsets: list[int] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        elasticdl_pb2_grpc.add_AgentServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def FetchState(  # noqa: N802
        self, request: pb.FetchStateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StateChunk]:
        self.offsets.append(request.offset)
        yield from self._calls.pop(0) if self._calls else [chunk(_CONTENT[request.offset :])]

    def close(self) -> None:
        self._server.stop(None).wait(20)


def chunk(data: bytes, crc: int | None = None, size_bytes: int = len(_CONTENT)) -> pb.StateChunk:
    return pb.StateChunk(
        data=data[:CHUNK_BYTES],
        crc=zlib.crc32(data[:CHUNK_BYTES]) if crc is None else crc,
        size_bytes=size_bytes,
    )


def test_a_damaged_chunk_is_asked_for_again() -> None:
    good = chunk(_CONTENT)
    with closing(FaultyAgent([good, chunk(_CONTENT[CHUNK_BYTES:], crc=1)])) as agent:
        assert fetch(agent.address) == _CONTENT
        assert agent.offsets[:2] == [0, CHUNK_BYTES]


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        ([chunk(b"abc", crc=1)], "the checksum of the bytes from 0 on is wrong"),
        ([chunk(b"abcd", size_bytes=3)], "there are more than its 3 bytes"),
        ([chunk(b"abc", size_bytes=-5)], "there is no memory for it: Invalid argument"),
        ([], "the call ended early"),
        ([chunk(b"", size_bytes=3)], "the call ended early"),
    ],
)
def test_an_agent_that_sends_nonsense_is_given_up(
    server: StateServer, chunks: list[pb.StateChunk], problem: str
) -> None:
    with closing(FaultyAgent(*(10 * [chunks]))) as agent:
        with pytest.raises(StateUnavailableError, match=problem):
            fetch(agent.address)
        assert fetch(agent.address, server.address) == _CONTENT


def test_a_holder_that_is_stopped_is_given_up(
    server: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_client, "_CALL_TIMEOUT_S", 0.5)
    stuck = threading.Event()
    with cutting_proxy(server.address, [], on_first_bytes=stuck.wait) as proxy:
        assert fetch(proxy.address, server.address) == _CONTENT
        stuck.set()


def test_a_state_that_changes_its_size_is_given_up() -> None:
    calls = [[chunk(_CONTENT)], *(9 * [[chunk(b"abc", size_bytes=3)]])]
    with (
        closing(FaultyAgent(*calls)) as agent,
        pytest.raises(StateUnavailableError, match="and is 3 now"),
    ):
        fetch(agent.address)


def test_a_transfer_can_be_cancelled(held: HeldState, server: StateServer) -> None:
    stuck = threading.Event()
    with cutting_proxy(server.address, [], on_first_bytes=stuck.wait) as proxy:
        transfer = StateFetch([proxy.address, server.address], 7, _TOKEN, _NO_TLS)
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(transfer.run)
            eventually(lambda: proxy.num_connections, 20)
            transfer.cancel()
            with pytest.raises(StateUnavailableError, match="cancelled"):
                ended.result(20)
        stuck.set()


def test_with_a_certificate_the_state_is_encrypted(held: HeldState, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = TlsConfig(*(str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")))
    with closing(StateServer(held, "127.0.0.1", _TOKEN, tls)) as server:
        assert fetch(server.address, tls=tls) == _CONTENT
        with pytest.raises(StateUnavailableError):
            fetch(server.address)


def test_all_workers_may_have_a_certificate_for_one_name(held: HeldState, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("workers.example")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    by_address = TlsConfig(*(str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")))
    by_name = dataclasses.replace(by_address, workers_name="workers.example")
    with closing(StateServer(held, "127.0.0.1", _TOKEN, by_name)) as server:
        assert fetch(server.address, tls=by_name) == _CONTENT
        with pytest.raises(StateUnavailableError):
            fetch(server.address, tls=by_address)


def test_a_state_does_not_leave_the_machine_in_the_open_where_the_master_encrypts(
    held: HeldState, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = TlsConfig(str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match="--tls_cert_file"):
        StateServer(held, "192.0.2.1", _TOKEN, tls)
    StateServer(held, "127.0.0.1", _TOKEN, tls).close()


def test_the_way_to_a_master_of_this_machine_begins_at_loopback() -> None:
    assert own_host("127.0.0.1:5000") == "127.0.0.1"
    assert own_host("localhost:5000") in ("127.0.0.1", "::1")
    with pytest.raises(ConfigError, match="cannot be found out"):
        own_host("no-such-host.invalid:1")
