"""Several workers, real processes, under a job that says how many it wants."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from elasticdl_command import eventually
from elasticdl_like.job_directory import JobState
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.worker_fleet import WorkerFleet
from elasticdl_like.platforms.worker_process import (
    MakeCommand,
    WorkerProcess,
    end_processes,
    start_process,
)
from elasticdl_like.platforms.worker_record import WorkerRecords, is_alive
from elasticdl_like.platforms.worker_supervisor import WorkerSupervisor
from stand_in_job import StandInJob

PythonWorker = Callable[[str], MakeCommand]
MakeScene = Callable[..., "Scene"]

SLEEP = "import time; time.sleep(600)"
IGNORES_SIGTERM = f"import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); {SLEEP}"


class Scene:
    """A fleet with all that it needs."""

    def __init__(self, directory: Path, command: MakeCommand, wanted: int) -> None:
        self.job = StandInJob(wanted)
        self.records = WorkerRecords(directory)
        self.directory = directory
        self.command = command
        self.now_s = 1000.0
        self.left: list[WorkerProcess] = []
        self.fleet = WorkerFleet(self.job, self._make_supervisor)

    def _make_supervisor(self, worker_id: int) -> WorkerSupervisor:
        return WorkerSupervisor(
            self.job,
            worker_id,
            self.records,
            self.log_path(worker_id),
            self.command,
            RestartPolicy(0),
            lambda: self.now_s,
        )

    def log_path(self, worker_id: int) -> Path:
        return self.directory / f"worker-{worker_id}.log"

    def pids(self) -> dict[int, int]:
        """The processes by worker."""
        found = {}
        for worker_id in self.records.worker_ids():
            record = self.records.load(worker_id)
            if record is not None and record.pid is not None:
                found[worker_id] = record.pid
        return found

    def start(self) -> dict[int, int]:
        """Starts the workers of a new job; returns their processes."""
        self.fleet.begin([], anew=False)
        self.fleet.watch()
        return self.pids()

    def watch_until(self, done: Callable[[], object]) -> None:
        def attempt() -> object:
            self.fleet.watch()
            return done()

        eventually(attempt, 20)

    def leave_behind(self, worker_id: int) -> WorkerProcess:
        """Starts the process of a worker as an earlier master would have."""
        log_path = self.log_path(worker_id)
        self.left.append(start_process(self.records, worker_id, self.command, log_path))
        return self.left[-1]


@pytest.fixture
def make_scene(tmp_path: Path, python_worker: PythonWorker) -> Iterator[MakeScene]:
    """Makes a scene whose workers run a piece of Python."""
    scenes: list[Scene] = []

    def make(wanted: int, code: str = SLEEP) -> Scene:
        scenes.append(Scene(tmp_path, python_worker(code), wanted))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.fleet.end()
        end_processes(scene.left)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_as_many_workers_as_wanted_each_with_a_log(make_scene: MakeScene) -> None:
    scene = make_scene(3)
    pids = scene.start()
    assert list(pids) == [0, 1, 2]
    assert scene.job.supervised == [0, 1, 2]
    assert all(scene.log_path(worker_id).exists() for worker_id in pids)
    for _ in range(3):
        scene.fleet.watch()
    assert scene.pids() == pids


def test_a_killed_worker_is_replaced_under_its_number(make_scene: MakeScene) -> None:
    scene = make_scene(3)
    pids = scene.start()
    scene.job.taking_part = {0, 1, 2}
    os.kill(pids[1], signal.SIGKILL)
    scene.watch_until(lambda: scene.pids().get(1) not in (pids[1], None))
    assert scene.job.lost == [1]
    assert {**scene.pids(), 1: pids[1]} == pids


def test_the_fleet_grows_and_shrinks_as_the_job_wants(make_scene: MakeScene) -> None:
    scene = make_scene(2)
    pids = scene.start()
    scene.job.workers_wanted = 4
    scene.fleet.watch()
    grown = scene.pids()
    assert list(grown) == [0, 1, 2, 3]
    scene.job.workers_wanted = 1
    scene.watch_until(lambda: list(scene.pids()) == [0])
    assert scene.pids() == {0: pids[0]}
    assert not any(alive(pid) for worker_id, pid in grown.items() if worker_id)
    assert (scene.job.lost, scene.job.failure) == ([], "")
    scene.job.workers_wanted = 2
    scene.watch_until(lambda: list(scene.pids()) == [0, 1])


def test_nobody_starts_until_those_who_retire_have_left(make_scene: MakeScene) -> None:
    scene = make_scene(3, IGNORES_SIGTERM)
    pids = scene.start()
    eventually(scene.log_path(2).read_text, 10)
    scene.job.workers_wanted = 2
    scene.fleet.watch()
    scene.job.workers_wanted = 3
    scene.fleet.watch()
    assert scene.pids() == pids
    scene.now_s += 60
    scene.watch_until(lambda: scene.pids().get(2) not in (pids[2], None))
    assert list(scene.pids()) == [0, 1, 2]
    assert not alive(pids[2])


def test_a_number_of_a_worker_that_was_started_by_hand_is_not_free(make_scene: MakeScene) -> None:
    scene = make_scene(1)
    scene.start()
    scene.job.taking_part = {0, 1}
    scene.job.workers_wanted = 2
    scene.fleet.watch()
    assert list(scene.pids()) == [0, 2]


def test_a_hung_worker_is_killed_and_one_without_a_process_is_lost(make_scene: MakeScene) -> None:
    scene = make_scene(2)
    pids = scene.start()
    scene.job.taking_part = {0, 1, 7}
    os.kill(pids[1], signal.SIGSTOP)
    scene.job.hung = [(1, "it was silent for 60 s"), (7, "it was silent for 61 s")]
    scene.fleet.watch()
    scene.job.hung = []
    scene.watch_until(lambda: scene.pids().get(1) not in (pids[1], None))
    assert scene.job.lost == [7, 1]
    assert scene.job.losses == ["it was silent for 61 s", "it was silent for 60 s, and was killed"]


def test_what_an_earlier_master_left_is_taken_over(make_scene: MakeScene) -> None:
    scene = make_scene(3)
    left = {worker_id: scene.leave_behind(worker_id) for worker_id in (0, 2, 5)}
    scene.fleet.begin(scene.records.worker_ids(), anew=False)
    scene.fleet.watch()
    assert scene.pids() == {worker_id: process.pid for worker_id, process in left.items()}
    scene.job.workers_wanted = 2
    scene.watch_until(lambda: list(scene.pids()) == [0, 2])
    assert not left[5].running


def test_what_is_missing_of_what_an_earlier_master_left_is_started(make_scene: MakeScene) -> None:
    scene = make_scene(2)
    left, gone = scene.leave_behind(4), scene.leave_behind(3)
    gone.kill()
    assert gone.wait(10)
    scene.job.taking_part = {3, 4}
    scene.fleet.begin(scene.records.worker_ids(), anew=False)
    scene.fleet.watch()
    assert list(scene.pids()) == [0, 4]
    assert scene.pids()[4] == left.pid
    assert scene.job.lost[:1] == [3]


def test_processes_of_an_earlier_job_are_ended(make_scene: MakeScene) -> None:
    scene = make_scene(1)
    left = [scene.leave_behind(worker_id) for worker_id in (0, 1)]
    scene.fleet.begin(scene.records.worker_ids(), anew=True)
    assert not any(process.running for process in left)
    scene.fleet.watch()
    assert list(scene.pids()) == [0]


def test_the_end_comes_to_all_side_by_side(make_scene: MakeScene) -> None:
    scene = make_scene(3, IGNORES_SIGTERM)
    pids = scene.start()
    for worker_id in pids:
        eventually(scene.log_path(worker_id).read_text, 10)
    stopped = [pids[0], pids[2]]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    scene.job.taking_part = {0, 1, 2}
    scene.fleet.end()
    assert not any(alive(pid) for pid in pids.values())
    assert scene.pids() == {}
    assert scene.job.losses == ["it was ended with the command"] * 3


def test_workers_without_work_are_waited_for(
    make_scene: MakeScene, caplog: pytest.LogCaptureFixture
) -> None:
    scene = make_scene(2, "import sys; sys.argv[1] == '1' and sys.exit(0); " + SLEEP)
    pids = scene.start()
    eventually(lambda: not is_alive(psutil.Process(pids[1])), 10)
    scene.job.state = JobState.FINISHED
    scene.fleet.wait(0.1)
    assert caplog.messages == ["worker 0 has left the job but does not exit; it is ended"]
    scene.fleet.end()
    assert not any(alive(pid) for pid in pids.values())
    assert scene.job.lost == []
