"""The stream of updates: what one client has got, and what is new for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from elasticdl_like.window.documents import encode
from elasticdl_like.window.snapshot import Snapshots

UPDATE_INTERVAL_S = 1.0

_KEEP_ALIVE = ": nothing new\n\n"


class Cursor:
    """How far one client has been told."""

    def __init__(self) -> None:
        self._event_id = 0
        self._sample_s = -1.0
        self._evaluation_s = -1.0
        self._told: tuple[str, str] = ("", "")

    def update(self, snapshots: Snapshots) -> str:
        """Returns what is new as a server-sent event, or a comment when nothing is."""
        parts = (snapshots.status().text, snapshots.coverage().text)
        history = self._newer(snapshots.history().plain)
        events = snapshots.events(self._event_id)
        nothing = not history["samples"]["time_s"] and not history["evaluations"] and not events
        if nothing and self._told == parts:
            return _KEEP_ALIVE
        status, coverage = (
            "null" if part == told else part for part, told in zip(parts, self._told, strict=True)
        )
        self._told = parts
        if events:
            self._event_id = events[-1]["id"]
        data = (
            f'{{"status":{status},"history":{encode(history)},"events":{encode(events)},'
            f'"coverage":{coverage}}}'
        )
        return f"event: update\ndata: {data}\n\n"

    def _newer(self, history: Mapping[str, Any]) -> dict[str, Any]:
        samples = history["samples"]
        times = samples["time_s"]
        first = next(
            (index for index, time_s in enumerate(times) if time_s > self._sample_s), len(times)
        )
        if times:
            self._sample_s = times[-1]
        # By their time: the oldest ones are dropped, so that a number would not do.
        evaluations = [
            each for each in history["evaluations"] if each["time_s"] > self._evaluation_s
        ]
        if evaluations:
            self._evaluation_s = evaluations[-1]["time_s"]
        return {
            "samples": {name: values[first:] for name, values in samples.items()},
            "evaluations": evaluations,
        }


async def updates(snapshots: Snapshots, stopping: asyncio.Event) -> AsyncIterator[str]:
    """Yields updates for one client until the window closes; the last one says how it ended."""
    cursor = Cursor()
    while not stopping.is_set():
        yield cursor.update(snapshots)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), UPDATE_INTERVAL_S)
    snapshots.renew()
    yield cursor.update(snapshots)
