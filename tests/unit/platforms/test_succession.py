"""When a worker has a successor, and what the job is told."""

from __future__ import annotations

import pytest

from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.succession import TRY_AGAIN_S, Loss, Succession
from elasticdl_like.process_end import EndKind
from stand_in_job import StandInJob


class Scene:
    """Worker 3 of a job, under a clock that the test moves."""

    def __init__(self) -> None:
        self.job = StandInJob()
        self.now_s = 1000.0
        self.succession = Succession(self.job, 3, RestartPolicy(1), lambda: self.now_s)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_first_one_is_needed_at_once_and_one_that_was_put_off_later(scene: Scene) -> None:
    assert scene.succession.next_is_needed()
    scene.succession.put_off(5)
    assert not scene.succession.next_is_needed()
    scene.now_s += 5
    assert scene.succession.next_is_needed()


def test_one_that_was_let_go_has_a_successor_only_when_nobody_else_is_left(scene: Scene) -> None:
    scene.succession.started()
    scene.succession.let_go()
    scene.job.taking_part = {0}
    scene.now_s += TRY_AGAIN_S
    assert not scene.succession.next_is_needed()
    scene.job.taking_part = set()
    assert not scene.succession.next_is_needed()
    scene.now_s += TRY_AGAIN_S
    assert scene.succession.next_is_needed()


def test_ends_are_told_with_their_pauses_until_there_are_too_many_crashes(scene: Scene) -> None:
    scene.job.taking_part = {3}
    scene.succession.started()
    assert scene.succession.ended(EndKind.LOSS, "it is gone") == Loss("it is gone", 0.0)
    assert scene.succession.next_is_needed()
    scene.succession.started()
    crash = scene.succession.ended(EndKind.CRASH, "it ended")
    assert crash == Loss("it ended (crash 1, --max_worker_restarts 1)", 1.0)
    assert crash.successor_starts == "in 1 s"
    assert scene.succession.due_s == 1001.0
    scene.succession.started()
    assert scene.succession.ended(EndKind.CRASH, "it ended again") is None
    assert scene.job.losses == ["it is gone", crash.description, "it ended again"]
    assert scene.succession.times_crashed == "crash 2, --max_worker_restarts 1"


def test_one_that_ends_before_it_takes_part_is_not_lost(scene: Scene) -> None:
    assert scene.succession.ended(EndKind.LOSS, "it is gone") == Loss("it is gone", 0.0)
    assert scene.job.losses == []
