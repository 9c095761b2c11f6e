"""The events and the history of a job in its directory: whatever fails there hurts no job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from elasticdl_like.errors import JobDirectoryError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.event_log import EventFile, EventKind, EventLog
from elasticdl_like.master.history import History
from elasticdl_like.master.record import JobRecord

_logger = logging.getLogger(__name__)

_SAVE_INTERVAL_S = 10.0


class RecordedJob(Protocol):
    """Whose record it is."""

    def events(self, after_id: int) -> list[dict[str, Any]]:
        """Returns the events after one, as JSON."""

    def history(self) -> dict[str, Any]:
        """Returns the history, as JSON."""


class RecordFiles:
    """Where the record of a job is kept.

    Args:
        directory: the job's.
        wall_clock: the Unix time in seconds.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        directory: JobDirectory,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._wall_clock = wall_clock
        self._clock = clock
        self._event_file = EventFile(directory.events)
        self._event_id = 0
        self._saved_s: float | None = None
        self._has_failed = False

    def begin(self) -> JobRecord:
        """Returns the record of a job that begins now.

        Raises:
            JobDirectoryError: the directory cannot be written to.
        """
        started_s = self._wall_clock()
        self._directory.save_started(started_s)
        return JobRecord(self._wall_clock, started_s=started_s)

    def load(self) -> JobRecord:
        """Returns the record that was kept of a job; what of it cannot be read is left out."""
        events = self._event_file.load()
        self._event_id = events[-1].id if events else 0
        history = History()
        try:
            plain = self._directory.history()
            if plain is not None:
                history = History.from_plain(plain)
        except (JobDirectoryError, ValueError) as error:
            _logger.warning("the history of the job begins anew: %s", error)
        return JobRecord(self._wall_clock, EventLog(events), history, self._directory.started_s())

    def save(self, job: RecordedJob, at_end: bool = False) -> None:
        """Writes down what is due: events at once, the history from time to time.

        Args:
            job: the job.
            at_end: whether nothing more will come.
        """
        events = job.events(self._event_id)
        if events and self._event_file.append(events):
            self._event_id = events[-1]["id"]
        # The results of evaluations are few, and are not to be had again.
        has_result = any(each["kind"] == EventKind.EVALUATION for each in events)
        is_due = self._saved_s is None or self._clock() - self._saved_s > _SAVE_INTERVAL_S
        if is_due or has_result or at_end:
            self._save_history(job.history())

    def _save_history(self, history: dict[str, Any]) -> None:
        self._saved_s = self._clock()
        try:
            self._directory.save_history(history)
        except JobDirectoryError as error:
            if not self._has_failed:
                _logger.warning("%s; the job goes on, and it is tried again", error)
            self._has_failed = True
        else:
            self._has_failed = False
