"""What do a thousand million tasks cost a master, against a thousand?

Tasks of 64 x 8 records in 64 shards, shuffled. Hand-out time is that of a call that reports one
task and asks for the next, made to both masters in turns. For the state on disk, unshuffled, the
journal is set to where half of the tasks are done in order, and 100,000 more are done from there;
it is the largest size of the whole job directory meanwhile, the write-ahead log included.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from comparison import Figure, figure_table
from dispatch_client import RawWorker
from masters import TASK_RECORDS, RunningMaster, running_master, synthetic_data

from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.recovery import recover
from elasticdl_like.master.tally import Tally

BILLION = 1_000_000_000
# A multiple of 64, the number of shards; half of the other, too.
THOUSAND = 1024
CALLS = 3000
ROUNDS = 7
MORE_TASKS = 100_000
MAX_LEASES = 16
MEASURE_EACH = 100
MOST_MEMORY_MB = 300
MOST_RATIO = 1.5
MOST_DISK_MB = 50


def memory_mb(master: RunningMaster) -> float:
    return float(psutil.Process(master.process.pid).memory_info().rss) / 1e6


def directory_mb(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6


def seconds(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s


def hand_out(folder: Path) -> list[Figure]:
    """Compares the two masters."""
    with (
        running_master(folder / "billion", *synthetic_data(BILLION)) as billion,
        running_master(
            folder / "thousand", *synthetic_data(THOUSAND), "--num_epochs=1000"
        ) as thousand,
    ):
        many = RawWorker(billion.address, billion.token, 1)
        few = RawWorker(thousand.address, thousand.token, 1)
        medians = []
        for _ in range(ROUNDS):
            pairs = [
                (seconds(many.commit_and_lease), seconds(few.commit_and_lease))
                for _ in range(CALLS)
            ]
            medians.append([statistics.median(side) * 1e6 for side in zip(*pairs, strict=True)])
        return [
            Figure(f"hand-out, {BILLION:,} tasks, µs", [pair[0] for pair in medians]),
            Figure(f"hand-out, {THOUSAND:,} tasks, µs", [pair[1] for pair in medians]),
            Figure("ratio", [pair[0] / pair[1] for pair in medians], at_most=MOST_RATIO),
            Figure("memory of the master, MB", [memory_mb(billion)], at_most=MOST_MEMORY_MB),
        ]


def jump(job_directory: Path, num_done: int) -> None:
    """Sets the journal of a stopped, unshuffled job to where that many tasks are done in order."""
    journal = Journal(JobDirectory(job_directory).journal, create=False)
    state = core_to_plain(recover(journal))
    (epoch,) = state["queue"]["epochs"]
    epoch["state"] |= {
        "frontier": num_done,
        "committed": Tally.of_run(0, num_done * TASK_RECORDS).to_plain(),
    }
    journal.save_snapshot(state)
    journal.close()


def half_done(folder: Path) -> list[Figure]:
    """Measures a master that goes on in the middle."""
    job_directory = folder / "half"
    with running_master(job_directory, *synthetic_data(BILLION), "--no-shuffle"):
        pass
    jump(job_directory, BILLION // 2)
    with running_master(job_directory, "--resume") as master:
        worker = RawWorker(master.address, master.token, MAX_LEASES)
        sizes = []
        calls = tasks = 0
        while tasks < MORE_TASKS:
            tasks += worker.commit_and_lease()
            calls += 1
            if calls % MEASURE_EACH == 0:
                sizes.append(directory_mb(job_directory))
        return [
            Figure("memory, half of them done, MB", [memory_mb(master)], at_most=MOST_MEMORY_MB),
            Figure("on disk, half of them done, MB", [max(sizes)], at_most=MOST_DISK_MB),
        ]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        print(figure_table([*hand_out(Path(name)), *half_done(Path(name))]))


if __name__ == "__main__":
    main()
