"""What the lines mean that a job's pods write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elasticdl_like.job_directory import JobState
from elasticdl_like.master.progress import JobStatus


@dataclass(frozen=True)
class LogLine:
    """A line for people.

    Attributes:
        text: as it was written.
        message: what it says.
        level: the name of a logging level; "" of a line that no logger wrote.
        time_s: when it was written, in Unix seconds; None where it does not say.
    """

    text: str
    message: str
    level: str = ""
    time_s: float | None = None


@dataclass(frozen=True)
class JobResult:
    """How a job has ended.

    Attributes:
        state: finished or failed.
        reason: why it failed or ended early, else "".
    """

    state: JobState
    reason: str


@dataclass(frozen=True)
class FinalLedger:
    """The ledger of a job that is over."""

    ledger: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a finished evaluation has found or a prediction has left, as the command prints it."""

    document: Mapping[str, Any]


Entry = LogLine | JobStatus | FinalLedger | Outcome | JobResult


def parse_line(line: bytes) -> Entry:
    """Returns what a line of a pod's log says; one that is not understood is for people."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    try:
        plain = json.loads(text)
    except ValueError:
        return LogLine(text, text)
    try:
        match plain:
            case {"progress": progress}:
                return JobStatus.from_plain(progress)
            case {"result": {"state": state, "reason": str(reason)}}:
                return JobResult(JobState(state), reason)
            case {"ledger": dict(ledger)}:
                return FinalLedger(ledger)
            case {"outcome": dict(document)}:
                return Outcome(document)
            case {"time": float(time_s), "level": str(level), "message": str(message)}:
                traceback = plain.get("traceback")
                shown = f"{message}\n{traceback}" if traceback else message
                return LogLine(text, shown, level, time_s)
    except (KeyError, TypeError, ValueError):
        # Of an image with another version.
        return LogLine(text, text)
    return LogLine(text, text)


def parse_result(message: str) -> JobResult | None:
    """Returns the result that a master has left in its pod's status, or None if it has not."""
    try:
        plain = json.loads(message)
        return JobResult(JobState(plain["state"]), str(plain["reason"]))
    except (ValueError, KeyError, TypeError):
        return None


class NewLines:
    """Tells lines that were seen from new ones, when a log is read from its beginning again.

    A log may have lost its beginning by then, so that counting lines would not do.
    """

    def __init__(self) -> None:
        self._last_s = float("-inf")
        self._reads_again = False

    def read_again(self) -> None:
        """Notes that the same log is read from its beginning again."""
        self._reads_again = self._last_s > float("-inf")

    def is_new(self, line: LogLine) -> bool:
        """Returns whether a line was not seen before."""
        if line.time_s is not None:
            if line.time_s > self._last_s:
                self._last_s, self._reads_again = line.time_s, False
            return not self._reads_again
        return not self._reads_again
