"""A job that trains one model on several workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from job_parts import Clock, JobInDirectory, account, evaluation, state_of, training, whole
from round_worker import RoundWorker

from elasticdl_like.config import WorkersConfig
from elasticdl_like.errors import (
    InvalidRequestError,
    JobFailedError,
    RetryableError,
    RoundOverError,
    UnknownWorkerError,
)
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.rounds import AgentPhase, Order, RoundOrder
from elasticdl_like.tasks import (
    Answer,
    Commit,
    Finish,
    FinishReply,
    Lease,
    LeaseRequest,
    Shard,
)

MakeJob = Callable[..., JobInDirectory]
SHARDS = (Shard("a", 0, 24),)
VALIDATION = (Shard("v", 0, 2),)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_job(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[MakeJob]:
    """Makes jobs of 24 records in tasks of 4."""
    made: list[JobInDirectory] = []

    def make(num_workers: int = 2, **flags: Any) -> JobInDirectory:
        workers = {"num_workers": num_workers} | flags.pop("workers", {})
        flags = {"tables": (SHARDS, VALIDATION), "workers": WorkersConfig(**workers)} | flags
        made.append(JobInDirectory(tmp_path_factory.mktemp("job"), clock, **flags))
        return made[-1]

    yield make
    for each in made:
        each.close()


def begin(one: JobInDirectory, num_workers: int) -> list[RoundWorker]:
    """Begins the first round."""
    workers = [RoundWorker(one.job, f"w{number}", number) for number in range(num_workers)]
    poll(*workers)
    assert all(worker.trains for worker in workers)
    return workers


def poll(*workers: RoundWorker, times: int = 3) -> None:
    for _ in range(times):
        for worker in workers:
            if not worker.left:
                worker.poll()


def train(step: int, *workers: RoundWorker) -> list[list[Lease]]:
    """Trains a step on a lease of each, and commits it; it is not firm yet."""
    leases = [list(worker.call().leases) for worker in workers]
    for worker, mine in zip(workers, leases, strict=True):
        worker.finish(step, leases)
        worker.call([whole(step, mine)], 0)
    return leases


def check(one: JobInDirectory, *workers: RoundWorker) -> None:
    """Restarts the master; the state is the same. The workers go on with the new one."""
    one.job.flush()
    before = state_of(one.core)
    job = one.restart()
    assert state_of(one.core) == before
    for worker in workers:
        worker.job = job


def test_a_whole_job(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    for step in (1, 2, 3):
        train(step, *workers)
    assert workers[1].call().firm_step == 3
    assert workers[0].call(key=training(1)).answer is Answer.END
    assert (account(one.job)["committed"], account(one.job)["missing"]) == (24, 0)
    assert one.job.state is JobState.RUNNING
    for worker in workers:
        worker.end(phase=AgentPhase.DONE)
    poll(workers[1], workers[0], times=1)
    assert workers[0].known == RoundOrder(Order.LEAVE)
    assert one.job.state is JobState.RUNNING
    workers[1].poll()
    assert one.job.state is JobState.FINISHED
    assert one.job.status().step == 3


def test_what_is_done_stays_done(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    for step in (1, 2, 3):
        train(step, *workers)
    for worker in workers:
        worker.end(phase=AgentPhase.DONE)
        worker.tell()
    check(one, *workers)
    one.job.lose(0, "it was killed")
    one.job.lose(1, "it was killed")
    assert one.job.state is JobState.FINISHED


def test_all_die_before_they_are_done(make_job: MakeJob, caplog: pytest.LogCaptureFixture) -> None:
    one = make_job()
    workers = begin(one, 2)
    for step in (1, 2, 3):
        train(step, *workers)
    caplog.set_level(logging.INFO)
    one.job.lose(0, "it was killed")
    one.job.lose(1, "it was killed")
    assert one.job.state is JobState.RUNNING
    assert account(one.job)["committed"] == 0
    assert (
        "round 1 is over after step 0 (worker 0 is gone: it was killed); the next one waits for "
        "workers"
    ) in caplog.messages
    assert begin_again(one, 2)[0].call(max_leases=9).answer is Answer.LEASED


def begin_again(one: JobInDirectory, num_workers: int) -> list[RoundWorker]:
    workers = [RoundWorker(one.job, f"x{number}", number) for number in range(num_workers)]
    poll(*workers)
    return workers


# Who may take part.


def test_the_most_workers(make_job: MakeJob) -> None:
    one = make_job(workers={"max_workers": 2})
    workers = begin(one, 2)
    with pytest.raises(InvalidRequestError, match="has 2 workers, and --max_workers is 2"):
        RoundWorker(one.job, "third")
    assert RoundWorker(one.job, "w1").worker_id == 1  # it repeats itself
    one.job.lose(1, "gone")
    poll(workers[0])
    assert RoundWorker(one.job, "third").worker_id == 2


def test_scaling(make_job: MakeJob, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = make_job(workers={"min_workers": 2, "max_workers": 4})
    workers = begin(one, 2)
    for number, problem in ((1, "at least 2"), (5, "4 at most")):
        with pytest.raises(InvalidRequestError, match=f"--num_workers {number}: .*{problem}"):
            one.job.orders.scale(number)
    one.job.orders.scale(3)
    check(one, *workers)
    assert (one.job.workers_wanted, one.job.status().workers_wanted) == (3, 3)
    workers.append(RoundWorker(one.job, "w2"))
    poll(*workers)
    status = one.job.status()
    assert status.round is not None
    assert (status.round.number, status.round.members) == (2, (0, 1, 2))
    assert (status.round.state, status.workers[2].rank) == ("running", 2)
    assert "round 2: workers 0, 1, 2 begin (worker 2 joins)" in caplog.text
    one.job.orders.scale(2)
    poll(*workers)
    poll(*workers)
    status = one.job.status()
    assert status.round is not None
    assert status.round.members == (0, 1)
    assert workers[2].left


def test_a_step_has_a_record_for_each_worker(make_job: MakeJob) -> None:
    one = make_job(global_batch_size=3)
    begin(one, 2)
    with pytest.raises(InvalidRequestError, match="--num_workers 4: a step has 3 records"):
        one.job.orders.scale(4)
    one.job.orders.scale(3)


def test_a_job_of_one_worker_has_no_rounds(tmp_path: Path, clock: Clock) -> None:
    one = JobInDirectory(tmp_path, clock)
    worker = RoundWorker(one.job, "w")
    for call in (worker.tell, lambda: one.job.orders.scale(2)):
        with pytest.raises(InvalidRequestError, match="--distribution_strategy AllReduce"):
            call()
    assert (one.job.workers_wanted, one.job.status().round) == (1, None)
    one.close()


# Rounds and calls of trainers.


def test_calls_of_a_round_that_is_over_are_refused(make_job: MakeJob, tmp_path: Path) -> None:
    one = make_job(output=str(tmp_path))
    workers = begin(one, 2)
    written = Path(one.job.config.checkpoint.directory) / ".checkpoint-1.w0"
    finishing, publications = one.job.finishing, one.job.publications
    for number in (0, 2):
        request = LeaseRequest(0, "w0", 1, training(0), round=number)
        caller = Caller(0, "w0", number)
        for call in (
            lambda request=request: one.job.commit_and_lease(request),
            lambda caller=caller: one.job.heartbeat(caller, 0, []),
            lambda caller=caller: finishing.report_evaluation(caller, evaluation(1), {}),
            lambda caller=caller: finishing.finish_epoch(caller, evaluation(1)),
            lambda caller=caller: publications.publish(caller, tmp_path / "a", tmp_path / "b"),
            lambda caller=caller: publications.publish_checkpoint(caller, written, 1, {}),
            lambda caller=caller: one.job.stop_training(caller, ""),
        ):
            with pytest.raises(RoundOverError, match=f"worker 0 trains in round {number}, which"):
                call()
    one.job.heartbeat(Caller(0, "w0", 1), 0, [])
    one.job.lose(1, "gone")
    poll(workers[0], times=1)
    assert workers[0].call().answer is Answer.LEASED  # its round is ending, but not over
    workers[0].tell()
    with pytest.raises(RoundOverError):
        one.job.heartbeat(Caller(0, "w0", 1), 0, [])


def test_requests_are_numbered_anew_in_each_round(make_job: MakeJob) -> None:
    one = make_job(num_workers=1)
    (worker,) = begin(one, 1)
    train(1, worker)
    worker.end("x")
    poll(worker)
    assert (worker.report.round, worker.sequence) == (2, 0)
    first = worker.call()
    check(one, worker)
    assert worker.repeat() == first
    assert first.leases[0].task.start == 4


def test_a_heartbeat_takes_no_leases_back(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    workers[0].call(max_leases=2)
    one.job.heartbeat(Caller(0, "w0", 1), 1, [], {"training": 1.0})
    assert account(one.job)["leased"] == 8
    assert one.job.status().workers[0].seconds_spent == {"training": 1.0}


# Deaths.


def test_no_finished_step_is_lost_with_a_worker(
    make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = make_job(num_workers=3)
    workers = begin(one, 3)
    train(1, *workers)
    leases = [list(worker.call().leases) for worker in workers]
    for worker in workers:
        worker.finish(2, leases)
    # Step 2 is finished, and nobody has said so when one is killed.
    one.job.lose(1, "it was killed by SIGKILL")
    survivors = [workers[0], workers[2]]
    poll(*survivors)
    plan = survivors[0].plan
    assert plan is not None
    assert [member.worker_id for member in plan.members] == [0, 2]
    assert (plan.number, plan.start.step, plan.holders) == (2, 2, ("host-w0:1", "host-w2:1"))
    assert account(one.job)["committed"] == 24
    assert (
        "round 2: workers 0, 2 from step 2 (worker 1 is gone: it was killed by SIGKILL)"
        in caplog.messages
    )
    check(one, *survivors)


def test_the_survivors_go_back_when_the_only_holder_dies(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    leases = train(1, *workers)
    leases = [list(worker.call().leases) for worker in workers]
    workers[0].finish(2, leases)
    for worker in workers:
        worker.end("cut off")
        worker.tell()
    status = one.job.status()
    assert (status.step, account(one.job)["committed"]) == (2, 16)
    check(one, *workers)
    one.job.lose(0, "gone")
    poll(workers[1])
    assert workers[1].plan is not None
    assert (workers[1].plan.start.step, workers[1].plan.holders) == (1, ("host-w1:1",))
    assert account(one.job)["committed"] == 8


def test_nobody_has_the_state_any_more(make_job: MakeJob, caplog: pytest.LogCaptureFixture) -> None:
    one = make_job()
    workers = begin(one, 2)
    train(1, *workers)
    mark_and_publish(one, workers, 1)
    train(2, *workers)
    for worker in workers:
        worker.call(max_leases=0)
        worker.end("killed by signal 9", with_state=False)
        worker.tell()
    plan = workers[0].tell().plan
    assert plan is not None
    assert (plan.start.step, plan.holders) == (1, ())
    assert plan.start.checkpoint.endswith("checkpoint-000000001")
    assert account(one.job)["committed"] == 8
    (warning,) = [each.message for each in caplog.records if "round 2" in each.message]
    assert warning.startswith("round 2: workers 0, 1 from the checkpoint of step 1 (the trainer of")
    assert warning.endswith("; 1 finished step is lost")


def mark_and_publish(one: JobInDirectory, workers: list[RoundWorker], step: int) -> Path:
    directory = Path(one.job.config.checkpoint.directory)
    written = directory / f".checkpoint-{step:09d}.w0"
    written.mkdir(parents=True)
    workers[0].call([Commit(step, [], mark=True)], 0)
    for worker in workers:
        worker.call(max_leases=0)
    number = workers[0].report.round
    return one.job.publications.publish_checkpoint(Caller(0, "w0", number), written, step, {})


def test_a_checkpoint_waits_until_its_step_is_firm(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    leases = [list(worker.call().leases) for worker in workers]
    workers[0].finish(1, leases)
    workers[0].call([whole(1, leases[0]), Commit(1, [], mark=True)], 0)
    written = Path(one.job.config.checkpoint.directory) / ".checkpoint-1.w0"
    written.mkdir(parents=True)
    with pytest.raises(RetryableError, match="step 1 is not known to be finished by all"):
        one.job.publications.publish_checkpoint(Caller(0, "w0", 1), written, 1, {})
    workers[1].finish(1, leases)
    workers[1].call([whole(1, leases[1])], 0)
    published = one.job.publications.publish_checkpoint(Caller(0, "w0", 1), written, 1, {})
    assert (published / "manifest.json").exists()
    with pytest.raises(InvalidRequestError, match="step 0 has no mark"):
        one.job.publications.publish_checkpoint(Caller(0, "w0", 1), written, 0, {})


def test_what_was_being_written_is_removed_with_the_round(make_job: MakeJob) -> None:
    one = make_job(num_workers=3)
    workers = begin(one, 3)
    written = Path(one.job.config.checkpoint.directory) / ".checkpoint-1.w0"
    written.mkdir(parents=True)
    one.job.lose(2, "gone")
    workers[0].tell()
    assert written.exists()  # the chief may be at it
    poll(*workers[:2])
    assert not written.exists()


def test_workers_whose_claims_cannot_be_true(
    make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    one = make_job(num_workers=1)
    (worker,) = begin(one, 1)
    (lease,) = worker.call().leases
    stranger = Lease(lease.token + 77, lease.task, 0, 4)
    worker.finish(1, [[stranger]])
    worker.end("x")
    poll(worker, times=1)
    assert "round 1: what its workers hold cannot be used" in caplog.text
    assert worker.plan is not None
    assert (worker.plan.number, worker.plan.start.step) == (2, 0)
    assert account(one.job)["committed"] == 0
    check(one, worker)


# Silence.


def tick(one: JobInDirectory, clock: Clock, seconds: int, *polling: RoundWorker) -> None:
    for _ in range(seconds):
        clock.now_s += 1
        for worker in polling:
            worker.poll()
        one.job.tick()


@pytest.mark.parametrize("supervised", [False, True])
def test_a_silent_worker_is_lost_at_once(make_job: MakeJob, clock: Clock, supervised: bool) -> None:
    one = make_job()
    if supervised:
        one.job.supervise(0)
        one.job.supervise(1)
    workers = begin(one, 2)
    train(1, *workers)
    tick(one, clock, 30, workers[0])
    assert one.job.hung_workers() == []
    # What its trainer says is not what keeps it in.
    one.job.heartbeat(Caller(1, "w1", 1), 0, [])
    tick(one, clock, 3, workers[0])
    assert [each.worker_id for each in one.job.status().workers] == [0]
    assert workers[0].report.round == 2
    with pytest.raises(UnknownWorkerError):
        workers[1].tell()
    hung = [(1, "it was silent for 31 s")] if supervised else []
    assert one.job.hung_workers() == hung
    assert one.job.registered_incarnation(1) == ("w1" if supervised else None)
    one.job.lose(1, "it was killed")  # by its platform
    assert one.job.hung_workers() == []
    assert one.job.registered_incarnation(1) is None


def test_one_that_comes_back_by_itself_is_not_killed(make_job: MakeJob, clock: Clock) -> None:
    one = make_job()
    one.job.supervise(1)
    workers = begin(one, 2)
    tick(one, clock, 32, workers[0])
    assert len(one.job.hung_workers()) == 1
    workers[1] = RoundWorker(one.job, "w1 again", 1)
    assert one.job.hung_workers() == []
    poll(*workers)
    assert workers[1].report.round == workers[0].report.round == 3


# The master's restart, and the end of a job.


def test_everything_is_in_the_journal(make_job: MakeJob) -> None:
    one = make_job(num_workers=3)
    workers = begin(one, 3)
    check(one, *workers)
    train(1, *workers)
    check(one, *workers)
    train(2, *workers[:2])
    one.job.lose(2, "gone")
    check(one, *workers)
    poll(*workers[:2], times=1)
    one.journal.save_snapshot(core_to_plain(one.core))
    check(one, *workers)
    poll(*workers[:2])
    check(one, *workers)
    assert workers[0].plan is not None
    assert (workers[0].plan.number, workers[0].plan.start.step) == (2, 2)
    assert workers[1].call().answer is Answer.LEASED


def test_a_job_that_fails_tells_its_agents(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    told: list[int] = []
    one.job.orders.on_change(lambda: told.append(1))
    one.job.leave(0, "w0", "the model file is wrong")
    assert told
    with pytest.raises(JobFailedError, match="the model file is wrong"):
        workers[1].tell()


def test_a_job_that_was_interrupted_goes_on_from_its_checkpoint(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    train(1, *workers)
    mark_and_publish(one, workers, 1)
    train(2, *workers)
    one.job.flush()
    job = one.restart()
    for worker_id in (0, 1):
        job.lose(worker_id, "it ended while there was no master")
    again = begin_again(one, 2)
    assert again[0].plan is not None
    assert again[0].plan.start.step == 1
    assert account(one.job)["committed"] == 8


def test_the_total_of_a_job_with_a_last_step(make_job: MakeJob) -> None:
    assert make_job(max_step=3).job.status().total_records == 12
    assert make_job(max_step=3, global_batch_size=3).job.status().total_records == 9


# Evaluations of a round.


def test_all_members_evaluate_and_one_finishes(make_job: MakeJob) -> None:
    one = make_job(tables=(SHARDS, (Shard("v", 0, 12),)))
    workers = begin(one, 2)
    key = evaluation(0)
    leases = [list(worker.call(max_leases=9, key=key).leases) for worker in workers]
    # Of three tasks the one who comes first takes no more than leaves as many to the other.
    assert [len(mine) for mine in leases] == [2, 1]
    for worker, mine in zip(workers, leases, strict=True):
        ask = one.job.finishing.finish_epoch
        assert ask(Caller(worker.worker_id, worker.name, 1), key).finish is Finish.WAIT
        worker.call([replace(whole(0, mine), sums=(float(len(mine)),))], 0, key)
    check(one, *workers)
    ask = one.job.finishing.finish_epoch
    assert ask(Caller(1, "w1", 1), key) == FinishReply(Finish.FINISH, (3.0,))
    one.job.finishing.report_evaluation(Caller(0, "w0", 1), key, {"loss": 0.5})
    assert ask(Caller(1, "w1", 1), key) == FinishReply(Finish.DONE)


def test_leases_to_evaluate_go_back_and_those_to_train_stay(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    workers[0].call()
    workers[0].call(key=evaluation(0))
    before = [account(one.job, number)["leased"] for number in (0, 1)]
    one.job.heartbeat(Caller(0, "w0", 1), workers[0].sequence, [])
    after = [account(one.job, number)["leased"] for number in (0, 1)]
    assert (before[1], after) == (2, [before[0], 0])
    assert len(workers[1].call(key=evaluation(0)).leases) == 1


def test_an_unfinished_evaluation_is_dropped_with_its_round(make_job: MakeJob) -> None:
    one = make_job()
    workers = begin(one, 2)
    key = evaluation(0)
    workers[0].call([replace(whole(0, workers[0].call(key=key).leases), sums=(7.0,))], 0, key)
    one.job.lose(1, "gone")
    poll(workers[0], RoundWorker(one.job, "w2", 2))
    assert workers[0].trains
    leases = workers[0].call(key=key).leases
    workers[0].call([replace(whole(0, leases), sums=(1.0,))], 0, key)
    assert workers[0].plan is not None
    number = workers[0].plan.number
    assert number > 1
    reply = one.job.finishing.finish_epoch(Caller(0, "w0", number), key)
    assert reply == FinishReply(Finish.FINISH, (1.0,))
