"""One worker's processes, real ones, under a job and a clock that the test moves."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from elasticdl_command import eventually
from elasticdl_like.job_directory import JobState
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.worker_process import MakeCommand, WorkerProcess
from elasticdl_like.platforms.worker_record import WorkerRecords
from elasticdl_like.platforms.worker_supervisor import WorkerSupervisor, end_all
from stand_in_job import StandInJob

PythonWorker = Callable[[str], MakeCommand]
Start = Callable[[WorkerRecords, MakeCommand, Path], WorkerProcess]
MakeScene = Callable[..., "Scene"]

SLEEP = "import time; time.sleep(600)"


class Scene:
    """A supervisor with all that it needs."""

    def __init__(self, directory: Path, command: MakeCommand, max_crashes: int = 3) -> None:
        self.job = StandInJob()
        self.job.taking_part = {0}
        self.records = WorkerRecords(directory)
        self.log_path = directory / "worker-0.log"
        self.command = command
        self.now_s = 1000.0
        self.supervisor = WorkerSupervisor(
            self.job,
            0,
            self.records,
            self.log_path,
            command,
            RestartPolicy(max_crashes),
            lambda: self.now_s,
        )

    @property
    def running(self) -> bool:
        process = self.supervisor.process
        return process is not None and process.running

    @property
    def pid(self) -> int | None:
        record = self.records.load(0)
        return None if record is None else record.pid

    def start(self) -> int:
        """Starts the first process of a new job; returns its id."""
        self.job.taking_part = set()
        self.supervisor.begin(anew=False)
        self.job.taking_part = {0}
        self.supervisor.watch()
        assert self.pid is not None
        return self.pid

    def watch_until(self, done: Callable[[], object]) -> None:
        def attempt() -> object:
            self.supervisor.watch()
            return done()

        eventually(attempt, 20)


@pytest.fixture
def make_scene(tmp_path: Path, python_worker: PythonWorker) -> Iterator[MakeScene]:
    """Makes a scene whose workers run a piece of Python."""
    scenes: list[Scene] = []

    def make(code: str = SLEEP, max_crashes: int = 3) -> Scene:
        scenes.append(Scene(tmp_path, python_worker(code), max_crashes))
        return scenes[-1]

    yield make
    end_all([scene.supervisor for scene in scenes])


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    return make_scene()


def test_a_new_job_gets_a_process_and_keeps_it(scene: Scene, start: Start) -> None:
    pid = scene.start()
    assert scene.job.supervised == [0]
    for _ in range(3):
        scene.supervisor.watch()
    assert scene.pid == pid
    assert scene.job.losses == []
    scene.job.state = JobState.FINISHED
    end_all([scene.supervisor])
    assert not Path(f"/proc/{pid}").exists()
    assert scene.records.load(0) is None
    assert scene.job.losses == []


def test_a_killed_worker_is_lost_and_replaced_at_once_then_later(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    first = scene.start()
    os.kill(first, signal.SIGKILL)
    with caplog.at_level(logging.WARNING):
        scene.watch_until(lambda: scene.pid not in (first, None))
    assert scene.job.losses == ["it was killed by SIGKILL"]
    assert caplog.messages == [
        "worker 0 is lost: it was killed by SIGKILL; the job goes on from step 1,234 (epoch 3) "
        f"with a new process now; log: {scene.log_path}"
    ]
    second = scene.pid
    assert second is not None
    caplog.clear()
    os.kill(second, signal.SIGTERM)
    with caplog.at_level(logging.WARNING):
        scene.watch_until(lambda: len(scene.job.losses) == 2)
    assert "with a new process in 1 s" in caplog.text
    scene.supervisor.watch()
    assert scene.records.load(0) is None
    scene.now_s += 1
    scene.supervisor.watch()
    assert scene.pid not in (first, second, None)


def test_crashes_are_counted_and_the_last_one_fails_the_job(make_scene: MakeScene) -> None:
    code = "import os; print('my last words', flush=True); os._exit(3)"
    scene = make_scene(code, max_crashes=1)
    scene.start()
    scene.watch_until(lambda: scene.job.state is JobState.FAILED)
    assert scene.job.losses == [
        "it ended with exit code 3 (crash 1, --max_worker_restarts 1)",
        "it ended with exit code 3",
    ]
    assert scene.job.failure == (
        "crash 2, --max_worker_restarts 1: worker 0 ended with exit code 3; the end of "
        f"{scene.log_path}:\n    my last words"
    )
    assert scene.log_path.read_text() == "my last words\n" * 2


def test_a_good_exit_before_the_end_is_a_crash(make_scene: MakeScene) -> None:
    scene = make_scene("", max_crashes=0)
    scene.start()
    scene.watch_until(lambda: scene.job.state is JobState.FAILED)
    assert "ended before its work was done (exit code 0)" in scene.job.failure


def test_an_exit_after_the_end_is_neither_loss_nor_crash(make_scene: MakeScene) -> None:
    scene = make_scene("")
    scene.start()
    scene.job.state = JobState.FINISHED
    scene.watch_until(lambda: not scene.running)
    end_all([scene.supervisor])
    assert (scene.job.losses, scene.job.failure) == ([], "")


def test_a_process_that_ends_before_it_takes_part_is_replaced(scene: Scene, start: Start) -> None:
    first = scene.start()
    scene.job.taking_part = set()
    os.kill(first, signal.SIGKILL)
    scene.watch_until(lambda: scene.pid not in (first, None))
    assert scene.job.losses == []


def test_a_full_disk_is_waited_for(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "0.json.tmp").mkdir()  # which stands in for it: no record can be written
    scene.supervisor.begin(anew=False)
    scene.supervisor.watch()
    (tmp_path / "0.json.tmp").rmdir()
    scene.supervisor.watch()
    assert scene.records.load(0) is None
    scene.now_s += 10
    scene.supervisor.watch()
    assert scene.pid is not None
    assert scene.job.failure == ""


def test_a_hung_process_is_killed_and_lost(scene: Scene, start: Start) -> None:
    first = scene.start()
    os.kill(first, signal.SIGSTOP)
    scene.supervisor.kill("it was silent for 60 s")
    scene.supervisor.kill("it was silent for 61 s")
    scene.watch_until(lambda: scene.pid not in (first, None))
    assert scene.job.losses == ["it was silent for 60 s, and was killed"]
    second = scene.pid
    assert second is not None
    os.kill(second, signal.SIGKILL)
    scene.watch_until(lambda: len(scene.job.losses) == 2)
    assert scene.job.losses[1] == "it was killed by SIGKILL"


def test_a_process_that_an_earlier_master_left_is_taken_over(scene: Scene, start: Start) -> None:
    left = start(scene.records, scene.command, scene.log_path)
    scene.supervisor.begin(anew=False)
    for _ in range(3):
        scene.supervisor.watch()
    assert scene.pid == left.pid
    assert left.running
    assert scene.job.losses == []
    left.kill()
    scene.watch_until(lambda: scene.pid not in (left.pid, None))
    # How it ended is for its parent to know.
    assert scene.job.losses == ["it is gone"]


def test_a_worker_that_died_with_its_master_is_lost_and_replaced(
    scene: Scene, start: Start
) -> None:
    left = start(scene.records, scene.command, scene.log_path)
    left.kill()
    assert left.wait(10)
    scene.supervisor.begin(anew=False)
    assert scene.job.losses == ["it ended while there was no master"]
    scene.supervisor.watch()
    assert scene.pid not in (left.pid, None)


def test_a_process_of_an_earlier_job_is_ended(scene: Scene, start: Start) -> None:
    left = start(scene.records, scene.command, scene.log_path)
    scene.job.taking_part = set()
    scene.supervisor.begin(anew=True)
    assert not left.running
    scene.supervisor.watch()
    assert scene.pid not in (left.pid, None)
    assert scene.job.losses == []


def test_ctrl_c_between_start_and_note_leaves_no_process(scene: Scene, start: Start) -> None:
    left = start(scene.records, scene.command, scene.log_path)
    end_all([scene.supervisor])
    assert not left.running
    assert scene.records.load(0) is None
    # The job goes on later, and then no longer counts on this process.
    assert scene.job.losses == ["it was ended with the command"]


def test_a_lost_worker_among_others(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    first = scene.start()
    scene.job.taking_part = {0, 1, 2}
    os.kill(first, signal.SIGKILL)
    with caplog.at_level(logging.WARNING):
        scene.watch_until(lambda: scene.pid not in (first, None))
    assert caplog.messages == [
        "worker 0 is lost: it was killed by SIGKILL; the job goes on with 2 others, and with a "
        f"new process now; log: {scene.log_path}"
    ]


LEAVES_WHEN_TOLD = f"""
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
print('ready', flush=True)
{SLEEP}
"""


def test_a_worker_that_leaves_unasked_is_lost(make_scene: MakeScene) -> None:
    scene = make_scene(LEAVES_WHEN_TOLD, max_crashes=0)
    first = scene.start()
    eventually(lambda: "ready" in scene.log_path.read_text(), 10)
    os.kill(first, signal.SIGTERM)
    scene.watch_until(lambda: scene.pid not in (first, None))
    assert scene.job.losses == ["it ended with exit code 143"]


def test_a_retired_worker_leaves_and_is_not_replaced(make_scene: MakeScene) -> None:
    scene = make_scene(LEAVES_WHEN_TOLD, max_crashes=0)
    scene.start()
    eventually(lambda: "ready" in scene.log_path.read_text(), 10)
    assert not scene.supervisor.retiring
    scene.supervisor.retire()
    scene.job.taking_part = set()  # it says goodbye
    scene.watch_until(lambda: scene.supervisor.process is None)
    assert scene.supervisor.retiring
    scene.now_s += 1000
    scene.supervisor.watch()
    assert scene.pid is None
    assert (scene.job.losses, scene.job.failure) == ([], "")


def test_a_retired_worker_that_does_not_leave_is_killed(
    make_scene: MakeScene, caplog: pytest.LogCaptureFixture
) -> None:
    code = f"import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
    scene = make_scene(code)
    pid = scene.start()
    eventually(lambda: "ready" in scene.log_path.read_text(), 10)
    scene.supervisor.retire()
    scene.now_s += 59
    scene.supervisor.watch()
    assert (scene.pid, scene.running) == (pid, True)
    scene.now_s += 1
    with caplog.at_level(logging.WARNING):
        scene.watch_until(lambda: scene.supervisor.process is None)
    assert caplog.messages == ["worker 0: it did not leave within 60 s, and was killed"]
    # It has not said goodbye, and the others must not wait for it.
    assert scene.job.losses == ["it was no longer wanted"]
    assert scene.pid is None


def test_a_worker_that_retires_while_it_waits_for_its_replacement(make_scene: MakeScene) -> None:
    scene = make_scene("import os; os._exit(3)")
    scene.start()
    scene.watch_until(lambda: len(scene.job.losses) == 2)
    assert scene.supervisor.process is None
    scene.supervisor.retire()
    scene.now_s += 1000
    scene.supervisor.watch()
    assert scene.supervisor.process is None


def test_a_worker_that_was_let_go_has_not_crashed(make_scene: MakeScene) -> None:
    scene = make_scene("", max_crashes=0)
    scene.start()
    scene.job.taking_part = set()  # it said goodbye
    scene.watch_until(lambda: scene.supervisor.process is None)
    assert (scene.job.losses, scene.job.failure) == ([], "")
    # The job should be over by now; if it is not, it goes on with another process.
    scene.supervisor.watch()
    assert scene.pid is None
    scene.now_s += 10
    scene.supervisor.watch()
    assert scene.pid is not None


def test_a_worker_that_was_let_go_leaves_the_rest_to_the_others(make_scene: MakeScene) -> None:
    scene = make_scene("")
    scene.start()
    scene.job.taking_part = {1}
    scene.watch_until(lambda: scene.supervisor.process is None)
    for _ in range(3):
        scene.now_s += 10
        scene.supervisor.watch()
        assert scene.pid is None
    scene.job.taking_part = set()
    scene.now_s += 10
    scene.supervisor.watch()
    assert scene.pid is not None


def test_variables_of_a_worker(tmp_path: Path, python_worker: PythonWorker) -> None:
    log_path = tmp_path / "log"
    job = StandInJob()
    supervisor = WorkerSupervisor(
        job,
        0,
        WorkerRecords(tmp_path),
        log_path,
        python_worker(f"import os; print(os.environ['MY_DEVICE'], flush=True); {SLEEP}"),
        RestartPolicy(0),
        lambda: 0.0,
        {"MY_DEVICE": "7"},
    )
    supervisor.begin(anew=False)
    try:
        supervisor.watch()
        eventually(lambda: log_path.read_text() == "7\n", 10)
    finally:
        end_all([supervisor])
