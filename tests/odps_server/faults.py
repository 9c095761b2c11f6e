"""Faults: what goes wrong, with which requests, and how often."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass

from .errors import ServiceError
from .messages import Kind
from .request_log import LoggedRequest


class Action(enum.StrEnum):
    """What happens to a request that a fault matches.

    Those on bodies go by `at_byte`, counted in the body as it is sent (compressed, before the
    transfer encoding); from the end when negative.
    """

    RESET_BEFORE_HEADERS = "reset_before_headers"
    """The request is done, its reply lost: a connection reset instead."""
    RESET = "reset"
    """A connection reset after `at_byte` bytes of the body."""
    FIN = "fin"
    """The body ends after `at_byte` bytes, in a reply that only the end of the connection ends."""
    TRUNCATE = "truncate"
    """As FIN, but in the usual framing, so that the client can see that bytes are missing."""
    CORRUPT = "corrupt"
    """The byte at `at_byte` is sent with all its bits turned."""
    STATUS = "status"
    """The request is not done; the answer is `status` and `code`."""
    SLOW_FIRST_BYTE = "slow_first_byte"
    """`delay_s` pass before anything is sent."""
    SLOW_STREAM = "slow_stream"
    """The body goes out at `bytes_per_s`."""


_DELAYS = (Action.SLOW_FIRST_BYTE, Action.SLOW_STREAM)

_REFUSALS = {
    400: ("InvalidArgument", "Invalid argument"),
    401: ("Unauthorized", "The request authorization header is invalid or missing"),
    403: ("NoPermission", "You have no privilege to do the requested operation"),
    404: ("NoSuchDownload", "The specified download id does not exist"),
    429: ("FlowExceeded", "Your flow quota is exceeded"),
    500: ("InternalServerError", "Service internal error, please try again later"),
    502: ("BadGateway", "Bad gateway"),
    503: ("ServiceUnavailable", "Service is temporarily unavailable, Please try again later"),
    504: ("GatewayTimeout", "Gateway timeout"),
}


@dataclass(frozen=True)
class Fault:
    """A fault, and the requests that it befalls.

    Attributes:
        action: What happens.
        kind: Only requests of this kind; None for any.
        path: Only requests whose path and partition (`/api/projects/p/tables/t?ds=1`) contain this.
        row: Only requests for data whose row range contains this row.
        times: How many matching requests it befalls; None for all, until it is cleared.
        skip: How many matching requests it lets pass first.
        at_byte: Where in the body.
        status: HTTP status of a STATUS fault.
        code: Error code of a STATUS fault; "" for the usual one of `status`.
        delay_s: Seconds before the first byte.
        bytes_per_s: Speed of the body.
    """

    action: Action
    kind: Kind | None = None
    path: str = ""
    row: int | None = None
    times: int | None = 1
    skip: int = 0
    at_byte: int = 0
    status: int = 500
    code: str = ""
    delay_s: float = 0.0
    bytes_per_s: int = 0

    def __post_init__(self) -> None:
        if self.action is Action.SLOW_STREAM and self.bytes_per_s <= 0:
            raise ValueError("a SLOW_STREAM fault needs bytes_per_s")

    def matches(self, request: LoggedRequest) -> bool:
        return (
            self.kind in (None, request.kind)
            and self.path in f"{request.path}?{request.partition}"
            and (self.row is None or _contains(request.rows, self.row))
        )

    def refusal(self) -> ServiceError:
        code, message = _REFUSALS.get(self.status, ("InternalServerError", "Injected"))
        return ServiceError(self.status, self.code or code, message)


def _contains(rows: tuple[int, int] | None, row: int) -> bool:
    return rows is not None and rows[0] <= row < rows[1]


@dataclass
class _Waiting:
    fault: Fault
    to_skip: int
    left: int | None


class FaultList:
    """The faults of a server; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(_Waiting(fault, fault.skip, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def left(self) -> int:
        """How many faults have not yet befallen all their requests (those without end too)."""
        with self._lock:
            return len(self._waiting)

    def take(self, request: LoggedRequest) -> list[Fault]:
        """What befalls this request: any number of delays, and the first of the other faults."""
        taken: list[Fault] = []
        with self._lock:
            for waiting in self._waiting:
                is_delay = waiting.fault.action in _DELAYS
                if not is_delay and any(fault.action not in _DELAYS for fault in taken):
                    continue
                if not waiting.fault.matches(request):
                    continue
                if waiting.to_skip:
                    waiting.to_skip -= 1
                    continue
                if waiting.left is not None:
                    waiting.left -= 1
                taken.append(waiting.fault)
            self._waiting = [waiting for waiting in self._waiting if waiting.left != 0]
        return taken
