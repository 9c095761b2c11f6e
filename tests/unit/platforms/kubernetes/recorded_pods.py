"""Pods as a real cluster described them, made into those of workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from elasticdl_like.platforms.kubernetes.places import INCARNATION_ANNOTATION, WORKER_LABEL

_RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> dict[str, Any]:
    """The pod and its events, as `pod` and `events`."""
    plain: dict[str, Any] = json.loads((_RECORDED / f"{name}.json").read_bytes())
    return plain


def worker_pod(kind: str, name: str, worker_id: int, incarnation: str = "") -> dict[str, Any]:
    """A pod of that kind under another name, as the one of a worker."""
    pod: dict[str, Any] = recorded(kind)["pod"]
    pod["metadata"] |= {
        "name": name,
        "labels": {WORKER_LABEL: str(worker_id)},
        "annotations": {INCARNATION_ANNOTATION: incarnation},
    }
    return pod
