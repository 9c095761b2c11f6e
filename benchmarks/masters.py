"""A real master process, over data that is there in name only."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.worker.master_locator import MasterLocator

START_TIMEOUT_S = 60.0
SHARDS = 64
TASK_RECORDS = 64 * 8


@dataclass(frozen=True)
class RunningMaster:
    """A master process.

    Attributes:
        process: it.
        address: where it listens, as `host:port`.
        token: the job's token.
    """

    process: subprocess.Popen[bytes]
    address: str
    token: str


@contextmanager
def running_master(job_directory: Path, *arguments: str) -> Iterator[RunningMaster]:
    """Runs `elasticdl master` as a process, as long as the context lasts."""
    log_path = job_directory.with_suffix(".log")
    command = [sys.executable, "-m", "elasticdl_like", "master", f"--job_dir={job_directory}"]
    with log_path.open("ab") as log:
        process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log)
    try:
        directory = JobDirectory(job_directory)
        address = wait_for_endpoint(directory, process, log_path)
        yield RunningMaster(process, address, directory.token())
    finally:
        end(process)


def synthetic_data(num_tasks: int) -> list[str]:
    """Returns the flags of a job of that many tasks of 64 x 8 records, whose data nobody reads."""
    return [
        f"--model_zoo={Path(__file__).parent}",
        "--model_def=synthetic_data.no_model",
        "--data_only",
        f"--training_data={num_tasks * TASK_RECORDS // SHARDS}",
        f"--data_reader_params=num_shards={SHARDS}",
    ]


def locator(master: RunningMaster) -> MasterLocator:
    """Returns where a worker finds the master."""
    return MasterLocator.at(master.address, master.token)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, the hard way if need be."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_endpoint(
    directory: JobDirectory, process: subprocess.Popen[bytes], log_path: Path
) -> str:
    """Returns the address of a master process, as soon as it can be called."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_s and process.poll() is None:
        if directory.path.exists() and (address := directory.endpoint()):
            return address
        time.sleep(0.05)
    raise RuntimeError(f"the master did not start:\n{log_path.read_text(errors='replace')}")
