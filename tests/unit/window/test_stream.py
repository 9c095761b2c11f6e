"""What the stream tells one client."""

from __future__ import annotations

import json
from typing import Any

from stand_in_master import StandInJob

from elasticdl_like.window.snapshot import Snapshots
from elasticdl_like.window.stream import Cursor


def told(cursor: Cursor, job: StandInJob) -> dict[str, Any] | None:
    """Returns what a cursor says to a new look at the job; None for a comment."""
    text = cursor.update(Snapshots(job, lambda: 0.0))
    assert text.endswith("\n\n")
    if text.startswith(":"):
        return None
    event, data = text.strip().split("\n")
    assert event == "event: update"
    update: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return update


def test_the_first_update_has_everything() -> None:
    job = StandInJob()
    job.happen("begins")
    job.times = [1.0, 2.0]

    update = told(Cursor(), job)

    assert update is not None
    assert update["status"]["step"] == 21
    assert update["coverage"]["records"] == 1000
    assert [event["text"] for event in update["events"]] == ["begins"]
    assert update["history"]["samples"] == {"time_s": [1.0, 2.0], "step": [1, 2]}


def test_later_ones_have_what_is_new() -> None:
    job = StandInJob()
    job.happen("begins")
    job.times = [1.0, 2.0]
    job.evaluated = [1.5, 2.5]
    cursor = Cursor()
    told(cursor, job)
    job.happen("goes\non")
    job.times = [1.0, 3.0]  # thinned meanwhile
    job.evaluated = [2.5, 3.5]

    update = told(cursor, job)

    assert update is not None
    assert update["status"] is None
    assert update["coverage"] is None
    assert [event["text"] for event in update["events"]] == ["goes\non"]
    assert update["history"]["samples"] == {"time_s": [3.0], "step": [3]}
    assert [each["time_s"] for each in update["history"]["evaluations"]] == [3.5]


def test_nothing_new_is_a_comment() -> None:
    job = StandInJob()
    cursor = Cursor()
    told(cursor, job)

    assert told(cursor, job) is None
    job.finish()
    update = told(cursor, job)
    assert update is not None
    assert update["status"]["state"] == "finished"
