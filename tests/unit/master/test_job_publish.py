"""What the master renames for a worker: checkpoints and the trained model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from job_parts import Clock, JobInDirectory, Worker, account, evaluation, records_of, whole

from elasticdl_like.config import CheckpointConfig
from elasticdl_like.errors import (
    InvalidRequestError,
    JobDirectoryError,
    JobFailedError,
    UnknownWorkerError,
)
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.checkpoints import read_position
from elasticdl_like.tasks import Answer, Commit

MakeJob = Callable[..., JobInDirectory]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_job(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[MakeJob]:
    """Makes jobs of 12 records in tasks of 4; validation of 2."""
    made: list[JobInDirectory] = []

    def make(**flags: Any) -> JobInDirectory:
        made.append(JobInDirectory(tmp_path_factory.mktemp("job"), clock, **flags))
        return made[-1]

    yield make
    for each in made:
        each.close()


# The trained model.


def test_publish_renames_in_the_place_of_the_job(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(output=str(tmp_path)).job
    Worker(job)
    for content in ("first", "second"):
        (tmp_path / ".new").write_text(content)
        job.publications.publish(Caller(0, "w"), tmp_path / ".new", tmp_path / "published")
        assert [path.name for path in tmp_path.iterdir()] == ["published"]
        assert (tmp_path / "published").read_text() == content


def test_publish_replaces_a_directory(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(output=str(tmp_path)).job
    Worker(job)
    for content in ("first", "second"):
        (tmp_path / ".new").mkdir()
        (tmp_path / ".new" / content).write_text("")
        job.publications.publish(Caller(0, "w"), tmp_path / ".new", tmp_path / "model")
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
        assert [path.name for path in (tmp_path / "model").iterdir()] == [content]


@pytest.mark.parametrize(
    ("written", "published"),
    [
        ("output/new", "elsewhere/model"),
        ("elsewhere/new", "output/model"),
        ("elsewhere/new", "elsewhere/model"),
        ("output/new", "output/deeper/model"),
        ("output/new", "output/../elsewhere/model"),
        ("output/new", "model"),
    ],
)
def test_publish_goes_nowhere_else(
    make_job: MakeJob, tmp_path: Path, written: str, published: str
) -> None:
    for place in ("output/deeper", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / written).write_text("content")
    job = make_job(output=str(tmp_path / "output")).job
    Worker(job)
    with pytest.raises(InvalidRequestError, match="not a place that this job writes to"):
        job.publications.publish(Caller(0, "w"), tmp_path / written, tmp_path / published)
    assert (tmp_path / written).read_text() == "content"
    assert not (tmp_path / published).exists()


def test_a_job_without_places_publishes_nothing(make_job: MakeJob) -> None:
    job = make_job().job
    Worker(job)
    with pytest.raises(InvalidRequestError):
        job.publications.publish(Caller(0, "w"), Path("new"), Path("model"))


def test_a_rename_that_fails(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(output=str(tmp_path)).job
    Worker(job)
    with pytest.raises(JobDirectoryError, match=r"cannot be renamed to.*No such file"):
        job.publications.publish(Caller(0, "w"), tmp_path / "never written", tmp_path / "model")


def test_a_publication_that_is_asked_for_again_after_a_restart(
    make_job: MakeJob, tmp_path: Path
) -> None:
    one = make_job(output=str(tmp_path))
    Worker(one.job)
    (tmp_path / ".new").write_text("model")
    one.job.flush()
    for _ in range(2):
        one.job.publications.publish(Caller(0, "w"), tmp_path / ".new", tmp_path / "model")
        one.restart()
    assert (tmp_path / "model").read_text() == "model"


# Checkpoints.


def mark(worker: Worker, step: int, tasks: int = 1) -> list[tuple[str, int]]:
    """Uses some tasks up to a step, and marks it. Returns the records."""
    leases = worker.call(max_leases=tasks).leases
    worker.call([whole(step, leases), Commit(step, [], mark=True)], max_leases=0)
    return [record for lease in leases for record in records_of(lease)]


def write(one: JobInDirectory, step: int, name: str = "w") -> Path:
    """Writes what a worker writes."""
    directory = Path(one.job.config.checkpoint.directory)
    written = directory / f".checkpoint-{step:09d}.{name}"
    written.mkdir(parents=True)
    (written / "weights").write_bytes(b"weights")
    return written


FILES = {"weights": (7, hashlib.sha256(b"weights").hexdigest())}


def publish(one: JobInDirectory, step: int, worker: Worker) -> Path:
    written = write(one, step, worker.name)
    return one.job.publications.publish_checkpoint(worker.caller, written, step, FILES)


def names(one: JobInDirectory) -> list[str]:
    directory = Path(one.job.config.checkpoint.directory)
    return sorted(path.name for path in directory.iterdir())


def test_a_checkpoint_holds_model_and_position(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 5)
    published = publish(one, 5, worker)
    assert names(one) == ["checkpoint-000000005"]
    assert sorted(path.name for path in published.iterdir()) == [
        "manifest.json",
        "shards.json",
        "weights",
    ]
    manifest = json.loads((published / "manifest.json").read_text())
    assert (manifest["step"], manifest["epoch"], manifest["seed"]) == (5, 0, 0)
    assert manifest["files"]["weights"] == {"size_bytes": 7, "sha256": FILES["weights"][1]}
    position = read_position(published.parent)
    assert (position.mark.step, position.mark.checkpoint) == (5, str(published))
    assert position.mark.position["committed"][0] == 4
    assert [(each.name, each.count) for each in position.shards] == [("a", 12)]


def test_asked_for_again_it_is_the_same_checkpoint(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 5)
    published = publish(one, 5, worker)
    before = (published / "manifest.json").read_bytes()
    for _ in range(2):
        again = one.job.publications.publish_checkpoint(
            Caller(0, "w"), write(one, 9).with_name(".checkpoint-5.w"), 5, {}
        )
        assert again == published
        shutil.rmtree(published.parent / ".checkpoint-000000009.w")
        one.restart()  # whoever publishes had it flushed
    assert (published / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("step", [4, 6])
def test_a_step_that_was_not_marked_is_refused(make_job: MakeJob, step: int) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 5)
    with pytest.raises(InvalidRequestError, match=f"step {step} has no mark"):
        publish(one, step, worker)
    assert names(one) == [f".checkpoint-{step:09d}.w"]


@pytest.mark.parametrize(
    "written", ["elsewhere/.checkpoint-5.w", "checkpoints/..", "checkpoints/checkpoint-000000001"]
)
def test_only_what_a_worker_writes_there_becomes_a_checkpoint(
    make_job: MakeJob, written: str
) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 5)
    with pytest.raises(InvalidRequestError, match="is not where this job writes checkpoints to"):
        one.job.publications.publish_checkpoint(Caller(0, "w"), one.path.parent / written, 5, FILES)


def test_what_was_never_written(make_job: MakeJob) -> None:
    one = make_job()
    mark(Worker(one.job), 5)
    written = Path(one.job.config.checkpoint.directory) / ".checkpoint-000000005.w"
    with pytest.raises(JobDirectoryError, match="cannot be published as"):
        one.job.publications.publish_checkpoint(Caller(0, "w"), written, 5, FILES)
    assert account(one.job)["committed"] == 4


def test_the_oldest_are_removed(make_job: MakeJob, tmp_path: Path) -> None:
    one = make_job(checkpoints=CheckpointConfig(directory=str(tmp_path), keep_max=2))
    worker = Worker(one.job)
    for step in (1, 2, 3):
        mark(worker, step)
        publish(one, step, worker)
    assert names(one) == ["checkpoint-000000002", "checkpoint-000000003"]


def test_a_worker_that_was_given_up_publishes_nothing(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 5)
    one.job.lose(0, "gone")
    with pytest.raises(UnknownWorkerError):
        publish(one, 5, worker)
    assert names(one) == [".checkpoint-000000005.w"]


# Going back to one.


def test_a_lost_model_goes_on_from_the_newest_checkpoint(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    before = mark(worker, 1)
    published = publish(one, 1, worker)
    undone = mark(worker, 2)  # marked, never published
    one.job.lose(0, "killed by SIGKILL")
    assert one.job.state is JobState.RUNNING
    assert (account(one.job)["committed"], account(one.job)["leases_lost"]) == (4, 0)
    with pytest.raises(UnknownWorkerError):
        worker.call()
    second = Worker(one.job, "second")
    assert (second.start.epoch, second.start.step) == (0, 1)
    assert second.start.checkpoint == str(published)
    leases = second.call().leases
    found = [record for lease in leases for record in records_of(lease)]
    assert sorted(found) == sorted({("a", index) for index in range(12)} - set(before))
    assert set(undone) <= set(found)
    second.call([whole(2, leases)])
    assert account(one.job)["missing"] == 0


def test_without_a_checkpoint_from_the_beginning(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 3)
    worker.call()
    one.job.finishing.report_evaluation(Caller(0, "w"), evaluation(3), {"loss": 0.5})
    one.job.lose(0, "gone")
    assert (account(one.job)["committed"], account(one.job)["leases_lost"]) == (0, 2)
    assert one.job.status().evaluations == ()
    second = Worker(one.job, "second")
    assert (second.start.step, second.start.checkpoint, second.start.evaluated) == (0, "", None)


def test_a_checkpoint_that_is_gone_is_passed_over(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    for step in (1, 2):
        mark(worker, step)
        publish(one, step, worker)
    shutil.rmtree(Path(one.job.config.checkpoint.directory) / "checkpoint-000000002")
    one.job.lose(0, "gone")
    assert Worker(one.job, "second").start.step == 1
    assert account(one.job)["committed"] == 4
    # Replaying does not look at files.
    shutil.rmtree(Path(one.job.config.checkpoint.directory))
    one.job.flush()
    one.restart()
    assert one.core.queue.last_step == 1


def test_the_last_result_and_the_evaluations_up_to_the_step_stay(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 1)
    publish(one, 1, worker)
    for step in (1, 2):
        worker.call([whole(step, worker.call(key=evaluation(step)).leases)], key=evaluation(step))
        one.job.finishing.report_evaluation(
            Caller(0, "w"), evaluation(step), {"accuracy": step / 10}
        )
    one.job.lose(0, "gone")
    start = Worker(one.job, "second").start
    assert (start.evaluated, start.metrics) == (evaluation(1), {"accuracy": 0.1})
    assert len(one.job.view.ledger()["epochs"]) == 2


def test_a_worker_that_leaves_before_the_end_takes_its_model_with_it(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 1)
    worker.leave()
    assert one.job.state is JobState.RUNNING
    assert account(one.job)["committed"] == 0


def test_losing_it_after_the_last_record(make_job: MakeJob) -> None:
    # The model is not saved yet, or the worker would have left.
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 1, tasks=2)
    publish(one, 1, worker)
    mark(worker, 2)
    one.job.lose(0, "gone")
    assert one.job.state is JobState.RUNNING
    second = Worker(one.job, "second")
    assert second.start.step == 1
    assert second.call([whole(2, second.call().leases)]).answer is Answer.EPOCH_ENDED
    second.leave()
    assert one.job.state is JobState.FINISHED


def test_a_new_master_without_workers_goes_back_too(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 1)
    publish(one, 1, worker)
    mark(worker, 2)
    one.job.flush()
    one.restart().adopt_if_alone()
    assert account(one.job)["committed"] == 8  # the worker is not lost yet
    one.job.lose(0, "gone")
    left = write(one, 7)
    one.job.flush()
    one.restart().adopt_if_alone()
    assert account(one.job)["committed"] == 4
    assert not left.exists()


def test_a_failure_is_over_at_once(make_job: MakeJob) -> None:
    one = make_job()
    worker = Worker(one.job)
    mark(worker, 1)
    worker.leave("file x is torn")
    assert (one.job.state, one.job.status().reason) == (JobState.FAILED, "file x is torn")
    with pytest.raises(JobFailedError, match="file x is torn"):
        Worker(one.job, "second")
