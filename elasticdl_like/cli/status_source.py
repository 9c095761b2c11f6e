"""Where the status of a job comes from: its running master, or what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elasticdl_like.cli.connection import RunningMaster, given_token, is_address, master_of
from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import MasterUnavailableError
from elasticdl_like.job_directory import JobDirectory, JobState

CUT_OFF = "cut off"
"""The state of a job that should be running, and has no master."""


class StatusSource:
    """Tells how a job stands.

    Args:
        job: a job directory, or the address of a running master.
        token_file: a file with the job's token, for an address; "" for the environment's.
        tls: the files of an encrypted connection.

    Raises:
        ConfigError: the token cannot be read.
    """

    def __init__(self, job: str, token_file: str, tls: TlsConfig) -> None:
        self._tls = tls
        self._master: RunningMaster | None = None
        self._directory = JobDirectory(Path(job))
        self._kept: dict[str, Any] = {}
        self._kept_version: object = None
        if is_address(job):
            self._master = RunningMaster(job, given_token(token_file), tls)

    def ask(self, details: bool = False) -> dict[str, Any]:
        """Returns the document of `elasticdl status --json`.

        Args:
            details: whether to add "coverage" and the last "events".

        Raises:
            MasterUnavailableError: there is no master at the address.
            ElasticdlError: the master refuses to answer, or nothing is kept of such a job.
        """
        if self._master is not None:
            return _without_ledger(self._master.status(details))
        live = live_status(self._directory, self._tls, details)
        return self._kept_status(details) if live is None else _without_ledger(live)

    def _kept_status(self, details: bool) -> dict[str, Any]:
        from elasticdl_like.master.reports import load_details, load_status

        # A long journal takes its time to read, and does not change while there is no master.
        version = self._directory.journal_version()
        if version is None or version != self._kept_version:
            self._kept = load_status(self._directory.path)
            if details:
                self._kept |= load_details(self._directory.path)
            self._kept_version = version
        if self._kept["state"] == JobState.RUNNING and not self._directory.in_use():
            gone = {"state": CUT_OFF, "reason": "its master is gone without a word"}
            return self._kept | gone
        return self._kept


def live_status(
    directory: JobDirectory, tls: TlsConfig, details: bool = False
) -> dict[str, Any] | None:
    """Returns what the running master of a job says, or None when there is none.

    Raises:
        ElasticdlError: it refuses to answer.
    """
    master = master_of(directory, tls)
    if master is None:
        return None
    try:
        return master.status(details)
    except MasterUnavailableError:
        return None  # it ended just now; what it kept is what counts


def _without_ledger(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "ledger"}
