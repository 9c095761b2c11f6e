"""The HTTP server of the window, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.master.main import Master
from elasticdl_like.master.server import in_address, is_loopback
from elasticdl_like.proto.tls import check_server_files
from elasticdl_like.window.access import Access
from elasticdl_like.window.app import WindowApp
from elasticdl_like.window.documents import config_document, encode
from elasticdl_like.window.gate import Gate
from elasticdl_like.window.limited_protocol import LimitedProtocol
from elasticdl_like.window.page import load_page
from elasticdl_like.window.snapshot import Snapshots

_logger = logging.getLogger(__name__)

_STOP_GRACE_S = 0.6
_GIVE_UP_S = 5
_ANY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True)
class WindowConfig:
    """Where the window is.

    Attributes:
        host: the name or address to listen on.
        port: the port, or 0 for a free one.
        tls: the certificate and key for other addresses than those of loopback.
        insecure: listen there without TLS.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: TlsConfig = field(default_factory=TlsConfig)
    insecure: bool = False


@contextmanager
def serve_window(master: Master, config: WindowConfig | None) -> Iterator[str]:
    """Serves the window on a job as long as the context lasts.

    Args:
        master: the master of the job.
        config: where the window is, or None for no window.

    Yields:
        The link, or "" without a window. It is kept in the job directory as well.

    Raises:
        ConfigError: the port is in use, the host is not this machine's, a file of `tls` cannot be
            used, or others could listen in.
        JobDirectoryError: the link cannot be kept.
    """
    if config is None:
        yield ""
        return
    check_window(config)
    local = is_loopback(config.host)
    encrypted = not local and bool(config.tls.cert_file)
    listener = _listener(config)
    port = listener.getsockname()[1]
    link = _link(config.host, port, encrypted)
    token = "" if local else master.directory.token()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stopping = asyncio.Event()
        app = Gate(
            _window_app(master, stopping).asgi(),
            Access(token),
            # Browsers keep one set of cookies for all ports of a host.
            f"elasticdl_{port}",
            encrypted,
            str(master.directory.path / "token"),
        )
        server = uvicorn.Server(_server_config(app, config.tls if encrypted else TlsConfig()))
        started.set_result((asyncio.get_running_loop(), stopping))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await stopping.wait()
        await _end(server, serving)

    def serve() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if started.done():
                _logger.exception("the status page has failed")
            else:
                started.set_exception(error)
        finally:
            listener.close()

    thread = threading.Thread(target=serve, name="window", daemon=True)
    thread.start()
    loop, stopping = started.result()
    try:
        master.directory.save_status_page(link)
        _logger.info("status page: %s%s", link, "" if local else _about_token(master))
        yield link
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


async def _end(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Ends a server: clients have a moment to take what was said to them."""
    server.should_exit = True
    await asyncio.wait([serving], timeout=_STOP_GRACE_S)
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await serving


def check_window(config: WindowConfig) -> None:
    """Checks that nobody can listen in.

    Raises:
        ConfigError: others could, or a file of `tls` cannot be used.
    """
    if is_loopback(config.host):
        return
    if config.tls.cert_file or config.tls.key_file:
        check_server_files(config.tls)
    elif not config.insecure:
        raise ConfigError(
            f"--status_host {config.host}: other machines can reach this address, and without TLS "
            "anyone on the way can read the job's token; give --tls_cert_file and --tls_key_file, "
            "or --insecure"
        )


def _listener(config: WindowConfig) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            config.host or None, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(
            f"the status page cannot listen on {in_address(config.host)}:{config.port}: the port "
            f"is in use, or {config.host} is not an address of this machine ({error.strerror}); "
            "--status_port 0 picks a free port, --no-status_page does without"
        ) from error


def _link(host: str, port: int, encrypted: bool) -> str:
    name = socket.gethostname() if not host or host in _ANY_ADDRESS else in_address(host)
    return f"{'https' if encrypted else 'http'}://{name}:{port}/"


def _about_token(master: Master) -> str:
    return f"?token=TOKEN, with the job's token, which is in {master.directory.path / 'token'}"


def _window_app(master: Master, stopping: asyncio.Event) -> WindowApp:
    job = master.job
    return WindowApp(
        Snapshots(job.view, time.monotonic),
        encode(config_document(job.config, master.directory)),
        lambda: master.problem,
        load_page(),
        stopping,
    )


def _server_config(app: Gate, tls: TlsConfig) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GIVE_UP_S,
        ssl_certfile=tls.cert_file or None,
        ssl_keyfile=tls.key_file or None,
    )
