"""From a journal to the state that it tells of."""

from __future__ import annotations

from pathlib import Path

from elasticdl_like.errors import ElasticdlError, JournalError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.core_codec import core_from_plain
from elasticdl_like.master.events import decode_event
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.journal import Journal


def recover(journal: Journal, worker_timeout_s: float = 0.0) -> JobCore:
    """Returns the job as it was when its last event became durable.

    Args:
        journal: its journal.
        worker_timeout_s: a silent worker that no platform watches is lost after this time.

    Raises:
        JournalError: the journal is damaged, or from another version.
    """
    with journal.reading():
        tables, snapshot, entries = journal.tables(), journal.snapshot(), list(journal.events())
    try:
        core = core_from_plain(tables, snapshot, worker_timeout_s)
        for kind, body in entries:
            core.replay(decode_event(kind, body))
    except (ElasticdlError, ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, JournalError):
            raise
        raise JournalError(
            f"{journal.path} cannot be read ({error!r}); use the version of elasticdl that wrote "
            "it, or start the job anew with --overwrite"
        ) from error
    return core


def load_core(job_directory: Path) -> JobCore:
    """Returns the job of a directory, whether it has a master now or not.

    Raises:
        JournalError: there is no job, or its journal cannot be read.
    """
    journal = Journal(JobDirectory(job_directory).journal, create=False)
    try:
        return recover(journal)
    finally:
        journal.close()
