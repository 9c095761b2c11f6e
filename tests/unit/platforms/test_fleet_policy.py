"""Which workers are started, retired and killed."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from elasticdl_like.platforms.fleet_policy import FleetChange, fleet_change, kill_hung_workers
from stand_in_job import StandInJob


@pytest.mark.parametrize(
    ("active", "wanted", "taken", "start", "retire"),
    [
        ([], 3, [], [0, 1, 2], []),
        ([0, 1], 4, [], [2, 3], []),
        ([0, 2], 3, [], [1], []),
        ([0, 2], 4, [1], [3, 4], []),
        ([0, 1, 2, 3], 2, [], [], [3, 2]),
        ([5, 0, 3], 1, [], [], [5, 3]),
        ([0, 1], 2, [2], [], []),
    ],
)
def test_changes_of_a_fleet(
    active: Collection[int], wanted: int, taken: list[int], start: list[int], retire: list[int]
) -> None:
    change = fleet_change(active, wanted, lambda number: number in taken)
    assert (list(change.start), list(change.retire)) == (start, retire)


def test_no_number_is_looked_at_when_nobody_is_missing() -> None:
    def is_taken(number: int) -> bool:
        raise AssertionError(number)

    assert fleet_change([0], 1, is_taken) == FleetChange(start=[])


class Supervisor:
    """Notes why it was to kill its worker."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def kill(self, reason: str) -> None:
        self.reasons.append(reason)


def test_a_hung_worker_is_killed_and_one_that_nobody_watches_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    job, supervisors = StandInJob(), {0: Supervisor(), 1: Supervisor()}
    job.hung = [(1, "it was silent for 60 s"), (7, "it was silent for 61 s")]
    kill_hung_workers(job, supervisors)
    assert (supervisors[0].reasons, supervisors[1].reasons) == ([], ["it was silent for 60 s"])
    assert (job.lost, job.losses) == ([7], ["it was silent for 61 s"])
    assert caplog.messages == ["worker 7 is lost: it was silent for 61 s"]
