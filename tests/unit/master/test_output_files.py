"""Files of predictions: what is counted is published, and nothing else, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from job_parts import Clock, JobInDirectory, Worker, first_of, whole

from elasticdl_command import eventually
from elasticdl_like.config import DataConfig, InferenceConfig, JobConfig, JobKind
from elasticdl_like.data_readers.recordio.writer import RecordIOWriter
from elasticdl_like.errors import ConfigError, DataError, InvalidRequestError, JournalWriteError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.main import MasterConfig, run_master
from elasticdl_like.master.output_files import publish_until
from elasticdl_like.master.reports import load_ledger, load_status, verify_ledger
from elasticdl_like.prediction_outputs.files import OutputFolder
from elasticdl_like.tasks import Answer, Finish

KEY = first_of(JobKind.PREDICTION)


class Parts:
    """What is in an output, and a worker that puts it there."""

    def __init__(self, path: Path) -> None:
        self.path, self.folder = path, OutputFolder(str(path))
        self.number = 0

    def write(self) -> str:
        self.number += 1
        name = f"part-w-{self.number:05}.csv"
        self.folder.write_part(name, b"rows")
        return name

    def predict(self, worker: Worker, num_leases: int = 10) -> str:
        """Predicts some tasks into one part, and commits it."""
        leases = worker.call(max_leases=num_leases, key=KEY).leases
        name = self.write()
        worker.call([replace(whole(1, leases), part=name)], 0, KEY)
        return name

    @property
    def names(self) -> list[str]:
        return sorted(each.name for each in self.path.iterdir() if each.name[0] not in "_.")

    def success(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((self.path / "_SUCCESS").read_text())
        return said


def finish(worker: Worker) -> Finish:
    return worker.job.finishing.finish_epoch(worker.caller, KEY).finish


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    one = Parts(tmp_path / "out")
    one.folder.prepare("this job", overwrite=False)
    return one


@pytest.fixture
def one(tmp_path: Path, parts: Parts) -> Iterator[JobInDirectory]:
    """A job of 12 records in tasks of 4."""
    job = JobInDirectory(
        *(tmp_path, Clock()),
        kind=JobKind.PREDICTION,
        inference=InferenceConfig(output=str(parts.path), output_format="csv"),
    )
    yield job
    job.close()


def test_what_is_counted_is_published(one: JobInDirectory, parts: Parts) -> None:
    worker = Worker(one.job)
    one.job.output_files.publish(parts.folder)
    assert parts.names == []
    first = parts.predict(worker, 1)
    parts.write()  # and never commits it
    one.job.output_files.publish(parts.folder)
    assert parts.names == [first]
    second = parts.predict(worker)
    assert worker.call(key=KEY).answer is Answer.EPOCH_ENDED
    assert finish(worker) is Finish.WAIT
    one.job.output_files.publish(parts.folder)
    assert parts.names == [first, second]
    said = parts.success()
    assert (said["job"], said["format"], said["records"]) == ("job", "csv", 12)
    assert said["parts"] == [{"name": first, "rows": 4}, {"name": second, "rows": 8}]
    assert not (parts.path / "_temporary").exists()
    assert finish(worker) is Finish.DONE
    one.job.output_files.publish(parts.folder)  # there is nothing left to do
    worker.leave()
    assert one.job.state is JobState.FINISHED


def test_a_fenced_commit_is_not_published(one: JobInDirectory, parts: Parts) -> None:
    worker = Worker(one.job)
    leases = worker.call(key=KEY).leases
    worker.beat(worker.last.sequence, [])  # it has lost them
    name = parts.write()
    reply = worker.call([replace(whole(1, leases), part=name)], 0, KEY)
    assert reply.fenced_steps == [1]
    one.job.output_files.publish(parts.folder)
    assert parts.names == []


def test_a_part_is_committed_once(one: JobInDirectory, parts: Parts) -> None:
    worker = Worker(one.job)
    name = parts.predict(worker, 1)
    leases = worker.call(key=KEY).leases
    with pytest.raises(InvalidRequestError, match=f"{name}' was committed before"):
        worker.call([replace(whole(2, leases), part=name)], 0, KEY)


@pytest.mark.parametrize("by", ["events", "a snapshot"])
def test_the_next_master_publishes_what_is_left(one: JobInDirectory, parts: Parts, by: str) -> None:
    worker = Worker(one.job)
    names = [parts.predict(worker, 1), parts.predict(worker, 1)]
    # The master before it got as far as this, and did not write it down.
    parts.folder.publish(names[0])
    if by == "a snapshot":
        one.journal.save_snapshot(core_to_plain(one.core))
    one.job.flush()
    worker.job = one.restart()
    names.append(parts.predict(worker))
    one.job.output_files.publish(parts.folder)
    assert parts.names == names
    assert parts.success()["records"] == 12
    one.job.flush()
    worker.job = one.restart()
    assert finish(worker) is Finish.DONE


def test_what_is_not_durable_is_not_published(one: JobInDirectory, parts: Parts) -> None:
    worker = Worker(one.job)
    parts.predict(worker, 1)
    worker.job = one.restart()  # which the journal has not been told
    one.job.output_files.publish(parts.folder)
    assert parts.names == []


def test_a_journal_that_cannot_be_written_keeps_parts_back(
    one: JobInDirectory, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.predict(Worker(one.job), 1)

    def fail(*_: object) -> None:
        raise JournalWriteError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "flush", fail)
        with pytest.raises(JournalWriteError):
            one.job.output_files.publish(parts.folder)
    assert parts.names == []
    one.job.output_files.publish(parts.folder)
    assert len(parts.names) == 1


def test_the_output_is_whole_although_every_worker_is_gone(
    one: JobInDirectory, parts: Parts
) -> None:
    worker = Worker(one.job)
    parts.predict(worker)
    one.job.lose(worker.worker_id, "gone")
    assert one.job.state is JobState.RUNNING
    one.job.output_files.publish(parts.folder)
    assert one.job.state is JobState.FINISHED
    assert parts.success()["records"] == 12


def test_a_job_that_is_over_publishes_nothing(one: JobInDirectory, parts: Parts) -> None:
    parts.predict(Worker(one.job))
    one.job.interrupt()
    one.job.output_files.publish(parts.folder)
    assert parts.names == []


class Attempts:
    """A publisher that fails a number of times, then is asked to end."""

    def __init__(self, errors: list[Exception], num_pauses: int) -> None:
        self.errors, self.num_pauses = errors, num_pauses
        self.pauses_s: list[float] = []
        self.failures: list[str] = []

    def publish(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def pause(self, seconds: float) -> bool:
        self.pauses_s.append(seconds)
        return len(self.pauses_s) == self.num_pauses

    def run(self) -> None:
        publish_until(self.publish, self.failures.append, self.pause)


def test_it_is_tried_again_with_growing_pauses() -> None:
    attempts = Attempts([DataError("no route"), OSError("full"), DataError("slow")], 6)
    attempts.run()
    assert attempts.pauses_s == [0.5, 1.0, 2.0, 0.2, 0.2, 0.2]
    assert attempts.failures == []


def test_the_job_fails_when_it_is_of_no_use() -> None:
    attempts = Attempts([DataError("no such bucket")] * 20, 100)
    attempts.run()
    assert attempts.failures == ["the output cannot be published: no such bucket"]
    assert sum(attempts.pauses_s) == 31.5


def test_a_journal_is_waited_for() -> None:
    attempts = Attempts([JournalWriteError("full")] * 20, 21)
    attempts.run()
    assert (attempts.failures, attempts.errors) == ([], [])
    assert max(attempts.pauses_s) == 32.0


def test_a_defect_fails_the_job() -> None:
    attempts = Attempts([TypeError("what?")], 1)
    with pytest.raises(TypeError):
        attempts.run()
    assert attempts.failures == ["the output cannot be published: TypeError('what?')"]


# With a whole master.


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., JobConfig]:
    """Makes jobs that predict for 6 records into `out`."""
    with RecordIOWriter(tmp_path / "data.recordio") as writer:
        for index in range(6):
            writer.write(b"%d" % index)

    def make(output: str = "out") -> JobConfig:
        return JobConfig(
            "predict",
            DataConfig("", prediction_data=str(tmp_path / "data.recordio")),
            kind=JobKind.PREDICTION,
            inference=InferenceConfig(output=str(tmp_path / output), output_format="csv"),
        )

    return make


def test_from_one_master_to_the_next(tmp_path: Path, make_config: Callable[..., JobConfig]) -> None:
    parts, place = Parts(tmp_path / "out"), MasterConfig(tmp_path / "job")
    other = MasterConfig(tmp_path / "other")  # the same flags, but another job
    with run_master(make_config(), place) as master:
        worker = Worker(master.job)
        (lease,) = worker.call(key=KEY).leases
        assert (lease.task.type, lease.size, lease.order_key) == (KEY.type, 6, None)
        master.job.interrupt()
    with pytest.raises(ConfigError, match="another job"), run_master(make_config(), other):
        pass
    with run_master(make_config(), place) as master:
        worker = Worker(master.job, "again")
        name = parts.predict(worker)
        eventually(lambda: finish(worker) is Finish.DONE, 20.0)
        worker.leave()
        assert master.job.state is JobState.FINISHED
    assert parts.names == [name]
    assert parts.success()["parts"] == [{"name": name, "rows": 6}]
    (entry,) = load_ledger(tmp_path / "job")["epochs"]
    assert (entry["type"], entry["committed"], entry["missing"]) == ("prediction", 6, 0)
    assert verify_ledger(tmp_path / "job") == []
    assert load_status(tmp_path / "job")["kind"] == "prediction"
    with pytest.raises(ConfigError, match="--overwrite"), run_master(make_config(), other):
        pass
    with run_master(make_config(), replace(other, overwrite=True)):
        assert parts.names == []


def test_a_job_fails_when_its_output_cannot_be_published(
    tmp_path: Path, make_config: Callable[..., JobConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elasticdl_like.master.output_files._FIRST_PAUSE_S", 0.001)
    with run_master(make_config(), MasterConfig(tmp_path / "job")) as master:
        worker = Worker(master.job)
        leases = worker.call(key=KEY).leases
        worker.call([replace(whole(1, leases), part="part-lost-00001.csv")], 0, KEY)
        eventually(lambda: master.job.state is JobState.FAILED, 20.0)
        assert "part-lost-00001.csv is missing" in master.job.status().reason
