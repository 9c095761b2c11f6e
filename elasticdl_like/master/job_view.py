"""What people are shown of a running job: how it stands, and how it came to that."""

from __future__ import annotations

from typing import Any

from elasticdl_like.job_directory import JobState
from elasticdl_like.master.epoch_view import EpochView
from elasticdl_like.master.progress import JobStatus, RateMeter
from elasticdl_like.master.reports import job_status, ledger_document, outcome_document
from elasticdl_like.master.shared_core import SharedCore
from elasticdl_like.master.shared_coverage import SharedCoverage


class JobView:
    """Shows a job; any thread may ask.

    Args:
        shared: the job, behind its lock.
    """

    def __init__(self, shared: SharedCore) -> None:
        self._shared = shared
        self._core = shared.core
        self._record = shared.record
        self._coverage = SharedCoverage(self._epoch, shared.clock)
        self.start_rate()

    def status(self) -> JobStatus:
        """Returns how the job stands."""
        with self._shared.lock:
            return self._status()

    def ledger(self) -> dict[str, Any]:
        """Returns the ledger, as its JSON."""
        with self._shared.lock:
            return ledger_document(self._core)

    def outcome(self) -> dict[str, Any]:
        """Returns what a finished evaluation has found or a prediction has left, as its JSON."""
        with self._shared.lock:
            return outcome_document(self._core)

    def events(self, after_id: int) -> list[dict[str, Any]]:
        """Returns what has happened after an event, the last 1000 at most, as JSON."""
        with self._shared.lock:
            self._record.look(self._core)
            return [event.to_plain() for event in self._record.log.after(after_id)]

    def history(self) -> dict[str, Any]:
        """Returns how the job went over time, as JSON."""
        with self._shared.lock:
            self.sample_if_due()
            return self._record.history.to_plain()

    def coverage(self, num_cells: int) -> dict[str, Any]:
        """Returns what became of the records of the epoch that the job is in, or of its last one.

        Args:
            num_cells: in how many cells they are drawn at most.

        Returns:
            JSON, not to be changed; it may be a second old.
        """
        is_over = self._core.state is not JobState.RUNNING
        return self._coverage.document(num_cells, is_last=is_over)

    def sample_if_due(self) -> None:
        """Keeps how the job stands for its history, each second; to be called with the lock."""
        self._record.look(self._core)
        if self._record.is_sample_due(self._core):
            self._record.sample(self._core, self._status())

    def start_rate(self) -> None:
        """Measures the rate from here on; to be called with the lock."""
        self._rate = RateMeter()
        self._status()

    def _status(self) -> JobStatus:
        return job_status(self._core, self._rate, self._shared.clock(), self._record.started_s)

    def _epoch(self) -> EpochView | None:
        with self._shared.lock:
            epoch = self._core.queue.epochs.last()
            return None if epoch is None else epoch.view()
