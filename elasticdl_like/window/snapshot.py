"""What the window shows of a job, computed at most once a second for all who look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from elasticdl_like.master.progress import JobStatus
from elasticdl_like.window.documents import (
    coverage_document,
    encode,
    events_document,
    ledger_document,
    status_document,
)

SNAPSHOT_AGE_S = 0.95
DEFAULT_CELLS = 4000
_MOST_PICTURES = 4

Value = TypeVar("Value")


class WatchedJob(Protocol):
    """What the window asks of a job."""

    def status(self) -> JobStatus: ...
    def ledger(self) -> dict[str, Any]: ...
    def events(self, after_id: int) -> list[dict[str, Any]]: ...
    def history(self) -> dict[str, Any]: ...
    def coverage(self, num_cells: int) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Document:
    """A document of the API, as it is and as its JSON."""

    plain: Mapping[str, Any]
    text: str


class Shared(Generic[Value]):
    """A value that is computed when it is asked for, and kept for a while.

    Args:
        compute: computes it.
        clock: monotonic time in seconds.
    """

    def __init__(self, compute: Callable[[], Value], clock: Callable[[], float]) -> None:
        self._compute = compute
        self._clock = clock
        self._kept: tuple[float, Value] | None = None

    def get(self) -> Value:
        """Returns the value, which is at most `SNAPSHOT_AGE_S` old."""
        now_s = self._clock()
        if self._kept is None or now_s - self._kept[0] >= SNAPSHOT_AGE_S:
            self._kept = now_s, self._compute()
        return self._kept[1]

    def forget(self) -> None:
        """Has it computed anew the next time."""
        self._kept = None


class Snapshots:
    """The documents that change while a job runs; to be used by one thread.

    Args:
        job: the job.
        clock: monotonic time in seconds.
    """

    def __init__(self, job: WatchedJob, clock: Callable[[], float]) -> None:
        self._job = job
        self._clock = clock
        self._status = Shared(lambda: _document(status_document(job.status())), clock)
        self._ledger = Shared(lambda: _document(ledger_document(job.ledger())), clock)
        self._history = Shared(lambda: _document(job.history()), clock)
        self._pictures: dict[int, Shared[Document]] = {}

    def status(self) -> Document:
        """Returns how the job stands."""
        return self._status.get()

    def ledger(self) -> Document:
        """Returns its ledger."""
        return self._ledger.get()

    def history(self) -> Document:
        """Returns its samples and evaluations."""
        return self._history.get()

    def coverage(self, cells: int = DEFAULT_CELLS) -> Document:
        """Returns the picture of the epoch, in so many cells at most."""
        if cells not in self._pictures:
            if len(self._pictures) >= _MOST_PICTURES:
                self._pictures.clear()
            compute = partial(self._coverage, cells)
            self._pictures[cells] = Shared(compute, self._clock)
        return self._pictures[cells].get()

    def events(self, after_id: int) -> list[dict[str, Any]]:
        """Returns what has happened after an event."""
        return events_document(self._job.events(after_id))

    def renew(self) -> None:
        """Has everything computed anew the next time."""
        for shared in (self._status, self._ledger, self._history, *self._pictures.values()):
            shared.forget()

    def _coverage(self, cells: int) -> Document:
        return _document(coverage_document(self._job.coverage(cells)))


def _document(plain: Mapping[str, Any]) -> Document:
    return Document(plain, encode(plain))
