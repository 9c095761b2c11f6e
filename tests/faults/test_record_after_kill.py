"""What people are shown of a job outlives its master, however that ends."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from elasticdl_command import RunningCommand, eventually, running
from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.reports import load_status
from elasticdl_like.tasks import Commit, EpochKey, Interval, TaskType
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.master_locator import MasterLocator

NUM_RECORDS = 40


@contextmanager
def master_of(job: Path) -> Iterator[RunningCommand]:
    """Runs a master without a model, which waits for workers."""
    command = [
        *("-m", "elasticdl_like", "master", "--training_data", job.parent / "data"),
        *("--num_epochs", 2, "--minibatch_size", 5, "--num_minibatches_per_task", 1),
        *("--job_name", "shown", "--job_dir", job, "--worker_timeout", 60),
    ]
    with running(command, job.parent) as master:
        eventually(lambda: JobDirectory(job).endpoint(), 20, master)
        yield master


def events_in(job: Path) -> list[dict[str, Any]]:
    path = job / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def use(client: MasterClient, epoch: int, number: int) -> None:
    """Uses some tasks of an epoch."""
    key = EpochKey(TaskType.TRAINING, epoch)
    leases = client.commit_and_lease(key, [], number).leases
    intervals = [Interval(each.token, each.start_position, each.end_position) for each in leases]
    client.commit_and_lease(key, [Commit(1, intervals)], 0)


def test_events_and_history_outlive_a_killed_master(tmp_path: Path) -> None:
    job, began_s = tmp_path / "job", time.time()
    (tmp_path / "data").mkdir()
    with RecordIOWriter(tmp_path / "data" / "a.recordio") as writer:
        for index in range(NUM_RECORDS):
            writer.write(b"%d" % index)
    with closing(MasterClient(MasterLocator.of_job(job), master_timeout_s=30)) as client:
        with master_of(job) as master:
            client.register(None, "the test")
            use(client, 0, 3)
            eventually((job / "history.json").exists, 20, master)
            eventually(lambda: len(events_in(job)) == 3, 20, master)
            os.kill(master.pid, signal.SIGKILL)
            master.wait(10)
        first, sampled = events_in(job), JobDirectory(job).history()
        assert sampled is not None
        assert [each["text"] for each in first] == [
            "the job begins",
            "epoch 1 of 2 begins",
            "worker 0 joins: the test",
        ]
        with (job / "events.jsonl").open("ab") as file:
            file.write(b'{"id": 4, "time_s": 1')  # as if it had been killed while it wrote
        with master_of(job) as master:
            use(client, 0, 99)
            use(client, 1, 99)
            client.leave("")
            assert master.wait(30).exit_code == 0
    events = events_in(job)
    assert events[:3] == first
    assert [(each["kind"], each["text"]) for each in events[3:]] == [
        ("job", "the job goes on with a new master, after step 1"),
        ("epoch", "epoch 2 of 2 begins"),
        ("worker_left", "worker 0 leaves"),
        ("job", "the job is finished"),
    ]
    assert [each["id"] for each in events] == list(range(1, 8))
    times = [each["time_s"] for each in events]
    assert began_s <= times[0]
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
    history = JobDirectory(job).history()
    assert history is not None
    samples = history["samples"]
    assert samples["time_s"][0] == sampled["samples"]["time_s"][0]
    assert (samples["records"][0], samples["records"][-1]) in (
        (0, 2 * NUM_RECORDS),
        (15, 2 * NUM_RECORDS),
    )
    started_s = load_status(job)["started_s"]
    assert began_s - 0.001 <= started_s <= times[0] + 0.001
