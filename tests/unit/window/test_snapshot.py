"""One look at the job a second, however many clients look."""

from __future__ import annotations

import json

from stand_in_master import StandInJob

from elasticdl_like.window.snapshot import SNAPSHOT_AGE_S, Snapshots


class Clock:
    def __init__(self) -> None:
        self.now_s = 10.0

    def __call__(self) -> float:
        return self.now_s


def test_the_job_is_asked_once_for_all() -> None:
    job, clock = StandInJob(), Clock()
    snapshots = Snapshots(job, clock)

    for _ in range(5):
        snapshots.status()
        clock.now_s += SNAPSHOT_AGE_S / 10

    assert job.num_looks == 1
    clock.now_s += SNAPSHOT_AGE_S
    job.finish()
    assert snapshots.status().plain["state"] == "finished"
    assert json.loads(snapshots.status().text)["state"] == "finished"
    assert job.num_looks == 2


def test_renewed_ones_are_computed_at_once() -> None:
    job, clock = StandInJob(), Clock()
    snapshots = Snapshots(job, clock)
    assert snapshots.status().plain["state"] == "running"
    job.finish()

    snapshots.renew()

    assert snapshots.status().plain["state"] == "finished"


def test_pictures_differ_by_their_number_of_cells() -> None:
    snapshots = Snapshots(StandInJob(), Clock())

    assert [snapshots.coverage(cells).plain["cells"] for cells in range(1, 9)] == [*range(1, 9)]
