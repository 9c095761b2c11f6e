"""A relay between a client and a server, which can be cut, or made deaf."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

CUT = "/tmp/cut"
"""As long as this file is there, the relay of `main` is cut."""

LISTENS = "/tmp/listens"
"""This file is there as soon as the relay of `main` listens."""


class Relay:
    """Passes bytes on; a test says when it does not.

    Args:
        host: the server's.
        port: the server's.
        listen: where to wait for clients.
    """

    def __init__(self, host: str, port: int, listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(listen)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Breaks all connections, and refuses new ones."""
        with self._lock:
            self._is_cut = True
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._is_cut = False

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                try:
                    if self._is_cut:
                        raise ConnectionRefusedError
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay_to(host: str, port: int) -> Iterator[Relay]:
    relay = Relay(host, port)
    try:
        yield relay
    finally:
        relay.close()


def main(host: str, port: str, own_port: str) -> None:
    """Relays for other pods."""
    relay = Relay(host, int(port), ("0.0.0.0", int(own_port)))
    Path(LISTENS).touch()
    while True:
        if Path(CUT).exists():
            relay.cut()
        else:
            relay.mend()
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
