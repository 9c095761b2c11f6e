"""The gRPC server of a master."""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import grpc

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.master.call_gate import CallGate, OpenCalls
from elasticdl_like.master.job import Job
from elasticdl_like.master.servicer import MasterServicer
from elasticdl_like.proto.channel import REQUEST_LIMIT_BYTES
from elasticdl_like.proto.tls import server_credentials

_STOP_GRACE_S = 0.5
_MOST_CONNECTIONS = 10_000

_OPTIONS = (
    # Without this a second master would listen on the same port, and get half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", REQUEST_LIMIT_BYTES),
    # A small message must not unpack to a large one: nothing but "identity" is understood.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.max_metadata_size", 4096),
    ("grpc.absolute_max_metadata_size", 8192),
    # Calls that one connection may have open; a worker has three or four.
    ("grpc.max_concurrent_streams", 32),
    # Connections that never say anything useful end. (A limit on idle ones as well would cost each
    # call 50 µs.)
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Clients ping each 10 s of silence; one that pings much more is cut off.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


@contextmanager
def serve(
    job: Job, host: str, port: int, token: str, tls: TlsConfig, insecure: bool
) -> Iterator[str]:
    """Serves a job, from a thread of its own, as long as the context lasts.

    Args:
        job: the job.
        host: the name or address to listen on.
        port: the port, or 0 for a free one.
        token: every call has to carry it.
        tls: the files for TLS; without any, connections are not encrypted.
        insecure: allow that even where other machines can reach the port.

    Yields:
        The address, as `host:port`.

    Raises:
        ConfigError: the port is in use, the host is not this machine's, a file of `tls` cannot be
            used, or others could listen in.
    """
    credentials = server_credentials(tls)
    if credentials is None and not insecure and not is_loopback(host):
        raise ConfigError(
            f"--master_host {host}: other machines can reach this address, and without TLS anyone "
            "on the way can read the job's token; give --tls_cert_file and --tls_key_file (and "
            "--tls_ca_file, to let in only workers with a certificate), or --insecure"
        )
    started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        try:
            server, bound_port = _bound_server(job, host, port, token, credentials)
            await server.start()
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            started.set_exception(error)
            return
        stopping = asyncio.Event()
        started.set_result((bound_port, asyncio.get_running_loop(), stopping))
        await stopping.wait()
        await server.stop(_STOP_GRACE_S)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="master", daemon=True)
    thread.start()
    try:
        bound_port, loop, stopping = started.result()
    except Exception:
        thread.join()
        raise
    try:
        yield f"{in_address(host)}:{bound_port}"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


def _bound_server(
    job: Job, host: str, port: int, token: str, credentials: grpc.ServerCredentials | None
) -> tuple[grpc.aio.Server, int]:
    connections = ("grpc.max_allowed_incoming_connections", _most_connections())
    server = grpc.aio.server(options=[*_OPTIONS, connections])
    open_calls = OpenCalls()
    gate = CallGate(MasterServicer(job, open_calls), token, open_calls)
    server.add_generic_rpc_handlers([gate])
    address = f"{in_address(host)}:{port}"
    try:
        if credentials is None:
            return server, server.add_insecure_port(address)
        return server, server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ConfigError(
            f"the master cannot listen on {address}: the port is in use, or {host} is not an "
            "address of this machine; --master_port 0 picks a free port"
        ) from error


def _most_connections() -> int:
    """Half of the files that this process may open: the journal and the rest need some, too."""
    files, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_CONNECTIONS
    if files != resource.RLIM_INFINITY and files < wanted:
        files = wanted if most_files == resource.RLIM_INFINITY else min(wanted, most_files)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most_files))
    return _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(files, wanted) // 2


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a host name or address to listen on."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except OSError:
        return True  # no address at all; listening will say so
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def in_address(host: str) -> str:
    """Returns a host as it stands before the colon and the port."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
