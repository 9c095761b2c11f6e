"""An evaluation in which one worker stands still: the end of its lease goes to another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from elasticdl_command import eventually
from elasticdl_like.config import DataConfig, JobConfig, JobKind, TrainingConfig
from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.master.main import Master
from elasticdl_like.tasks import EpochKey, Interval, Lease, TaskType
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.task_stream import Signal, TaskStream
from master_thread import ticking_master

KEY = EpochKey(TaskType.EVALUATION, 0, 1)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """A master of 64 validation records, all of them in one task."""
    data = tmp_path / "numbers.recordio"
    with RecordIOWriter(data) as writer:
        for number in range(64):
            writer.write(b"%d" % number)
    config = JobConfig(
        "evaluated",
        DataConfig(str(data), str(data)),
        training=TrainingConfig(minibatch_size=8, num_minibatches_per_task=8),
        kind=JobKind.DATA,
    )
    with ticking_master(config, tmp_path / "job") as running:
        yield running


def test_the_end_of_a_slow_lease_goes_to_a_worker_that_waits(
    master: Master, tmp_path: Path
) -> None:
    locator = MasterLocator.of_job(tmp_path / "job")
    slow, quick = (MasterClient(locator, 30.0) for _ in range(2))
    for client in (slow, quick):
        client.register(None, "a worker")
    refused: list[int] = []
    done: list[tuple[int, int]] = []
    with (
        Heartbeat(slow, 0.2),
        Heartbeat(quick, 0.2),
        TaskStream(slow, KEY, refused.append) as slow_stream,
    ):
        lease = slow_stream.next()
        assert isinstance(lease, Lease)
        assert (lease.start_position, lease.end_position) == (0, 64)
        slow_stream.commit(1, [Interval(lease.token, 0, 8)])
        slow_stream.flush()

        def work() -> None:
            with TaskStream(quick, KEY) as stream:
                while (event := stream.next()) is not Signal.END:
                    if isinstance(event, Lease):
                        start, end = event.start_position, event.end_position
                        stream.commit(1, [Interval(event.token, start, end)])
                        done.append((start, end))

        helper = threading.Thread(target=work)
        helper.start()
        eventually(lambda: done, 20)
        # It wakes up, and goes on to the end of the lease that it was given.
        for start in range(8, 64, 8):
            slow_stream.commit(2 + start, [Interval(lease.token, start, start + 8)])
            slow_stream.flush()
        helper.join(30)
        assert not helper.is_alive()
    # A slow machine may see it cut off twice; what was cut off first is the end.
    assert 8 < done[0][0] < done[0][1] == 64
    cut = min(start for start, _ in done)
    assert refused == list(range(2 + cut, 66, 8))
    (entry,) = [each for each in master.job.view.ledger()["epochs"] if each["type"] == "evaluation"]
    assert (entry["records"], entry["committed"], entry["missing"]) == (64, 64, 0)
    assert entry["reports_fenced"] == len(refused)
    for client in (slow, quick):
        client.leave("")
        client.close()
