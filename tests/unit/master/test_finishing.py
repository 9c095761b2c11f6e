"""Jobs that evaluate or predict: from the last record to the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from job_parts import (
    Clock,
    JobInDirectory,
    Worker,
    account,
    evaluation,
    first_of,
    state_of,
    training,
    whole,
)

from elasticdl_like.config import (
    DataConfig,
    InferenceConfig,
    JobConfig,
    JobKind,
    WorkersConfig,
)
from elasticdl_like.errors import InvalidRequestError, JobFailedError, UnknownWorkerError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.plan import Plan
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
    Finish,
    FinishReply,
    Lease,
    Shard,
    TaskType,
)

MakeJob = Callable[..., JobInDirectory]
EVALUATED = first_of(JobKind.EVALUATION)
PREDICTED = first_of(JobKind.PREDICTION)
IN_FILES = InferenceConfig(output="/out", output_format="csv")
WAIT, DONE = FinishReply(Finish.WAIT), FinishReply(Finish.DONE)
FINISH = FinishReply(Finish.FINISH)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_job(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[MakeJob]:
    """Makes jobs of 12 records in tasks of 4."""
    made: list[JobInDirectory] = []

    def make(kind: JobKind, **flags: Any) -> JobInDirectory:
        path = tmp_path_factory.mktemp("job")
        made.append(JobInDirectory(path, clock, kind=kind, **flags))
        return made[-1]

    yield make
    for each in made:
        each.close()


def finish(worker: Worker, key: EpochKey) -> FinishReply:
    return worker.job.finishing.finish_epoch(worker.caller, key)


def begin(worker: Worker, state: str) -> str:
    return worker.job.finishing.begin_output(worker.caller, state)


def end_output(worker: Worker) -> None:
    worker.job.finishing.report_output(worker.caller, PREDICTED)


def report(worker: Worker, key: EpochKey = EVALUATED, loss: float = 0.5) -> None:
    worker.job.finishing.report_evaluation(worker.caller, key, {"loss": loss})


def summed(step: int, leases: Sequence[Lease], *sums: float) -> Commit:
    return replace(whole(step, leases), sums=sums)


def use_all(worker: Worker, key: EpochKey) -> None:
    leases = worker.call(key=key).leases
    assert worker.call([whole(1, leases)], key=key).answer is Answer.EPOCH_ENDED


def test_an_evaluation_adds_up_what_several_workers_send(make_job: MakeJob) -> None:
    job = make_job(JobKind.EVALUATION).job
    one, two = Worker(job, "one"), Worker(job, "two")
    first = one.call(max_leases=1, key=EVALUATED).leases
    others = two.call(max_leases=2, key=EVALUATED).leases
    two.call([summed(1, others, 0.1, 8.0)], 0, EVALUATED)
    assert finish(two, EVALUATED) == WAIT
    reply = one.call([summed(1, first, 0.2, 4.0)], key=EVALUATED)
    assert (reply.answer, reply.fenced_steps) == (Answer.EPOCH_ENDED, [])
    expected = FinishReply(Finish.FINISH, (0.1 + 0.2, 12.0))
    assert finish(one, EVALUATED) == finish(two, EVALUATED) == expected
    report(two)
    report(one)  # of the same sums; the first result stays
    assert finish(one, EVALUATED) == DONE
    assert [each.metrics for each in job.status().evaluations] == [{"loss": 0.5}]
    assert one.call(key=EpochKey(TaskType.EVALUATION, 1)).answer is Answer.END
    one.leave()
    two.leave()
    assert job.state is JobState.FINISHED
    assert (account(job)["type"], account(job)["committed"]) == ("evaluation", 12)


def test_an_evaluation_is_not_finished_without_a_result(make_job: MakeJob) -> None:
    job = make_job(JobKind.EVALUATION).job
    lost = Worker(job, "lost")
    use_all(lost, EVALUATED)
    job.lose(lost.worker_id, "gone")
    assert job.state is JobState.RUNNING
    next_one = Worker(job, "next")
    assert next_one.start.epoch == 1
    assert finish(next_one, EVALUATED).finish is Finish.FINISH
    report(next_one)
    next_one.leave()
    assert job.state is JobState.FINISHED


def test_a_result_before_the_end_is_refused(make_job: MakeJob) -> None:
    job = make_job(JobKind.EVALUATION).job
    worker = Worker(job)
    with pytest.raises(InvalidRequestError, match=r"has a result of .*has not ended"):
        report(worker)
    assert job.status().evaluations == ()


def test_the_records_of_a_lost_worker_are_evaluated_by_others(make_job: MakeJob) -> None:
    one = make_job(JobKind.EVALUATION)
    lost, other = Worker(one.job, "lost"), Worker(one.job, "other")
    leases = lost.call(max_leases=2, key=EVALUATED).leases
    lost.call([summed(1, leases[:1], 1.0)], 0, EVALUATED)
    one.job.lose(lost.worker_id, "gone")
    with pytest.raises(UnknownWorkerError):
        finish(lost, EVALUATED)
    others = other.call(key=EVALUATED).leases
    assert sum(lease.size for lease in others) == 8  # what was committed stays
    other.call([summed(1, others, 2.0)], key=EVALUATED)
    assert finish(other, EVALUATED).sums == (3.0,)


def test_a_fenced_commit_adds_nothing(make_job: MakeJob, clock: Clock) -> None:
    job = make_job(JobKind.EVALUATION, tables=[(Shard("a", 0, 4),)]).job
    slow, other = Worker(job, "slow"), Worker(job, "other")
    (lease,) = slow.call(key=EVALUATED).leases
    clock.now_s += 3.0
    assert other.call(key=EVALUATED).answer is Answer.WAIT
    job.tick()
    tail = other.call(key=EVALUATED).leases
    assert [(each.start_position, each.end_position) for each in tail] == [(2, 4)]
    assert slow.call([summed(1, [lease], 100.0)], 0, EVALUATED).fenced_steps == [1]
    other.call([summed(1, tail, 1.0)], 0, EVALUATED)
    other.call([summed(2, other.call(key=EVALUATED).leases, 2.0)], key=EVALUATED)
    assert finish(other, EVALUATED).sums == (3.0,)
    assert account(job)["reports_fenced"] == 1


def test_other_numbers_of_sums_are_refused_and_change_nothing(make_job: MakeJob) -> None:
    one = make_job(JobKind.EVALUATION)
    worker = Worker(one.job)
    first, second, third = worker.call(key=EVALUATED).leases
    worker.call([summed(1, [first], 1.0, 2.0)], 0, EVALUATED)
    before, last = state_of(one.core), worker.last
    with pytest.raises(InvalidRequestError, match=r"sends 3 sums .*before it 2; .*definition file"):
        worker.call([summed(2, [second], 1.0, 2.0, 3.0)], 0, EVALUATED)
    assert state_of(one.core) == before
    worker.last = last
    assert worker.call([summed(2, [second], 1.0, 2.0)], 0, EVALUATED).fenced_steps == []
    # Where a feed leaves nothing of the records, there is nothing to add.
    worker.call([whole(3, [third])], key=EVALUATED)
    assert finish(worker, EVALUATED).sums == (2.0, 4.0)


def test_records_that_cannot_be_used_add_nothing(make_job: MakeJob) -> None:
    job = make_job(JobKind.EVALUATION, tables=[(Shard("a", 0, 1),)], max_quarantined_records=1).job
    worker = Worker(job)
    for step in (1, 2):
        (lease,) = worker.call(key=EVALUATED).leases
        worker.call([replace(summed(step, [lease], 7.0), problem="torn")], 0, EVALUATED)
    assert finish(worker, EVALUATED) == FINISH


@pytest.mark.parametrize("by", ["events", "a snapshot"])
def test_sums_survive_the_master_bit_by_bit(make_job: MakeJob, by: str) -> None:
    one = make_job(JobKind.EVALUATION)
    worker = Worker(one.job)
    for step, value in enumerate((0.1, 1e300, 5e-324), 1):
        leases = worker.call(max_leases=1, key=EVALUATED).leases
        worker.call([summed(step, leases, value, -value)], 0, EVALUATED)
    sums = finish(worker, EVALUATED).sums
    assert sums == (0.1 + 1e300 + 5e-324, -0.1 - 1e300 - 5e-324)
    if by == "a snapshot":
        one.journal.save_snapshot(core_to_plain(one.core))
    one.job.flush()
    worker.job = one.restart()
    assert finish(worker, EVALUATED) == FinishReply(Finish.FINISH, sums)


def test_an_evaluation_in_training_is_finished_in_the_same_way(make_job: MakeJob) -> None:
    one = make_job(JobKind.TRAINING)
    worker = Worker(one.job)
    key = evaluation(7)
    with pytest.raises(InvalidRequestError, match="never began"):
        finish(worker, key)
    leases = worker.call(key=key).leases
    assert finish(worker, key) == WAIT
    worker.call([summed(1, leases, 0.5)], key=key)
    assert finish(worker, key) == FinishReply(Finish.FINISH, (0.5,))
    report(worker, key)
    assert finish(worker, key) == DONE
    with pytest.raises(InvalidRequestError):
        finish(worker, training(0))


def test_an_evaluation_that_is_dropped_takes_its_sums_with_it(make_job: MakeJob) -> None:
    job = make_job(JobKind.TRAINING).job
    lost = Worker(job, "lost")
    key = evaluation(0)
    lost.call([summed(1, lost.call(key=key).leases, 0.5)], key=key)
    job.lose(lost.worker_id, "gone")
    worker = Worker(job, "next")
    worker.call([summed(1, worker.call(key=key).leases, 0.25)], key=key)
    assert finish(worker, key).sums == (0.25,)


def test_one_worker_ends_a_shared_output(make_job: MakeJob) -> None:
    one = make_job(JobKind.PREDICTION)
    first, second = Worker(one.job, "first"), Worker(one.job, "second")
    assert begin(first, "") == ""
    assert begin(first, "session 1") == begin(second, "session 2") == "session 1"
    assert finish(first, PREDICTED) == WAIT
    with pytest.raises(InvalidRequestError, match="has not ended"):
        end_output(first)
    use_all(first, PREDICTED)
    assert finish(second, PREDICTED) == FINISH
    assert finish(first, PREDICTED) == WAIT
    one.job.flush()
    first.job = second.job = one.restart()
    assert (finish(first, PREDICTED), finish(second, PREDICTED)) == (WAIT, FINISH)
    one.job.lose(second.worker_id, "gone")
    assert finish(first, PREDICTED) == FINISH
    end_output(first)
    end_output(first)
    assert finish(first, PREDICTED) == DONE
    first.leave()
    assert one.job.state is JobState.FINISHED


def test_a_shared_output_that_nobody_has_ended_is_not_finished(make_job: MakeJob) -> None:
    job = make_job(JobKind.PREDICTION).job
    worker = Worker(job)
    begin(worker, "session")
    use_all(worker, PREDICTED)
    worker.leave()
    assert job.state is JobState.RUNNING


def test_a_processor_that_takes_batches_has_nothing_to_end(make_job: MakeJob) -> None:
    job = make_job(JobKind.PREDICTION).job
    worker = Worker(job)
    assert finish(worker, PREDICTED) == WAIT
    use_all(worker, PREDICTED)
    assert finish(worker, PREDICTED) == DONE
    worker.leave()
    assert job.state is JobState.FINISHED


def test_tasks_are_not_split_where_they_are_taken_whole(make_job: MakeJob, clock: Clock) -> None:
    job = make_job(JobKind.PREDICTION).job
    slow, other = Worker(job, "slow"), Worker(job, "other")
    slow.call(key=PREDICTED)
    clock.now_s += 20.0
    assert other.call(max_leases=1, key=PREDICTED).answer is Answer.WAIT
    job.tick()
    assert other.call(max_leases=1, key=PREDICTED).answer is Answer.WAIT


def test_what_a_job_does_not_do_is_refused(make_job: MakeJob) -> None:
    for kind, inference in (
        (JobKind.TRAINING, None),
        (JobKind.DATA, None),
        (JobKind.EVALUATION, None),
        (JobKind.PREDICTION, IN_FILES),
    ):
        worker = Worker(make_job(kind, inference=inference).job)
        with pytest.raises(InvalidRequestError):
            begin(worker, "session")
        with pytest.raises(InvalidRequestError):
            end_output(worker)
        if inference is None:
            with pytest.raises(InvalidRequestError, match=f"job of {kind}: nothing is predicted"):
                finish(worker, PREDICTED)
        if TaskType(kind if kind is not JobKind.DATA else "training") is not TaskType.TRAINING:
            with pytest.raises(InvalidRequestError, match="is not ended early"):
                worker.job.stop_training(worker.caller, "enough")
        worker.job.fail("over")
        with pytest.raises(JobFailedError):
            finish(worker, EVALUATED)


@pytest.mark.parametrize(
    ("inference", "part", "message"),
    [
        (IN_FILES, "", "each record to a file"),
        (None, "part-a-00001.csv", "do not go into files"),
    ],
)
def test_predictions_are_where_the_job_has_them(
    make_job: MakeJob, inference: InferenceConfig | None, part: str, message: str
) -> None:
    one = make_job(JobKind.PREDICTION, inference=inference)
    worker = Worker(one.job)
    leases = worker.call(key=PREDICTED).leases
    before = state_of(one.core)
    with pytest.raises(InvalidRequestError, match=message):
        worker.call([replace(whole(1, leases), part=part)], 0, PREDICTED)
    assert state_of(one.core) == before


@pytest.mark.parametrize("kind", [JobKind.EVALUATION, JobKind.PREDICTION])
def test_the_status(make_job: MakeJob, clock: Clock, kind: JobKind) -> None:
    # Whatever there is for training plays no part.
    job = make_job(kind, workers=None, num_epochs=1, max_step=1).job
    worker, key = Worker(job), first_of(kind)
    leases = worker.call(key=key).leases
    job.status()
    clock.now_s += 1.0
    worker.call([whole(1, leases[:1])], 0, key)
    job.status()
    clock.now_s += 1.0
    worker.call([whole(2, leases[1:2])], 0, key)
    status = job.status()
    assert (status.kind, status.num_epochs, status.records, status.total_records) == (
        *(str(kind), 1, 8, 12),
    )
    assert status.remaining_s == pytest.approx(1.0)
    assert json.loads(json.dumps(status.to_plain()))["kind"] == str(kind)


def test_as_many_workers_are_wanted_as_the_user_has_asked_for() -> None:
    config = JobConfig(
        *("job", DataConfig("", "v")), kind=JobKind.EVALUATION, workers=WorkersConfig(3)
    )
    queue = TaskQueue([(Shard("a", 0, 4),)], Plan(0, None, 4, 1, None, config.task_type))
    assert JobCore(config, queue, 1.0).workers_wanted == 3
