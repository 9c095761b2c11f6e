"""How long is work held up when a process is killed?

Each is killed with SIGKILL while it works. A master, with 4 workers that lease 16 tasks a call and
wait for it: from the start of the same command to the first new lease, with a journal as it
happens to be, and with one of 5,000 events since its last snapshot. A worker of the data plane
that had done half of its task: from its death to the lease of the other half, with a lease
time-out of 10 s. The one worker that trains the digits model under `elasticdl train`, with a
checkpoint each 50 steps: from its death to the next step that counts, and the records that are
trained on again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from comparison import Figure, figure_table
from masters import end, running_master, synthetic_data, wait_for_endpoint

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import PermanentError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.platforms.worker_record import WorkerRecords
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import open_channel
from elasticdl_like.tasks import Commit, EpochKey, Interval, Lease, TaskType
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator

Found = TypeVar("Found")

MODEL_ZOO = Path(__file__).parents[1] / "model_zoo"
NUM_TASKS = 100_000_000
KEY = EpochKey(TaskType.TRAINING, 0)
WORKERS = 4
MAX_LEASES = 16
MASTER_ROUNDS = 5
NEARLY_FULL_EVENTS = 4_900
VICTIMS = 5
TRAINING_ROUNDS = 5
MINIBATCH = 64
CHECKPOINT_STEPS = 50
WAIT_S = 120.0
MOST_MASTER_S = 3.0
MOST_LEASE_S = 11.0
MOST_STEP_S = 6.0


def wait_for(attempt: Callable[[], Found | None], pause_s: float = 0.01) -> Found:
    """Returns the first result that is not None, asking again and again."""
    give_up_s = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_s:
        found = attempt()
        if found is not None:
            return found
        time.sleep(pause_s)
    raise RuntimeError(f"nothing within {WAIT_S:.0f} s")


class BusyWorker(threading.Thread):
    """A worker that leases and reports all the time, through every outage of its master.

    Attributes:
        leases: each lease that it got, and when.
    """

    def __init__(self, job_directory: Path, max_leases: int) -> None:
        super().__init__(daemon=True)
        self.leases: list[tuple[float, Lease]] = []
        self._max_leases = max_leases
        self._client = MasterClient(MasterLocator.of_job(job_directory), WAIT_S)

    def run(self) -> None:
        with contextlib.suppress(PermanentError):  # in the end the connection is closed
            self._work()

    def stop(self) -> None:
        self._client.close()
        self.join()

    def first_since(self, since_s: float) -> float | None:
        """Returns when it got its first lease after some moment."""
        found = None
        for got_s, _ in reversed(self.leases):
            if got_s < since_s:
                break
            found = got_s
        return found

    def _work(self) -> None:
        self._client.register(None, "benchmark")
        commits: list[Commit] = []
        with Heartbeat(self._client, 2.0):
            for step in range(1, sys.maxsize):
                reply = self._client.commit_and_lease(KEY, commits, self._max_leases)
                now_s = time.monotonic()
                self.leases += [(now_s, lease) for lease in reply.leases]
                commits = [Commit(step, [whole(lease) for lease in reply.leases])]


def whole(lease: Lease) -> Interval:
    return Interval(lease.token, lease.start_position, lease.end_position)


def num_events(job_directory: Path) -> int:
    """Returns how many events the journal has after its snapshot."""
    with contextlib.closing(sqlite3.connect(JobDirectory(job_directory).journal)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM events")
    return int(count)


def master_restarts(folder: Path) -> list[Figure]:
    job_directory = folder / "restarts"
    flags = synthetic_data(NUM_TASKS)
    workers: list[BusyWorker] = []
    first: dict[bool, list[float]] = {False: [], True: []}
    last: dict[bool, list[float]] = {False: [], True: []}
    nearly_full = False
    try:
        for number in range(2 * MASTER_ROUNDS + 1):
            start_s = time.monotonic()
            with running_master(job_directory, *flags) as master:
                if not workers:
                    workers = [BusyWorker(job_directory, MAX_LEASES) for _ in range(WORKERS)]
                    for worker in workers:
                        worker.start()
                leased_s = [
                    wait_for(functools.partial(worker.first_since, start_s)) for worker in workers
                ]
                if number:
                    first[nearly_full].append(min(leased_s) - start_s)
                    last[nearly_full].append(max(leased_s) - start_s)
                nearly_full = number % 2 == 1
                if nearly_full:
                    wait_for(lambda: num_events(job_directory) >= NEARLY_FULL_EVENTS or None)
                master.process.kill()
                master.process.wait()
    finally:
        for worker in workers:
            worker.stop()
    return [
        Figure("master restarted: s to the first lease", first[False], at_most=MOST_MASTER_S),
        Figure("s to the last worker's lease", last[False]),
        Figure("5,000 events to replay: s to the first lease", first[True], at_most=MOST_MASTER_S),
        Figure("s to the last worker's lease", last[True]),
    ]


def be_a_victim(job_directory: Path) -> None:
    """Does half of a task, says which, and waits for its death."""
    client = MasterClient(MasterLocator.of_job(job_directory), WAIT_S)
    client.register(None, "victim")
    (lease,) = client.commit_and_lease(KEY, [], 1).leases
    middle = (lease.start_position + lease.end_position) // 2
    half = Interval(lease.token, lease.start_position, middle)
    client.commit_and_lease(KEY, [Commit(1, [half])], 0)
    with Heartbeat(client, 2.0):
        print(json.dumps([lease.task.shard_name, lease.task.start, middle]), flush=True)
        signal.pause()


def dead_data_workers(folder: Path) -> list[Figure]:
    job_directory = folder / "victims"
    with contextlib.ExitStack() as stack:
        stack.enter_context(running_master(job_directory, *synthetic_data(NUM_TASKS)))
        killed_s: dict[tuple[str, int, int], float] = {}
        command = [sys.executable, __file__, str(job_directory)]
        victims = []
        for _ in range(VICTIMS):
            victim = subprocess.Popen(command, stdout=subprocess.PIPE)
            stack.callback(end, victim)
            victims.append(victim)
        rests = []
        for victim in victims:
            assert victim.stdout is not None
            shard_name, start, middle = json.loads(victim.stdout.readline())
            rests.append((shard_name, start, middle))
        worker = BusyWorker(job_directory, 1)
        worker.start()
        stack.callback(worker.stop)
        for victim, rest in zip(victims, rests, strict=True):
            victim.kill()
            killed_s[rest] = time.monotonic()
            # So that they do not all die at the same distance from their heartbeats.
            time.sleep(0.7)

        def find(rest: tuple[str, int, int]) -> float | None:
            for got_s, lease in list(worker.leases):
                if (lease.task.shard_name, lease.task.start, lease.start_position) == rest:
                    return got_s
            return None

        delays_s = [
            wait_for(lambda rest=rest: find(rest), pause_s=0.2) - killed_s[rest]  # type: ignore[misc]
            for rest in rests
        ]
    return [Figure("data worker killed: s to the lease of its rest", delays_s, MOST_LEASE_S)]


class Status:
    """Asks a master how its job stands."""

    def __init__(self, address: str, token: str) -> None:
        self._channel = open_channel(address, token, TlsConfig())
        self._stub = elasticdl_pb2_grpc.MasterStub(self._channel)  # type: ignore[no-untyped-call]

    def __call__(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._stub.Status(pb.StatusRequest()).status_json)
        return status

    def close(self) -> None:
        self._channel.close()


def dead_trainer(folder: Path) -> list[Figure]:
    data, job_directory = folder / "data", folder / "train"
    subprocess.run([sys.executable, MODEL_ZOO / "digits" / "make_data.py", data], check=True)
    command = [sys.executable, "-m", "elasticdl_like", "train"]
    command += [f"--job_dir={job_directory}", f"--model_zoo={MODEL_ZOO}"]
    command += ["--model_def=digits.digits_cnn.custom_model", f"--training_data={data / 'train'}"]
    command += [f"--minibatch_size={MINIBATCH}", "--num_epochs=1000000"]
    command += [f"--checkpoint_steps={CHECKPOINT_STEPS}"]
    log_path = folder / "train.log"
    with contextlib.ExitStack() as stack:
        with log_path.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(end, process)
        directory = JobDirectory(job_directory)
        address = wait_for_endpoint(directory, process, log_path)
        status = Status(address, directory.token())
        stack.callback(status.close)
        pauses_s, redone = [], []
        for number in range(TRAINING_ROUNDS):
            # At another distance from the last checkpoint each time.
            num_steps = 2 * CHECKPOINT_STEPS + CHECKPOINT_STEPS * number // TRAINING_ROUNDS
            pause_s, num_redone = kill_trainer(status, directory, num_steps)
            pauses_s.append(pause_s)
            redone.append(float(num_redone))
    return [
        Figure("trainer killed: s to the next step", pauses_s, MOST_STEP_S),
        Figure("records trained on again", redone),
    ]


def kill_trainer(status: Status, directory: JobDirectory, num_steps: int) -> tuple[float, int]:
    """Kills the trainer after some steps; returns how long the next step took, and what is redone.

    Both from what the master knows: steps that it has not heard of are redone, too.
    """
    base = status()["step"]
    wait_for(lambda: status()["step"] > base + num_steps or None)
    record = WorkerRecords(directory.workers).load(0)
    assert record is not None
    assert record.pid is not None
    before = status()
    os.kill(record.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    adopted = wait_for(lambda: after_death(status(), before))
    wait_for(lambda: status()["step"] > adopted or None)
    return time.monotonic() - killed_s, (before["step"] - adopted) * MINIBATCH


def after_death(now: dict[str, Any], before: dict[str, Any]) -> int | None:
    """Returns the step that the job went back to, once the master knows of the death."""
    if [each["description"] for each in now["workers"]] == [
        each["description"] for each in before["workers"]
    ]:
        return None
    step: int = now["step"]
    return step


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = master_restarts(folder) + dead_data_workers(folder) + dead_trainer(folder)
    print(figure_table(figures))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        be_a_victim(Path(sys.argv[1]))
    else:
        main()
