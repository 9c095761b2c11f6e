from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from job_parts import KEY, Clock, JobInDirectory, Worker, account, evaluation, whole

from elasticdl_like.errors import (
    InvalidRequestError,
    JobFailedError,
    UnknownWorkerError,
)
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.job import Job
from elasticdl_like.tasks import Answer, Commit, EpochKey, Interval, LeaseRequest, Shard, TaskType

MakeJob = Callable[..., Job]
AT_STEP = evaluation(7)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_job(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[MakeJob]:
    """Makes jobs of 12 records in tasks of 4; validation of 2."""
    made: list[JobInDirectory] = []

    def make(**flags: Any) -> Job:
        made.append(JobInDirectory(tmp_path_factory.mktemp("job"), clock, **flags))
        return made[-1].job

    yield make
    for each in made:
        each.close()


def finish_training(worker: Worker) -> None:
    worker.call([whole(1, worker.call().leases)])


def test_a_whole_job(make_job: MakeJob) -> None:
    job = make_job()
    worker = Worker(job)
    result = worker.call()
    assert (result.answer, len(result.leases)) == (Answer.LEASED, 3)
    result = worker.call([whole(1, result.leases[:2]), whole(2, result.leases[2:])], loss=0.25)
    assert (result.answer, result.leases, result.fenced_steps) == (Answer.EPOCH_ENDED, [], [])
    assert worker.call(key=EpochKey(TaskType.TRAINING, 1)).answer is Answer.END
    assert job.state is JobState.RUNNING  # the worker may still evaluate and save
    worker.leave()
    assert job.state is JobState.FINISHED
    assert (account(job)["committed"], account(job)["missing"]) == (12, 0)
    status = job.status()
    assert (status.step, status.loss, status.records, status.total_records) == (2, 0.25, 12, 12)


def test_a_repeated_request_gets_the_same_reply_and_acts_once(make_job: MakeJob) -> None:
    job = make_job()
    worker = Worker(job)
    first = worker.call(max_leases=1)
    assert worker.repeat() == first
    assert account(job)["leases_granted"] == 1
    second = worker.call([whole(1, first.leases)], max_leases=1)
    before = account(job)
    assert worker.repeat() == second
    assert second.fenced_steps == []
    assert account(job) == before
    assert (before["committed"], before["leased"]) == (4, 4)


@pytest.mark.parametrize("sequence", [0, 1, 4, 100])
def test_a_gap_in_the_sequence_is_refused_and_changes_nothing(
    make_job: MakeJob, sequence: int
) -> None:
    job = make_job()
    worker = Worker(job)
    worker.call(max_leases=1)
    worker.call(max_leases=1)
    before = account(job)
    right, worker.last = worker.last, replace(worker.last, sequence=sequence)
    with pytest.raises(InvalidRequestError, match=f"sent request {sequence} after 2"):
        worker.repeat()
    assert account(job) == before
    worker.last = right
    assert worker.call(max_leases=1).answer is Answer.LEASED


def test_a_first_request_is_number_one(make_job: MakeJob) -> None:
    worker = Worker(make_job())
    with pytest.raises(InvalidRequestError, match="sent request 0 after 0"):
        worker.repeat()


def test_an_unknown_worker_is_told_so_by_every_call(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(output=str(tmp_path))
    Worker(job, "known")
    (tmp_path / "new").write_text("")
    for worker_id, incarnation in ((7, "known"), (0, "impostor")):
        for call in (
            lambda who: job.commit_and_lease(LeaseRequest(*who, 1, KEY, max_leases=1)),
            lambda who: job.heartbeat(Caller(*who), 0, []),
            lambda who: job.finishing.report_evaluation(Caller(*who), KEY, {}),
            lambda who: job.publications.publish(Caller(*who), tmp_path / "new", tmp_path / "old"),
            lambda who: job.stop_training(Caller(*who), ""),
            lambda who: job.leave(*who, "bad"),
        ):
            with pytest.raises(UnknownWorkerError, match=f"worker {worker_id} "):
                call((worker_id, incarnation))
    assert job.state is JobState.RUNNING
    assert (tmp_path / "new").exists()
    assert account(job)["leases_granted"] == 0


def test_a_number_is_taken_once(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
    Worker(job, "a", 0)
    with pytest.raises(InvalidRequestError, match="registered already, by host a"):
        Worker(job, "b", 0)


def test_a_model_has_one_worker(make_job: MakeJob) -> None:
    job = make_job()
    one = Worker(job, "one")
    with pytest.raises(InvalidRequestError, match=r"host one.*--distribution_strategy AllReduce"):
        Worker(job, "two")
    assert Worker(job, "one").worker_id == one.worker_id  # it repeats itself
    one.leave()
    assert Worker(job, "two").call().answer is Answer.LEASED


def test_fenced_steps_are_reported(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    mine, other = one.call(max_leases=1).leases, two.call(max_leases=1).leases
    result = one.call([whole(1, mine), whole(2, other)], max_leases=0)
    assert result.fenced_steps == [2]
    assert account(job)["committed"] == 4


# Evaluations.


def test_an_evaluation_is_kept_once(make_job: MakeJob) -> None:
    job = make_job()
    Worker(job)
    keys = [EpochKey(TaskType.EVALUATION, 0, step) for step in (10, 20)]
    job.finishing.report_evaluation(Caller(0, "w"), keys[0], {"accuracy": 0.5})
    job.finishing.report_evaluation(Caller(0, "w"), keys[1], {"accuracy": 0.6})
    job.finishing.report_evaluation(Caller(0, "w"), keys[1], {"accuracy": 0.7})
    assert [each.to_plain() for each in job.status().evaluations] == [
        {"epoch": 0, "step": 10, "metrics": {"accuracy": 0.5}},
        {"epoch": 0, "step": 20, "metrics": {"accuracy": 0.7}},
    ]


# The ways to end.


def test_stop_training(make_job: MakeJob) -> None:
    job = make_job()
    worker = Worker(job)
    leases = worker.call(max_leases=1).leases
    job.stop_training(Caller(0, "w"), "enough")
    assert worker.call([whole(1, leases)]).answer is Answer.END
    assert account(job)["committed"] == 4
    assert job.state is JobState.RUNNING
    worker.leave()
    assert (job.state, job.status().reason) == (JobState.FINISHED, "enough")


def test_a_worker_that_leaves_early_gives_its_leases_back(make_job: MakeJob) -> None:
    job = make_job()
    worker = Worker(job, "one")
    worker.call()
    worker.leave()
    assert job.state is JobState.RUNNING
    assert (account(job)["leased"], account(job)["leases_lost"]) == (0, 0)
    with pytest.raises(UnknownWorkerError):
        worker.call()
    finish_training(Worker(job, "two"))
    assert account(job)["committed"] == 12


def test_the_job_is_finished_when_the_last_worker_leaves(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    finish_training(one)
    one.leave()
    assert job.state is JobState.RUNNING
    two.leave()
    assert job.state is JobState.FINISHED


def test_a_failure_fails_the_job_and_everybody_is_told(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    one.call(max_leases=1)
    one.leave("file x: at byte 7: torn")
    assert job.state is JobState.FAILED
    assert account(job)["leases_lost"] == 1
    with pytest.raises(JobFailedError, match="the job is failed: file x: at byte 7: torn"):
        two.call()
    with pytest.raises(JobFailedError):
        two.beat(0, [])
    with pytest.raises(JobFailedError):
        Worker(job, "three")
    # The first reason stays.
    two.leave("something else")
    job.fail("something else")
    job.interrupt()
    assert (job.state, job.status().reason) == (JobState.FAILED, "file x: at byte 7: torn")


def test_a_failure_after_the_last_record_fails_the_job(make_job: MakeJob) -> None:
    job = make_job()
    worker = Worker(job)
    finish_training(worker)
    worker.leave("the model cannot be saved")
    assert job.state is JobState.FAILED


def test_losing_a_worker_of_a_data_only_job_gives_its_leases_to_others(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
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


def test_losing_a_worker_after_the_end_changes_nothing(make_job: MakeJob) -> None:
    job = make_job()
    worker = Worker(job)
    finish_training(worker)
    worker.leave()
    job.lose(0, "exit code 1")
    assert (job.state, job.status().reason) == (JobState.FINISHED, "")


def test_interrupt(make_job: MakeJob) -> None:
    job = make_job()
    worker = Worker(job)
    job.interrupt()
    assert job.state is JobState.INTERRUPTED
    with pytest.raises(JobFailedError, match="interrupted"):
        worker.call()


# Time.


def tick(job: Job, clock: Clock, seconds: int) -> None:
    """Lets time pass as it does for a master that runs."""
    for _ in range(seconds):
        clock.now_s += 1
        job.tick()


def test_silent_workers_are_lost(make_job: MakeJob, clock: Clock) -> None:
    job = make_job(data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    one.call(max_leases=1)
    tick(job, clock, 29)
    two.beat(0, [])
    tick(job, clock, 2)
    assert [each.description for each in job.status().workers] == ["host two"]
    assert account(job)["leases_lost"] == 1
    with pytest.raises(UnknownWorkerError):
        one.call()
    with pytest.raises(UnknownWorkerError, match="given up for lost"):
        Worker(job, "one")


def test_a_worker_that_a_platform_watches_hangs_when_it_is_silent_for_long(
    make_job: MakeJob, clock: Clock
) -> None:
    job = make_job()
    job.supervise(0)
    worker = Worker(job, requested_id=0)
    tick(job, clock, 180)
    assert job.hung_workers() == []
    tick(job, clock, 1)
    assert job.hung_workers() == [(0, "it was silent for 181 s")]
    # It is for the platform to end the process.
    assert worker.call().answer is Answer.LEASED
    assert job.hung_workers() == []
    assert job.status().workers[0].silent_s == 0


def test_a_worker_is_watched_from_when_the_platform_says_so(
    make_job: MakeJob, clock: Clock
) -> None:
    job = make_job(data_only=True)
    Worker(job, "before")
    job.supervise(0)
    Worker(job, "not watched")
    tick(job, clock, 31)
    assert [each.description for each in job.status().workers] == ["host before"]


# Heartbeats.


def test_leases_of_a_lost_reply_come_back_at_once(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    first = one.call(max_leases=1).leases
    one.call(max_leases=1)  # the reply is lost, and the worker will not ask again
    one.beat(1, [first[0].token])
    assert account(job)["leased"] == 8  # it might still be under way
    one.beat(2, [first[0].token])
    assert account(job)["leased"] == 4
    assert len(two.call().leases) == 2
    assert one.call([whole(1, first)]).fenced_steps == []
    assert account(job)["leases_lost"] == 0


def test_a_heartbeat_that_lists_everything_changes_nothing(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
    one = Worker(job, "one")
    tokens = [lease.token for lease in one.call().leases]
    before = account(job)
    one.beat(1, [*tokens, 999])
    assert account(job) == before


def test_returned_leases_go_to_others(make_job: MakeJob) -> None:
    job = make_job(data_only=True)
    one, two = Worker(job, "one"), Worker(job, "two")
    leases = one.call().leases
    assert two.call().answer is Answer.WAIT
    assert one.call(max_leases=0).recalled == 1
    assert one.call(max_leases=0, returned=[leases[-1].token]).recalled == 0
    (moved,) = two.call().leases
    assert moved.task == leases[-1].task
    assert one.call([whole(1, leases)], max_leases=0).fenced_steps == [1]
    assert account(job)["committed"] == 0


# Slow evaluations.


def test_the_tail_of_a_slow_evaluation_goes_to_who_waits(make_job: MakeJob, clock: Clock) -> None:
    job = make_job(data_only=True, tables=((Shard("a", 0, 12),), (Shard("v", 0, 4),)))
    one, two = Worker(job, "one"), Worker(job, "two")
    (slow,) = one.call(key=AT_STEP).leases
    assert slow.size == 4
    clock.now_s += 2
    job.tick()
    assert two.call(key=AT_STEP).answer is Answer.WAIT
    job.tick()
    (tail,) = two.call(key=AT_STEP).leases
    assert (tail.start_position, tail.end_position) == (2, 4)
    assert two.call([whole(1, [tail])], key=AT_STEP).answer is Answer.WAIT
    first_half = Commit(1, [Interval(slow.token, 0, 2)])
    assert one.call([first_half], key=AT_STEP).answer is Answer.EPOCH_ENDED
    assert account(job, 1)["missing"] == 0


def test_the_rate_and_what_remains(make_job: MakeJob, clock: Clock) -> None:
    job = make_job(num_epochs=2)
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


def test_max_step_limits_the_total(make_job: MakeJob) -> None:
    assert make_job(max_step=3).status().total_records == 6
    assert make_job(max_step=300).status().total_records == 12


def test_the_newest_seconds_of_a_worker_are_in_the_status(
    make_job: MakeJob, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job()
    worker = Worker(job)
    (told,) = job.status().workers
    assert (told.seconds_spent, told.time_shares, told.starvation) == ({}, None, "")

    def beat(**seconds: float) -> None:
        job.heartbeat(worker.caller, 0, [], seconds)

    for second in range(1, 101):
        clock.now_s += 1
        beat(training=second / 4, waiting_for_input=3 * second / 4, awaited_reading=second)
    (told,) = job.status().workers
    assert told.seconds_spent["training"] == 25
    assert told.recent_s == 30
    assert told.time_shares == told.recent_time_shares
    assert told.time_shares is not None
    assert told.time_shares.waiting["reading"] == pytest.approx(0.75)
    assert told.starvation.startswith(
        "training has waited for input 75% of the last 30 s, mostly r"
    )
    warnings = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("worker 0: training has waited for input 75% of the last 10 s")
    worker.beat(0, [])  # tells nothing of its time
    assert job.status().workers[0].seconds_spent["training"] == 25
    with pytest.raises(InvalidRequestError, match="'sleeping'"):
        beat(sleeping=1.0)
    assert job.status().workers[0].seconds_spent["training"] == 25
    job.lose(worker.worker_id, "gone")
    Worker(job, "next")
    assert job.status().workers[0].seconds_spent == {}
