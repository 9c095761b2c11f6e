from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.config import (
    CheckpointConfig,
    DataConfig,
    JobConfig,
    ModelConfig,
    TrainingConfig,
)
from elasticdl_like.errors import (
    InvalidRequestError,
    JobDirectoryError,
    JobFailedError,
    UnknownWorkerError,
)
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.job import CommitAndLeaseResult, Job
from elasticdl_like.tasks import Answer, Commit, EpochKey, Interval, Lease, Shard, TaskType

KEY = EpochKey(TaskType.TRAINING, 0)
MODEL = ModelConfig("/zoo", "a.b.c")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_job(
    clock: Callable[[], float],
    data_only: bool = False,
    output: str = "",
    checkpoints: str = "",
    **training: Any,
) -> Job:
    """A job of 12 records in tasks of 4; validation of 2."""
    config = JobConfig(
        "job",
        DataConfig("train", "validation"),
        MODEL,
        TrainingConfig(**{"minibatch_size": 2, "num_minibatches_per_task": 2} | training),
        CheckpointConfig(directory=checkpoints),
        output,
        data_only=data_only,
    )
    return Job(config, [Shard("a", 0, 12)], [Shard("v", 0, 2)], 30.0, clock)


class Worker:
    """A worker's side of the protocol."""

    def __init__(self, job: Job, name: str = "w", requested_id: int | None = None) -> None:
        self.job, self.name = job, name
        self.worker_id = job.register(name, requested_id, f"host {name}")
        self.sequence = 0

    def call(
        self,
        commits: Sequence[Commit] = (),
        max_leases: int = 10,
        key: EpochKey = KEY,
        loss: float | None = None,
    ) -> CommitAndLeaseResult:
        self.sequence += 1
        return self.repeat(commits, max_leases, key, loss)

    def repeat(
        self,
        commits: Sequence[Commit] = (),
        max_leases: int = 10,
        key: EpochKey = KEY,
        loss: float | None = None,
    ) -> CommitAndLeaseResult:
        return self.job.commit_and_lease(
            self.worker_id, self.name, self.sequence, key, commits, max_leases, loss
        )

    def leave(self, failure: str = "") -> None:
        self.job.leave(self.worker_id, self.name, failure)


def whole(step: int, leases: Sequence[Lease]) -> Commit:
    return Commit(
        step, [Interval(each.token, each.start_position, each.end_position) for each in leases]
    )


def account(job: Job) -> dict[str, Any]:
    entry: dict[str, Any] = job.ledger()["epochs"][0]
    return entry


def finish_training(worker: Worker) -> None:
    worker.call([whole(1, worker.call().leases)])


def test_a_whole_job(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job)
    result = worker.call()
    assert (result.answer, len(result.leases)) == (Answer.LEASED, 3)
    result = worker.call([whole(1, result.leases[:2]), whole(2, result.leases[2:])], loss=0.25)
    assert (result.answer, result.leases, result.fenced_steps) == (Answer.EPOCH_ENDED, (), [])
    assert worker.call(key=EpochKey(TaskType.TRAINING, 1)).answer is Answer.END
    assert job.state is JobState.RUNNING  # the worker may still evaluate and save
    worker.leave()
    assert job.state is JobState.FINISHED
    assert (account(job)["committed"], account(job)["missing"]) == (12, 0)
    status = job.status()
    assert (status.step, status.loss, status.records, status.total_records) == (2, 0.25, 12, 12)


def test_a_repeated_request_gets_the_same_reply_and_acts_once(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job)
    first = worker.call(max_leases=1)
    assert worker.repeat(max_leases=1) == first
    assert account(job)["leases_granted"] == 1
    second = worker.call([whole(1, first.leases)], max_leases=1)
    before = account(job)
    assert worker.repeat([whole(1, first.leases)], max_leases=1) == second
    assert second.fenced_steps == []
    assert account(job) == before
    assert (before["committed"], before["leased"]) == (4, 4)


@pytest.mark.parametrize("sequence", [0, 1, 4, 100])
def test_a_gap_in_the_sequence_is_refused_and_changes_nothing(clock: Clock, sequence: int) -> None:
    job = make_job(clock)
    worker = Worker(job)
    worker.call(max_leases=1)
    worker.call(max_leases=1)
    before = account(job)
    right, worker.sequence = worker.sequence, sequence
    with pytest.raises(InvalidRequestError, match=f"sent request {sequence} after 2"):
        worker.repeat(max_leases=1)
    assert account(job) == before
    worker.sequence = right
    assert worker.call(max_leases=1).answer is Answer.LEASED


def test_a_first_request_is_number_one(clock: Clock) -> None:
    worker = Worker(make_job(clock))
    with pytest.raises(InvalidRequestError, match="sent request 0 after 0"):
        worker.repeat()


def test_an_unknown_worker_is_told_so_by_every_call(clock: Clock, tmp_path: Path) -> None:
    job = make_job(clock, output=str(tmp_path))
    Worker(job, "known")
    (tmp_path / "new").write_text("")
    for worker_id, incarnation in ((7, "known"), (0, "impostor")):
        for call in (
            lambda who: job.commit_and_lease(*who, 1, KEY, [], 1, None),
            lambda who: job.heartbeat(*who),
            lambda who: job.report_evaluation(*who, KEY, {}),
            lambda who: job.publish(*who, tmp_path / "new", tmp_path / "old"),
            lambda who: job.stop_training(*who, ""),
            lambda who: job.leave(*who, "bad"),
        ):
            with pytest.raises(UnknownWorkerError, match=f"worker {worker_id} "):
                call((worker_id, incarnation))
    assert job.state is JobState.RUNNING
    assert (tmp_path / "new").exists()
    assert account(job)["leases_granted"] == 0


def test_a_number_is_taken_once(clock: Clock) -> None:
    job = make_job(clock, data_only=True)
    Worker(job, "a", 0)
    with pytest.raises(InvalidRequestError, match="registered already, by host a"):
        Worker(job, "b", 0)


def test_a_model_has_one_worker(clock: Clock) -> None:
    job = make_job(clock)
    one = Worker(job, "one")
    with pytest.raises(InvalidRequestError, match=r"host one.*not part of this release"):
        Worker(job, "two")
    assert Worker(job, "one").worker_id == one.worker_id  # it repeats itself
    one.leave()
    assert Worker(job, "two").call().answer is Answer.LEASED


def test_fenced_steps_are_reported(clock: Clock) -> None:
    job = make_job(clock, data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    mine, other = one.call(max_leases=1).leases, two.call(max_leases=1).leases
    result = one.call([whole(1, mine), whole(2, other)], max_leases=0)
    assert result.fenced_steps == [2]
    assert account(job)["committed"] == 4


# Publishing.


def test_publish_renames_in_the_places_of_the_job(clock: Clock, tmp_path: Path) -> None:
    output, checkpoints = tmp_path / "output", tmp_path / "checkpoints"
    for place in (output, checkpoints):
        place.mkdir()
    job = make_job(clock, output=str(output), checkpoints=str(checkpoints))
    Worker(job)
    for place in (output, checkpoints):
        for content in ("first", "second"):
            (place / ".new").write_text(content)
            job.publish(0, "w", place / ".new", place / "published")
            assert [path.name for path in place.iterdir()] == ["published"]
            assert (place / "published").read_text() == content


def test_publish_replaces_a_directory(clock: Clock, tmp_path: Path) -> None:
    job = make_job(clock, output=str(tmp_path))
    Worker(job)
    for content in ("first", "second"):
        (tmp_path / ".new").mkdir()
        (tmp_path / ".new" / content).write_text("")
        job.publish(0, "w", tmp_path / ".new", tmp_path / "model")
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
    clock: Clock, tmp_path: Path, written: str, published: str
) -> None:
    for place in ("output/deeper", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / written).write_text("content")
    job = make_job(clock, output=str(tmp_path / "output"))
    Worker(job)
    with pytest.raises(InvalidRequestError, match="not a place that this job writes to"):
        job.publish(0, "w", tmp_path / written, tmp_path / published)
    assert (tmp_path / written).read_text() == "content"
    assert not (tmp_path / published).exists()


def test_a_job_without_places_publishes_nothing(clock: Clock) -> None:
    job = make_job(clock)
    Worker(job)
    with pytest.raises(InvalidRequestError):
        job.publish(0, "w", Path("new"), Path("model"))


def test_a_rename_that_fails(clock: Clock, tmp_path: Path) -> None:
    job = make_job(clock, output=str(tmp_path))
    Worker(job)
    with pytest.raises(JobDirectoryError, match=r"cannot be renamed to.*No such file"):
        job.publish(0, "w", tmp_path / "never written", tmp_path / "model")


# Evaluations.


def test_an_evaluation_is_kept_once(clock: Clock) -> None:
    job = make_job(clock)
    Worker(job)
    keys = [EpochKey(TaskType.EVALUATION, 0, step) for step in (10, 20)]
    job.report_evaluation(0, "w", keys[0], {"accuracy": 0.5})
    job.report_evaluation(0, "w", keys[1], {"accuracy": 0.6})
    job.report_evaluation(0, "w", keys[1], {"accuracy": 0.7})
    assert [each.to_plain() for each in job.status().evaluations] == [
        {"epoch": 0, "step": 10, "metrics": {"accuracy": 0.5}},
        {"epoch": 0, "step": 20, "metrics": {"accuracy": 0.7}},
    ]


# The ways to end.


def test_stop_training(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job)
    leases = worker.call(max_leases=1).leases
    job.stop_training(0, "w", "enough")
    assert worker.call([whole(1, leases)]).answer is Answer.END
    assert account(job)["committed"] == 4
    assert job.state is JobState.RUNNING
    worker.leave()
    assert (job.state, job.status().reason) == (JobState.FINISHED, "enough")


def test_a_worker_that_leaves_early_gives_its_leases_back(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job, "one")
    worker.call()
    worker.leave()
    assert job.state is JobState.RUNNING
    assert (account(job)["leased"], account(job)["leases_lost"]) == (0, 0)
    with pytest.raises(UnknownWorkerError):
        worker.call()
    finish_training(Worker(job, "two"))
    assert account(job)["committed"] == 12


def test_the_job_is_finished_when_the_last_worker_leaves(clock: Clock) -> None:
    job = make_job(clock, data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    finish_training(one)
    one.leave()
    assert job.state is JobState.RUNNING
    two.leave()
    assert job.state is JobState.FINISHED


def test_a_failure_fails_the_job_and_everybody_is_told(clock: Clock) -> None:
    job = make_job(clock, data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    one.call(max_leases=1)
    one.leave("file x: at byte 7: torn")
    assert job.state is JobState.FAILED
    assert account(job)["leases_lost"] == 1
    with pytest.raises(JobFailedError, match="the job is failed: file x: at byte 7: torn"):
        two.call()
    with pytest.raises(JobFailedError):
        job.heartbeat(two.worker_id, "two")
    with pytest.raises(JobFailedError):
        Worker(job, "three")
    # The first reason stays.
    two.leave("something else")
    job.fail("something else")
    job.interrupt()
    assert (job.state, job.status().reason) == (JobState.FAILED, "file x: at byte 7: torn")


def test_a_failure_after_the_last_record_fails_the_job(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job)
    finish_training(worker)
    worker.leave("the model cannot be saved")
    assert job.state is JobState.FAILED


def test_losing_the_worker_that_has_the_model_fails_the_job(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job)
    worker.call()
    job.lose(0, "killed by SIGKILL")
    assert (job.state, job.status().reason) == (JobState.FAILED, "killed by SIGKILL")
    assert account(job)["leases_lost"] == 3


def test_losing_it_after_the_last_record_fails_the_job_too(clock: Clock) -> None:
    # The model is not saved yet, or the worker would have left.
    job = make_job(clock)
    finish_training(Worker(job))
    job.lose(0, "killed by SIGKILL")
    assert (job.state, job.status().reason) == (JobState.FAILED, "killed by SIGKILL")


def test_losing_a_worker_that_never_registered_fails_the_job(clock: Clock) -> None:
    job = make_job(clock)
    job.lose(0, "ended with exit code 1")
    assert job.state is JobState.FAILED


def test_losing_a_worker_of_a_data_only_job_gives_its_leases_to_others(clock: Clock) -> None:
    job = make_job(clock, data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    first, second, third = one.call().leases
    one.call([Commit(1, [Interval(first.token, 0, 3)])], max_leases=0)
    assert two.call().answer is Answer.WAIT
    job.lose(one.worker_id, "gone")
    assert job.state is JobState.RUNNING
    with pytest.raises(UnknownWorkerError):
        one.call([whole(2, [second, third])])
    leases = two.call().leases
    assert sorted(lease.size for lease in leases) == [1, 4, 4]
    assert two.call([whole(1, leases)]).answer is Answer.EPOCH_ENDED
    assert (account(job)["committed"], account(job)["leases_lost"]) == (12, 3)


def test_losing_a_worker_after_the_end_changes_nothing(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job)
    finish_training(worker)
    worker.leave()
    job.lose(0, "exit code 1")
    assert (job.state, job.status().reason) == (JobState.FINISHED, "")


def test_interrupt(clock: Clock) -> None:
    job = make_job(clock)
    worker = Worker(job)
    job.interrupt()
    assert job.state is JobState.INTERRUPTED
    with pytest.raises(JobFailedError, match="interrupted"):
        worker.call()


# Time.


def test_silent_workers_are_lost(clock: Clock) -> None:
    job = make_job(clock, data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    one.call(max_leases=1)
    clock.now_s += 29
    job.heartbeat(two.worker_id, "two")
    job.lose_silent_workers()
    clock.now_s += 2
    job.lose_silent_workers()
    assert [each.description for each in job.status().workers] == ["host two"]
    assert account(job)["leases_lost"] == 1
    with pytest.raises(UnknownWorkerError):
        one.call()


def test_a_silent_worker_with_a_model_fails_the_job(clock: Clock) -> None:
    job = make_job(clock)
    Worker(job)
    clock.now_s += 31
    job.lose_silent_workers()
    assert job.state is JobState.FAILED
    assert job.status().reason == "worker 0 was silent for 31 s"


def test_a_supervised_worker_may_be_silent(clock: Clock) -> None:
    job = make_job(clock)
    job.supervise(0)
    worker = Worker(job, requested_id=0)
    clock.now_s += 10_000
    job.lose_silent_workers()
    assert worker.call().answer is Answer.LEASED
    assert job.status().workers[0].silent_s == 0


def test_the_rate_and_what_remains(clock: Clock) -> None:
    job = make_job(clock, num_epochs=2)
    worker = Worker(job)
    leases = worker.call().leases
    clock.now_s += 100  # TensorFlow takes its time to start
    assert job.status().remaining_s is None
    clock.now_s += 2
    worker.call([whole(1, leases[:1])])
    status = job.status()
    assert (status.records, status.total_records) == (4, 24)
    assert status.records_per_s == pytest.approx(2.0)
    assert status.remaining_s == pytest.approx(10.0)


def test_max_step_limits_the_total(clock: Clock) -> None:
    assert make_job(clock, max_step=3).status().total_records == 6
    assert make_job(clock, max_step=300).status().total_records == 12
