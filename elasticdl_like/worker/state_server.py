"""Serves the state that an agent holds to the agents of other workers."""

from __future__ import annotations

import hmac
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto.channel import AUTHORIZATION, authorization
from elasticdl_like.proto.tls import server_credentials
from elasticdl_like.worker.held_state import HeldState
from elasticdl_like.worker.own_address import address_of, is_loopback
from elasticdl_like.worker.state_memory import size_bytes

CHUNK_BYTES = 1 << 20
# Each sends one state; more agents than this wait for their turn.
_MOST_TRANSFERS = 8
_STOP_GRACE_S = 0.5
_METHOD = "/elasticdl.Agent/FetchState"

_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 4096),
    ("grpc.absolute_max_metadata_size", 8192),
    ("grpc.max_receive_message_length", 4096),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


class StateServer:
    """Answers `FetchState`, from threads of its own, until it is closed.

    Args:
        held: the state.
        host: the address of this machine to listen on, at a free port.
        token: every call has to carry it.
        tls: the files that the connection to the master uses; with a certificate the agents
            encrypt, too.

    Raises:
        ConfigError: a file cannot be used, or the master's connection is encrypted and this one,
            which leaves the machine, would not be.
    """

    def __init__(self, held: HeldState, host: str, token: str, tls: TlsConfig) -> None:
        credentials = server_credentials(agents_tls(tls))
        if credentials is None and tls != TlsConfig() and not is_loopback(host):
            raise ConfigError(
                f"this worker would send the state of the model from {host} without TLS, although "
                "the master uses it; give --tls_cert_file and --tls_key_file, a certificate for "
                "that address, to every worker"
            )
        self._server = grpc.server(ThreadPoolExecutor(_MOST_TRANSFERS), options=_OPTIONS)
        self._server.add_generic_rpc_handlers([_Handlers(held, token)])
        address = address_of(host, 0)
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        self.address = address_of(host, port)
        self._server.start()

    def close(self) -> None:
        """Ends the server, and the calls that it answers."""
        self._server.stop(_STOP_GRACE_S).wait()


def agents_tls(tls: TlsConfig) -> TlsConfig:
    """Returns the files that agents use among each other: those of the master's connection.

    Without a certificate of their own they cannot encrypt; then there are none.
    """
    return tls if tls.cert_file else TlsConfig()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers calls that carry the token, and refuses others before their message is read."""

    def __init__(self, held: HeldState, token: str) -> None:
        self._held = held
        self._authorization = authorization(token).encode()
        self._refusal = grpc.unary_unary_rpc_method_handler(_refuse)
        self._handler = grpc.unary_stream_rpc_method_handler(
            self._fetch_state,
            pb.FetchStateRequest.FromString,
            pb.StateChunk.SerializeToString,
        )

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        for name, value in handler_call_details.invocation_metadata:
            given = value.encode() if isinstance(value, str) else value
            if name == AUTHORIZATION and hmac.compare_digest(given, self._authorization):
                break
        else:
            return self._refusal
        return self._handler if handler_call_details.method == _METHOD else None

    def _fetch_state(
        self, request: pb.FetchStateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StateChunk]:
        file = self._held.open(request.step)
        if file is None:
            held = self._held.step
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the state of step {request.step} is not here, "
                + ("and no other" if held is None else f"but that of step {held}"),
            )
        try:
            yield from _chunks(file, request.offset)
        finally:
            os.close(file)


def _chunks(file: int, offset: int) -> Iterator[pb.StateChunk]:
    total_bytes = size_bytes(file)
    while True:
        data = os.pread(file, CHUNK_BYTES, offset)
        yield pb.StateChunk(data=data, crc=zlib.crc32(data), size_bytes=total_bytes)
        offset += len(data)
        if offset >= total_bytes:
            return


def _refuse(_request: bytes, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the job token is missing or wrong")
