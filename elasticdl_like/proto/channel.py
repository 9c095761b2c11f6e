"""A connection to a master: the job's token with every call, TLS, limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from elasticdl_like.config import TlsConfig
from elasticdl_like.proto.tls import client_credentials

# gRPC wants the names of metadata in lower case.
AUTHORIZATION = "authorization"

# The longest message that a master takes.
REQUEST_LIMIT_BYTES = 4 << 20
# A client trusts its master; this only bounds an accident.
_REPLY_LIMIT_BYTES = 64 << 20

_OPTIONS = (
    ("grpc.max_send_message_length", REQUEST_LIMIT_BYTES),
    ("grpc.max_receive_message_length", _REPLY_LIMIT_BYTES),
    # A master that starts again should be found at once, and not after gRPC's usual two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # So much time one try has, and not the 100 ms until the next: a busy machine needs that alone
    # for TLS.
    ("grpc.min_reconnect_backoff_ms", 3000),
    # Otherwise a new channel inherits the connection, and its pauses, of an earlier one.
    ("grpc.use_local_subchannel_pool", 1),
    # A host that vanished without a word is noticed by the pings, not after TCP's quarter hour.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Proxies are for the web; workers and master are in one network.
    ("grpc.enable_http_proxy", 0),
)


def authorization(token: str) -> str:
    """Returns the value of the metadata that carries the job's token."""
    return f"Bearer {token}"


def open_channel(
    address: str, token: str, tls: TlsConfig, certified_name: str = ""
) -> grpc.Channel:
    """Opens a connection to a master; it is made when it is first needed, and again when it breaks.

    Args:
        address: the master, as `host:port`.
        token: the job's token.
        tls: the files for TLS; without any the connection is not encrypted.
        certified_name: the name in the other side's certificate, or "" for that of the address.

    Raises:
        ConfigError: a file cannot be used.
    """
    credentials = client_credentials(tls)
    if credentials is None:
        channel = grpc.insecure_channel(address, _OPTIONS)
    else:
        name = [("grpc.ssl_target_name_override", certified_name)] if certified_name else []
        channel = grpc.secure_channel(address, credentials, [*_OPTIONS, *name])
    return grpc.intercept_channel(channel, _AddsToken(token))


@dataclass(frozen=True, slots=True)
class _CallDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str], ...]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _AddsToken(grpc.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    # gRPC refuses call credentials, its own way to do this, where there is no TLS.

    def __init__(self, token: str) -> None:
        self._metadata = ((AUTHORIZATION, authorization(token)),)

    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        return continuation(
            _CallDetails(
                client_call_details.method,
                client_call_details.timeout,
                self._metadata,
                client_call_details.credentials,
                client_call_details.wait_for_ready,
                client_call_details.compression,
            ),
            request,
        )
