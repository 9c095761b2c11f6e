"""A way to a server on which everything takes its time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def slow_relay(address: str, delay_s: float) -> Iterator[str]:
    """Yields the address of a relay that holds back what the server says first.

    Args:
        address: the server, as `host:port`.
        delay_s: for how long, on each connection.
    """
    host, _, port = address.rpartition(":")
    with ExitStack() as ends:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client = ends.enter_context(listener.accept()[0])
                    server = ends.enter_context(socket.create_connection((host, int(port))))
                    for way in ((client, server, 0.0), (server, client, delay_s)):
                        thread = threading.Thread(target=_copy, args=way)
                        thread.start()
                        ends.callback(thread.join)
                        ends.callback(_shut, way[0])

        listener = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            _shut(listener)
            acceptor.join()


def _copy(source: socket.socket, target: socket.socket, delay_s: float) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            time.sleep(delay_s)
            delay_s = 0.0
            target.sendall(data)
    _shut(target)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
