"""HTTP/1.1 over sockets: reads requests, sends replies, and does to them what faults say."""

from __future__ import annotations

import enum
import fcntl
import http.server
import socket
import struct
import sys
import termios
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Protocol

from .faults import Action, Fault
from .messages import Reply, Request
from .request_log import LoggedRequest

_PIECE_BYTES = 64 * 1024
_PACES_PER_S = 50


class Framing(enum.StrEnum):
    """How the client learns where the body of a reply with data ends."""

    CHUNKED = "chunked"
    LENGTH = "length"
    CLOSE = "close"
    """The end of the connection: a lost tail looks like the end of the data."""


class Application(Protocol):
    """What the HTTP server serves."""

    @property
    def framing(self) -> Framing: ...

    def begin(self, request: Request) -> tuple[LoggedRequest, list[Fault]] | None:
        """Log a request and take its faults; None when it is for control and neither is wanted."""

    def answer(self, request: Request, refusal: Fault | None) -> Reply: ...


class HttpServer(http.server.ThreadingHTTPServer):
    """A thread for each connection, all of which end in `stop`.

    Attributes:
        stopping: Set when they shall end.
        errors: What went wrong in the server itself.
    """

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, application: Application) -> None:
        super().__init__((host, port), _Handler)
        self.application = application
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._to_reset: set[socket.socket] = set()
        self.errors: list[BaseException] = []

    @property
    def address(self) -> str:
        host, port = self.socket.getsockname()
        return f"{host}:{port}"

    def process_request(self, request: socket.socket, client_address: object) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def reset(self, connection: socket.socket) -> None:
        """Have the connection end in a reset instead of an orderly end."""
        with self._lock:
            self._to_reset.add(connection)

    def shutdown_request(self, request: socket.socket) -> None:
        with self._lock:
            self._connections.discard(request)
            resets = request in self._to_reset
            self._to_reset.discard(request)
        if resets:
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        # A client that went away is an everyday thing in tests of faults.
        if error is not None and not isinstance(error, ConnectionError):
            self.errors.append(error)
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """End all connections and threads; takes no longer than a request's computing."""
        self.stopping.set()
        self.shutdown()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # its client has ended it already
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer

    def _handle(self) -> None:
        request = Request(self.command, self.path, dict(self.headers.items()), self._read_body())
        begun = self.server.application.begin(request)
        if begun is None:
            self._send(self.server.application.answer(request, None), None, [])
            return
        logged, faults = begun
        by_action = {fault.action: fault for fault in faults}
        logged.faults.extend(action.value for action in by_action)
        reply = self.server.application.answer(request, by_action.get(Action.STATUS))
        if Action.SLOW_FIRST_BYTE in by_action:
            self.server.stopping.wait(by_action[Action.SLOW_FIRST_BYTE].delay_s)
        if Action.RESET_BEFORE_HEADERS in by_action:
            self._reset()
            return
        self._send(reply, logged, faults)

    # The names that BaseHTTPRequestHandler looks for.
    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The request log has it all."""

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self._read_exactly(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while True:
            size_bytes = int(self.rfile.readline().split(b";")[0] or b"-1", 16)
            if size_bytes < 0:
                raise ConnectionAbortedError("the client ended in the middle of a request")
            if size_bytes == 0:
                break
            pieces.append(self._read_exactly(size_bytes))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _read_exactly(self, size_bytes: int) -> bytes:
        data = self.rfile.read(size_bytes)
        if len(data) < size_bytes:
            raise ConnectionAbortedError("the client ended in the middle of a request")
        return data

    def _send(self, reply: Reply, logged: LoggedRequest | None, faults: list[Fault]) -> None:
        by_action = {fault.action: fault for fault in faults}
        framing = self.server.application.framing if reply.streams else Framing.LENGTH
        if Action.FIN in by_action:
            framing = Framing.CLOSE
        body = memoryview(_corrupted(reply.body, by_action.get(Action.CORRUPT)))
        end = _cut(len(body), by_action)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("x-odps-request-id", uuid.uuid4().hex[:24].upper())
        if framing is Framing.CHUNKED:
            self.send_header("Transfer-Encoding", "chunked")
        elif framing is Framing.LENGTH:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        if logged is not None:
            logged.status = reply.status
        self.end_headers()
        slow = by_action.get(Action.SLOW_STREAM)
        chunked = framing is Framing.CHUNKED
        for piece in self._pieces(body[:end], slow):
            if logged is not None:
                logged.bytes_sent += len(piece)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)) if chunked else piece)
        if Action.RESET in by_action:
            self._reset()
        elif Action.TRUNCATE in by_action or framing is Framing.CLOSE:
            self.close_connection = True
        elif framing is Framing.CHUNKED:
            self.wfile.write(b"0\r\n\r\n")

    def _pieces(self, body: memoryview, slow: Fault | None) -> Iterator[memoryview]:
        piece_bytes = _PIECE_BYTES
        if slow is not None:
            piece_bytes = min(_PIECE_BYTES, max(1, slow.bytes_per_s // _PACES_PER_S))
        started_s = time.monotonic()
        for start in range(0, len(body), piece_bytes):
            if self.server.stopping.is_set():
                raise ConnectionAbortedError("the server stops")
            yield body[start : start + piece_bytes]
            if slow is not None:
                due_s = started_s + (start + piece_bytes) / slow.bytes_per_s
                self.server.stopping.wait(max(0.0, due_s - time.monotonic()))

    def _reset(self) -> None:
        """Let what was sent arrive, as a reset would drop it otherwise; then reset."""
        deadline_s = time.monotonic() + 5
        while _unsent_bytes(self.connection) and time.monotonic() < deadline_s:
            if self.server.stopping.wait(0.001):
                break
        self.server.reset(self.connection)
        self.close_connection = True


def _corrupted(body: bytes, corrupt: Fault | None) -> bytes:
    if corrupt is None or not -len(body) <= corrupt.at_byte < len(body):
        return body
    changed = bytearray(body)
    changed[corrupt.at_byte] ^= 0xFF
    return bytes(changed)


def _cut(size_bytes: int, by_action: dict[Action, Fault]) -> int:
    for action in (Action.RESET, Action.FIN, Action.TRUNCATE):
        if action in by_action:
            at_byte = by_action[action].at_byte
            return min(size_bytes, max(0, at_byte if at_byte >= 0 else size_bytes + at_byte))
    return size_bytes


def _unsent_bytes(connection: socket.socket) -> int:
    """Bytes that the other side has not acknowledged yet."""
    unsent = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", unsent)[0])
