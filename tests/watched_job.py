"""Documents of a job, as a master answers."""

from __future__ import annotations

from typing import Any

SHARES = {
    "working": {"training": 0.7, "saving": 0.001},
    "waiting": {"reading": 0.2, "parsing": 0.1},
}


def worker(worker_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "worker_id": worker_id,
        "description": "host pid 12",
        "silent_s": 0.25,
        "seconds_spent": {},
        "time_shares": None,
        "recent_s": 30.0,
        "recent_time_shares": SHARES,
        "starvation": "",
        "num_retries": 0,
        "phase": "training",
        "rank": worker_id,
        "step": 1044,
        "records_per_s": 500.0,
    } | changes


def strip(*cells: list[float], records: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "records": records,
        "num_shards": 1,
        "cells": list(cells),
        "workers": [-1] * len(cells),
    } | changes


def coverage(*strips: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "type": "training",
        "epoch": 1,
        "records": 1000,
        "committed": 300,
        "tentative": 40,
        "leased": 60,
        "quarantined": 0,
        "waiting": 600,
        "num_shards": len(strips),
        "shards": list(strips),
    } | changes


def event(event_id: int, text: str, kind: str = "job") -> dict[str, Any]:
    return {"id": event_id, "time_s": 0.0, "kind": kind, "text": text, "worker_id": None}


def document(**changes: Any) -> dict[str, Any]:
    return {
        "job": "digits",
        "state": "running",
        "reason": "",
        "epoch": 1,
        "num_epochs": 4,
        "step": 1044,
        "records": 1340,
        "total_records": 4000,
        "records_per_s": 1000.0,
        "remaining_s": 75.0,
        "loss": 0.25,
        "evaluations": [],
        "workers_wanted": 2,
        "round": {"number": 3, "state": "running", "members": [0, 1], "since_s": 65.0},
        "workers": [worker(0), worker(1, rank=1)],
        "coverage": coverage(strip([0.5, 0.0, 0.0, 0.0])),
        "events": [event(1, "the job began")],
    } | changes
