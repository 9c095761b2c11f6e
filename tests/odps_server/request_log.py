"""The log of what was asked of the server, in the order in which requests came in."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from .errors import ServiceError
from .messages import Kind, Request
from .sessions import parse_row_range


@dataclass
class LoggedRequest:
    """One request.

    Attributes:
        rows: The range of rows, end exclusive, that a request for data asks for.
        status: 0 until one is sent.
        bytes_sent: Of the body, counted as it goes.
        faults: The actions of the faults that befell it.
    """

    number: int
    kind: Kind
    method: str
    path: str
    query: dict[str, str]
    rows: tuple[int, int] | None = None
    status: int = 0
    bytes_sent: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def partition(self) -> str:
        return self.query.get("partition", "")

    @property
    def session_id(self) -> str:
        return self.query.get("downloadid") or self.query.get("uploadid") or ""


class RequestLog:
    """Thread-safe; a request is in it before anything is sent back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[LoggedRequest] = []
        self._count = 0

    def begin(self, request: Request) -> LoggedRequest:
        with self._lock:
            self._count += 1
            logged = LoggedRequest(
                self._count,
                request.kind,
                request.method,
                request.path,
                request.query,
                _rows(request),
            )
            self._requests.append(logged)
        return logged

    def requests(self) -> list[LoggedRequest]:
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        with self._lock:
            self._requests.clear()


def _rows(request: Request) -> tuple[int, int] | None:
    if "rowrange" not in request.query:
        return None
    try:
        start, count = parse_row_range(request.query["rowrange"])
    except ServiceError:
        return None
    return start, start + count
