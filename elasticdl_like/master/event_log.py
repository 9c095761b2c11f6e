"""What has happened to a job, for people: the last events in memory, all of them in a file.

The journal is what a job is recovered from; this is what its user is shown. Losing the last of
these events hurts nobody, and neither does a disk that is full.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

_logger = logging.getLogger(__name__)

_MOST_EVENTS = 1000
_MOST_CHARACTERS = 500
# So much of a file is read, which is enough for the last events.
_TAIL_SIZE_BYTES = 1 << 20


class EventKind(StrEnum):
    """What an event is about."""

    JOB = "job"
    WORKER_JOINED = "worker_joined"
    WORKER_LEFT = "worker_left"
    WORKER_LOST = "worker_lost"
    ROUND = "round"
    EPOCH = "epoch"
    EVALUATION = "evaluation"
    CHECKPOINT = "checkpoint"
    QUARANTINE = "quarantine"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that has happened to a job.

    Attributes:
        id: from 1 on, in the order in which the events happened.
        time_s: when, in Unix seconds.
        kind: what it is about.
        text: it, in words.
        worker_id: the worker that it is about, or None.
    """

    id: int
    time_s: float
    kind: EventKind
    text: str
    worker_id: int | None = None

    def to_plain(self) -> dict[str, Any]:
        """Returns the event as JSON."""
        return asdict(self) | {"kind": str(self.kind)}

    @classmethod
    def from_json(cls, line: bytes) -> JobEvent:
        """Reads an event from a line of the file.

        Raises:
            ValueError: the line holds none that this version knows.
        """
        try:
            plain = json.loads(line)
            worker_id = plain["worker_id"]
            return cls(
                int(plain["id"]),
                float(plain["time_s"]),
                EventKind(plain["kind"]),
                str(plain["text"]),
                None if worker_id is None else int(worker_id),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{line!r} is no event") from error


class EventLog:
    """The last events of a job.

    Args:
        events: those of the masters before this one.
    """

    def __init__(self, events: Iterable[JobEvent] = ()) -> None:
        self._events = deque(events, _MOST_EVENTS)
        self._next_id = self._events[-1].id + 1 if self._events else 1

    def add(
        self, time_s: float, kind: EventKind, text: str, worker_id: int | None = None
    ) -> JobEvent:
        """Adds an event, and returns it; a long text is cut."""
        text = " ".join(text.split())
        if len(text) > _MOST_CHARACTERS:
            text = text[: _MOST_CHARACTERS - 1] + "…"
        event = JobEvent(self._next_id, time_s, kind, text, worker_id)
        self._next_id += 1
        self._events.append(event)
        return event

    def after(self, event_id: int) -> Sequence[JobEvent]:
        """Returns the events after one, the oldest first; the last 1000 at most."""
        newer = []
        for event in reversed(self._events):
            if event.id <= event_id:
                break
            newer.append(event)
        return newer[::-1]


class EventFile:
    """The events of a job in a file, one JSON object a line.

    Args:
        path: the file; it need not exist. This process alone writes to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size_bytes = 0  # of what is whole
        self._has_failed = False

    def load(self) -> Sequence[JobEvent]:
        """Returns the last events; what cannot be read is left out, a torn last line above all."""
        try:
            with self._path.open("rb") as file:
                start = max(file.seek(0, os.SEEK_END) - _TAIL_SIZE_BYTES, 0)
                file.seek(start)
                tail = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            _logger.warning("%s cannot be read: %s", self._path, error.strerror)
            return []
        whole = tail[: tail.rfind(b"\n") + 1]
        self._size_bytes = start + len(whole)
        events: list[JobEvent] = []
        for line in whole.splitlines():
            try:
                event = JobEvent.from_json(line)
            except ValueError:
                continue
            if not events or event.id > events[-1].id:
                events.append(event)
        return events

    def append(self, events: Sequence[Mapping[str, Any]]) -> bool:
        """Writes events down, as their JSON, and returns whether that went well.

        It warns the first time that it does not.
        What was written of them before it failed is overwritten the next time.
        """
        lines = "".join(f"{json.dumps(each)}\n" for each in events).encode()
        try:
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as file:
                file.truncate(self._size_bytes)
                file.seek(self._size_bytes)
                file.write(lines)
        except OSError as error:
            if not self._has_failed:
                _logger.warning(
                    "events cannot be written to %s (%s); the job goes on, and it is tried again",
                    self._path,
                    error.strerror,
                )
            self._has_failed = True
            return False
        self._size_bytes += len(lines)
        self._has_failed = False
        return True
