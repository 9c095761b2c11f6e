"""A web server for tests: files in memory, parts of them, and everything that can go wrong."""

from __future__ import annotations

import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote


class Fault(StrEnum):
    """What goes wrong with one answer."""

    RESET = "the connection is reset in the middle of the body"
    TRUNCATED = "the body ends early"
    BUSY = "the server has no time"
    REFUSED = "the server does not give this out"


@dataclass(frozen=True)
class Request:
    """A request that was answered.

    Attributes:
        method: GET or HEAD.
        path: of the file, with the slash at its beginning.
        part: the first and the last byte asked for, or None for all.
        sent_bytes: the size of the body of the answer.
    """

    method: str
    path: str
    part: tuple[int, int] | None
    sent_bytes: int


@dataclass
class RangeServer:
    """Serves files at `url` within its `with` block.

    Attributes:
        files: what is in them, by path with the slash at its beginning; may be changed.
        gives_ranges: whether parts are given out, or always all.
        announces_ranges: whether it is said that no parts are given out.
        has_tags: whether files have strong tags, which requests may insist on.
        faults: for the next answers to GET, one each.
        requests: those that were answered.
    """

    files: dict[str, bytes]
    gives_ranges: bool = True
    announces_ranges: bool = False
    has_tags: bool = True
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        owner = self

        class Handler(_Handler):
            server_of_files = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Of the root, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def sent_bytes(self, path: str) -> int:
        """Returns how many bytes of a file were sent."""
        return sum(request.sent_bytes for request in self.requests if request.path == path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_files: RangeServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        server = self.server_of_files
        path = unquote(self.path)
        content = self._page(path) if path.endswith("/") else server.files.get(path)
        fault = server.faults.pop(0) if self.command == "GET" and server.faults else None
        if content is None:
            return self._send_error(HTTPStatus.NOT_FOUND)
        if fault is Fault.BUSY:
            return self._send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        if fault is Fault.REFUSED:
            return self._send_error(HTTPStatus.FORBIDDEN)
        tag = f'"{hash(content):x}"'
        wanted_tag = self.headers.get("If-Match")
        if server.has_tags and wanted_tag not in (None, tag):
            return self._send_error(HTTPStatus.PRECONDITION_FAILED)
        part = self._part(len(content)) if server.gives_ranges else None
        if part is not None and part[0] >= len(content):
            return self._send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        body = content if part is None else content[part[0] : part[1] + 1]
        self.send_response(HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT)
        if part is not None:
            self.send_header("Content-Range", f"bytes {part[0]}-{part[1]}/{len(content)}")
        if server.announces_ranges:
            self.send_header("Accept-Ranges", "bytes" if server.gives_ranges else "none")
        if server.has_tags:
            self.send_header("ETag", tag)
        if path.endswith("/"):
            self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = b"" if self.command == "HEAD" else body
        if fault is not None:
            sent = sent[: len(sent) // 2]
            self.close_connection = True
        server.requests.append(Request(self.command, path, part, len(sent)))
        try:
            self.wfile.write(sent)
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True  # the client has seen enough
        if fault is Fault.RESET:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return None

    def _part(self, size_bytes: int) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not found:
            return None
        return int(found[1]), min(int(found[2] or size_bytes), size_bytes - 1)

    def _page(self, directory: str) -> bytes | None:
        names = [
            name.removeprefix(directory)
            for name in self.server_of_files.files
            if name.startswith(directory)
        ]
        links = "".join(f'<a href="{name}">{name}</a>\n' for name in names if "/" not in name)
        return f"<html>{links}</html>".encode() if names else None

    def _send_error(self, status: HTTPStatus) -> None:
        self.server_of_files.requests.append(Request(self.command, unquote(self.path), None, 0))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
