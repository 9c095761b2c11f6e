"""What is kept of a job's past, from what the job itself says."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from job_parts import (
    Clock,
    JobInDirectory,
    Worker,
    evaluation,
    training,
    used,
    whole,
)
from round_worker import RoundWorker

from elasticdl_like.config import WorkersConfig
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.job import Job
from elasticdl_like.master.record import JobRecord
from elasticdl_like.master.record_files import RecordFiles
from elasticdl_like.tasks import Commit

MakeRecorded = Callable[..., "Recorded"]


class Recorded:
    """A job with a record, on clocks of its own."""

    def __init__(self, path: Path, **flags: Any) -> None:
        self.clock, self.wall = Clock(), Clock()
        self.wall.now_s = 1.7e9
        self.parts = JobInDirectory(path, self.clock, **flags)
        self.record = JobRecord(self.wall, started_s=self.wall.now_s)
        self.record.begin(self.parts.core, goes_on=False)
        self.job = Job(self.parts.core, self.parts.journal, self.clock, self.record)

    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.wall.now_s += seconds
        self.job.tick()

    def told(self, after: int = 0) -> list[tuple[str, str]]:
        return [(each["kind"], each["text"]) for each in self.job.view.events(after)]


@pytest.fixture
def make_recorded(tmp_path: Path) -> Iterator[MakeRecorded]:
    with ExitStack() as stack:

        def make(**flags: Any) -> Recorded:
            recorded = Recorded(tmp_path, **flags)
            stack.callback(recorded.parts.close)
            return recorded

        yield make


@pytest.fixture
def alone(make_recorded: MakeRecorded) -> Recorded:
    """One worker trains, three epochs of three tasks of four records."""
    return make_recorded(num_epochs=3)


def test_the_life_of_a_job(alone: Recorded) -> None:
    worker = Worker(alone.job)
    for epoch in range(3):
        leases = worker.call(max_leases=9, key=training(epoch)).leases
        alone.wait(1)
        worker.call([whole(epoch + 1, leases)], 0, training(epoch), loss=0.5)
    alone.job.finishing.report_evaluation(
        Caller(0, "w"), evaluation(3, 2), {"auc": 0.5, "loss": 0.25}
    )
    worker.leave()
    assert alone.told() == [
        ("job", "the job begins"),
        ("epoch", "epoch 1 of 3 begins"),
        ("worker_joined", "worker 0 joins: host w"),
        ("epoch", "epoch 2 of 3 begins"),
        ("epoch", "epoch 3 of 3 begins"),
        ("evaluation", "evaluation at step 3 (epoch 3): loss 0.2500, auc 0.5000"),
        ("worker_left", "worker 0 leaves"),
        ("job", "the job is finished"),
    ]
    worker_ids = [each["worker_id"] for each in alone.job.view.events(2)]
    assert worker_ids == [0, None, None, None, 0, None]
    history = alone.job.view.history()
    assert history["samples"]["time_s"] == [1.7e9 + 1, 1.7e9 + 2, 1.7e9 + 3, 1.7e9 + 3]
    # The last one is taken at the end, whenever that is, and only once.
    assert history["samples"]["records"] == [0, 12, 24, 36]
    assert history["samples"]["num_workers"] == [1, 1, 1, 0]
    assert history["samples"]["loss"] == [None, 0.5, 0.5, 0.5]
    alone.wait(5)
    assert alone.job.view.history() == history
    assert history["evaluations"] == [
        {"time_s": 1.7e9 + 3, "epoch": 2, "step": 3, "metrics": {"loss": 0.25, "auc": 0.5}}
    ]
    assert alone.job.status().to_plain()["started_s"] == 1.7e9
    json.dumps([history, alone.job.view.events(0), alone.job.view.coverage(10)], allow_nan=False)


def test_a_lost_worker_takes_the_job_back(alone: Recorded) -> None:
    worker = Worker(alone.job)
    leases = worker.call(max_leases=3).leases
    worker.call([whole(1, leases)], 0)
    worker.call([], 0, training(1))
    alone.wait(1)
    alone.job.finishing.report_evaluation(Caller(0, "w"), evaluation(1), {"loss": 1.0})
    before = alone.job.view.events(0)[-1]["id"]
    alone.job.lose(0, "it was killed by signal 9")
    assert alone.told(before) == [
        ("worker_lost", "worker 0 is lost: it was killed by signal 9"),
        ("warning", "the job goes back to step 0: 1 finished step is lost"),
        ("epoch", "epoch 1 of 3 goes on"),
    ]
    alone.wait(1)
    history = alone.job.view.history()
    assert history["samples"]["records"] == [12, 0]
    assert min(history["samples"]["records_per_s"]) >= 0
    assert history["evaluations"] == []


def test_what_fails(alone: Recorded) -> None:
    worker = Worker(alone.job)
    worker.leave("the model has a bug\nin line 3")
    assert alone.told(3) == [
        ("job", "the job is failed: the model has a bug in line 3"),
        ("worker_lost", "worker 0 is lost: the model has a bug in line 3"),
    ]


def test_records_that_are_set_aside(make_recorded: MakeRecorded) -> None:
    bad = make_recorded(data_only=True, max_quarantined_records=1)
    worker = Worker(bad.job)
    for _ in range(9):
        for lease in worker.call(max_leases=9).leases:
            commit = used((lease.token, lease.start_position, lease.end_position))
            is_bad = lease.start_position <= 1 < lease.end_position and lease.task.start == 4
            worker.call([Commit(1, commit.intervals, "it is torn" if is_bad else "")], 0)
    bad.wait(1)
    assert bad.told(3)[0] == (
        "quarantine",
        "1 record is set aside, [5, 6) of shard 'a' the last: it is torn",
    )


def test_starvation_is_a_warning(alone: Recorded) -> None:
    Worker(alone.job)
    for second in range(60):
        alone.clock.now_s += 1
        spent = {"training": 0.1 * second, "waiting_for_input": 0.9 * second, "reading": second}
        alone.job.heartbeat(Caller(0, "w"), 0, [], seconds_spent=spent)
    ((kind, text),) = alone.told(3)
    assert kind == "warning"
    assert text.startswith("worker 0: ")


def test_rounds(make_recorded: MakeRecorded) -> None:
    rounds = make_recorded(workers=WorkersConfig(2))
    workers = [RoundWorker(rounds.job, f"w{number}", number) for number in range(2)]
    for worker in workers * 3:
        worker.poll()
    before = rounds.job.view.events(0)[-1]["id"]
    leases = [list(worker.call().leases) for worker in workers]
    for worker, mine in zip(workers, leases, strict=True):
        worker.finish(1, leases)
        worker.call([whole(1, mine)], 0)
    rounds.job.lose(1, "it was killed by signal 9")
    for _ in range(4):
        workers[0].poll()
    assert rounds.told(2)[2] == ("round", "round 1 begins: workers 0, 1, after step 0")
    assert rounds.told(before) == [
        ("worker_lost", "worker 1 is lost: it was killed by signal 9"),
        ("round", "round 1 ends after step 1: worker 1 is gone: it was killed by signal 9"),
        ("round", "round 2 begins: worker 0, after step 1"),
    ]


def test_another_number_of_workers(make_recorded: MakeRecorded) -> None:
    rounds = make_recorded(workers=WorkersConfig(2, 1, 4))
    rounds.job.orders.scale(3)
    assert rounds.told(2) == [("job", "3 workers are wanted")]


def test_the_coverage_is_made_once_a_second(alone: Recorded) -> None:
    worker = Worker(alone.job)
    first = alone.job.view.coverage(12)
    worker.call(max_leases=1)
    assert alone.job.view.coverage(12) is first
    assert alone.job.view.coverage(3)["leased"] == 4
    alone.wait(1.5)
    assert alone.job.view.coverage(12)["shards"][0]["workers"] == [0] * 4 + [-1] * 8
    assert alone.job.view.coverage(0)["shards"][0]["cells"] == [[0, 0, 0.3333, 0]]


def test_the_files_of_a_record(alone: Recorded, tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    files = RecordFiles(directory, alone.wall, alone.clock)
    Worker(alone.job)
    files.begin()
    files.save(alone.job.view)
    alone.wait(5)
    files.save(alone.job.view)  # no news, and too early for the history
    again = RecordFiles(directory, alone.wall, alone.clock)
    record = again.load()
    assert (record.started_s, len(record.log.after(0)), len(record.history.samples)) == (
        *(1.7e9, 3),
        1,
    )
    files.save(alone.job.view, at_end=True)
    assert len(again.load().history.samples) == 2
    assert len(directory.events.read_bytes().splitlines()) == 3
    directory.clear()
    assert not directory.events.exists()
    assert again.load().started_s is None


def test_a_broken_history_begins_anew(
    alone: Recorded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history.json").write_text('{"samples"')
    files = RecordFiles(JobDirectory(tmp_path), alone.wall, alone.clock)
    with caplog.at_level(logging.WARNING):
        assert files.load().history.samples == []
    assert "history.json cannot be read" in caplog.text


def test_a_history_that_cannot_be_written_is_warned_of_once(
    alone: Recorded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history.json").mkdir()
    files = RecordFiles(JobDirectory(tmp_path), alone.wall, alone.clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            files.save(alone.job.view, at_end=True)
    assert len(caplog.records) == 1
    (tmp_path / "history.json").rmdir()
    files.save(alone.job.view, at_end=True)
    assert JobDirectory(tmp_path).history() == alone.job.view.history()
