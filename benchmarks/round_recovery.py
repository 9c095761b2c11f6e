"""How long do the other workers stand still when one is killed, stopped, or comes?

`elasticdl train --num_workers 2` on this machine, with two models (`step_times.py`): the small one,
and one of 25 million parameters. A worker is killed with all of its processes (SIGKILL), chief and
other in turns: the time to the next finished step, as the master knows it, and how many finished
steps are lost. A trainer is stopped (SIGSTOP): the time may be the heartbeat time-out of 10 s and
3 s more. For comparison, how long a process takes that imports TensorFlow and Keras, which each
trainer would have to do without the zygote. Memory is what agent and zygote of a worker have
resident. Goodput is how many records a job trains on in which a worker is killed each 30 s, of
those of the same job left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import step_times
from common import write_recordio
from comparison import Figure, figure_table
from masters import end, wait_for_endpoint
from recovery import Status, wait_for

from elasticdl_like.data_readers.recordio import Compressor
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.platforms.worker_record import WorkerRecords

FOLDER = Path(__file__).parent
RECORDS = 40_000
KILLS = 5
STOPS = 2
COLD_STARTS = 5
BATCH = 64
GOODPUT_S = 95.0
KILL_INTERVAL_S = 30.0
MOST_S = {"small": 2.0, "large": 5.0}
MOST_STOPPED_S = 13.0
MOST_MEMORY_MB = 600.0
LEAST_GOODPUT = 0.85


class TwoWorkers:
    """A running job of two workers."""

    def __init__(self, status: Status, directory: JobDirectory) -> None:
        self._status = status
        self._directory = directory

    @property
    def step(self) -> int:
        step: int = self._status()["step"]
        return step

    @property
    def records(self) -> int:
        records: int = self._status()["records"]
        return records

    def wait_until_both_train(self) -> None:
        """Waits until both are in one round, and have made some steps in it."""

        def number() -> int | None:
            found = self._status()["round"]
            both = found["state"] == "running" and len(found["members"]) == 2
            return int(found["number"]) if both else None

        while True:
            before = wait_for(number)
            step = self.step
            wait_for(lambda: self.step >= step + 5 or None)  # noqa: B023
            if number() == before:
                return

    def processes(self, rank: int) -> list[psutil.Process]:
        """Returns the processes of a member: agent, zygote, trainer."""
        worker_id = self._status()["round"]["members"][rank]
        record = WorkerRecords(self._directory.workers).load(worker_id)
        assert record is not None
        agent = psutil.Process(record.pid)
        return [agent, *agent.children(recursive=True)]

    def disturb(self, rank: int, number: signal.Signals) -> tuple[float, int]:
        """Kills a member, or stops its trainer.

        Returns:
            The seconds to the next finished step of another round, and how many steps were lost.
        """
        processes = self.processes(rank)
        found = self._status()
        round_number, before = found["round"]["number"], found["step"]
        since_s = time.monotonic()
        for process in processes if number is signal.SIGKILL else processes[-1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

        def next_round() -> int | None:
            found = self._status()
            is_next = found["round"]["number"] > round_number
            return int(found["step"]) if is_next else None

        first = wait_for(next_round)
        wait_for(lambda: self.step > first or None)
        return time.monotonic() - since_s, max(before - first, 0)


@contextlib.contextmanager
def two_workers(folder: Path, data: Path, model: str) -> Iterator[TwoWorkers]:
    """Runs a job of two workers as long as the context lasts."""
    with tempfile.TemporaryDirectory(dir=folder) as name, contextlib.ExitStack() as stack:
        directory = JobDirectory(Path(name) / "job")
        command = [sys.executable, "-m", "elasticdl_like", "train", "--num_workers=2"]
        command += [f"--model_zoo={FOLDER}", f"--model_def=step_times.{model}"]
        command += [f"--training_data={data}", f"--job_dir={directory.path}"]
        command += ["--num_epochs=1000000", f"--minibatch_size={BATCH}"]
        log_path = Path(name) / "train.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(end, process)
        address = wait_for_endpoint(directory, process, log_path)
        status = Status(address, directory.token())
        stack.callback(status.close)
        job = TwoWorkers(status, directory)
        job.wait_until_both_train()
        yield job


def disturbances(folder: Path, data: Path, model: str) -> list[Figure]:
    killed_s, stopped_s, lost, memory_mb = [], [], [], []
    with two_workers(folder, data, model) as job:
        for rank in (0, 1):
            agent, zygote = job.processes(rank)[:2]
            resident = agent.memory_info().rss + zygote.memory_info().rss
            memory_mb.append(resident / 1e6)
        for number in range(KILLS):
            seconds, num_lost = job.disturb(number % 2, signal.SIGKILL)
            killed_s.append(seconds)
            lost.append(float(num_lost))
            job.wait_until_both_train()
        for number in range(STOPS):
            seconds, num_lost = job.disturb(number % 2, signal.SIGSTOP)
            stopped_s.append(seconds)
            lost.append(float(num_lost))
            job.wait_until_both_train()
    return [
        Figure(f"{model} model, worker killed: s to the next step", killed_s, MOST_S[model]),
        Figure(f"{model} model, trainer stopped: s to the next step", stopped_s, MOST_STOPPED_S),
        Figure(f"{model} model: finished steps lost", lost, 0.0),
        Figure("agent and zygote: resident MB", memory_mb, MOST_MEMORY_MB),
    ]


def cold_starts() -> Figure:
    seconds = []
    for _ in range(COLD_STARTS):
        start_s = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", "import keras, tensorflow"],
            check=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        seconds.append(time.monotonic() - start_s)
    return Figure("a process that imports TensorFlow and Keras: s", seconds)


def goodput(folder: Path, data: Path) -> Figure:
    records = []
    for kills in (False, True):
        with two_workers(folder, data, "small") as job:
            first, end_s = job.records, time.monotonic() + GOODPUT_S
            due_s, rank = time.monotonic() + KILL_INTERVAL_S / 2, 0
            while (left_s := end_s - time.monotonic()) > 0:
                if kills and time.monotonic() >= due_s:
                    for process in job.processes(rank):
                        with contextlib.suppress(psutil.NoSuchProcess):
                            process.kill()
                    rank, due_s = 1 - rank, due_s + KILL_INTERVAL_S
                time.sleep(min(0.1, left_s))
            records.append(job.records - first)
    alone, killed = records
    name = "records trained with a worker killed each 30 s, of those without"
    return Figure(name, [killed / alone], at_least=LEAST_GOODPUT)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.recordio"
        write_recordio(data, step_times.random_records(RECORDS), Compressor.SNAPPY)
        figures = [
            *disturbances(folder, data, "small"),
            *disturbances(folder, data, "large"),
            cold_starts(),
            goodput(folder, data),
        ]
    print(figure_table(figures))


if __name__ == "__main__":
    main()
