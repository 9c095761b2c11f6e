"""The page of the window as one file, with a job's documents in it: to keep, or to mail around."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master import reports
from elasticdl_like.master.coverage import Coverage
from elasticdl_like.master.record_files import RecordFiles
from elasticdl_like.master.recovery import load_core
from elasticdl_like.secret_params import text_without_secrets
from elasticdl_like.window.documents import (
    config_document,
    coverage_document,
    encode,
    events_document,
    ledger_document,
)
from elasticdl_like.window.snapshot import DEFAULT_CELLS

_PLACE = "<!-- report-data -->"


def load_documents(job_directory: Path, status: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the page shows of a job, from its directory; nothing there is changed.

    Args:
        job_directory: the directory.
        status: how the job stands, as `elasticdl status --json` prints it.

    Raises:
        JournalError: there is no job in the directory, or its journal cannot be read.
        JobDirectoryError: another file of it cannot be read.
    """
    core = load_core(job_directory)
    directory = JobDirectory(job_directory.absolute())
    record = RecordFiles(directory, time.time, time.monotonic).load()
    epoch = core.queue.epochs.last()
    coverage = Coverage().document(None if epoch is None else epoch.view(), DEFAULT_CELLS)
    return {
        "status": {**status, "reason": text_without_secrets(status["reason"])},
        "ledger": ledger_document(reports.ledger_document(core)),
        "events": events_document(each.to_plain() for each in record.log.after(0)),
        "history": record.history.to_plain(),
        "coverage": coverage_document(coverage),
        "config": config_document(core.config, directory),
    }


def make_report(documents: Mapping[str, Any]) -> str:
    """Returns the HTML of the page with these documents in it; it is ASCII but for the page."""
    page = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    # Only "<" can end the element, or begin a comment in it; in JSON it may be written like this.
    data = encode(documents).replace("<", "\\u003c")
    before, _, after = page.partition(_PLACE)
    return f'{before}<script type="application/json" id="report-data">{data}</script>{after}'
