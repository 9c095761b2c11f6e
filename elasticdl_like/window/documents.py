"""The documents of the API: what is in them, and how they become JSON.

docs/status_page.md describes them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from elasticdl_like.config import JobConfig
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.secret_params import text_without_secrets, without_secrets


def encode(document: Any) -> str:
    """Returns a document as JSON; numbers that JSON has no words for, like NaN, become null."""
    try:
        return json.dumps(document, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(document), allow_nan=False, separators=(",", ":"))


def status_document(status: JobStatus) -> dict[str, Any]:
    """Returns how a job stands; the reason may quote an error, and that an address."""
    return status.to_plain() | {"reason": text_without_secrets(status.reason)}


def ledger_document(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a job's ledger; reasons, and names of shards, may be or quote addresses."""
    return {**ledger, "quarantined": without_secrets(ledger["quarantined"])}


def events_document(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns what has happened to a job."""
    return [{**event, "text": text_without_secrets(event["text"])} for event in events]


def coverage_document(coverage: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the picture of an epoch."""
    shards = [
        {**strip, "name": text_without_secrets(strip["name"])} for strip in coverage["shards"]
    ]
    return {**coverage, "shards": shards}


def config_document(config: JobConfig, directory: JobDirectory) -> dict[str, Any]:
    """Returns what a job is asked to do, without secrets, and how one goes on with it."""
    plain: dict[str, Any] = without_secrets(dataclasses.asdict(config))
    return plain | {
        "resume_command": directory.resume_command(),
        "job_dir": str(directory.path),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
