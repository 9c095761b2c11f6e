"""From the journal comes exactly the state that was there, whatever happened to the job."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from job_parts import Clock, JobInDirectory, Worker, account, evaluation, state_of, used, whole

from elasticdl_like.errors import InvalidRequestError, JobFailedError, JournalError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.recovery import load_core
from elasticdl_like.tasks import Answer, Commit


@pytest.fixture
def one(tmp_path: Path) -> Iterator[JobInDirectory]:
    made = JobInDirectory(
        tmp_path, Clock(), data_only=True, num_epochs=3, max_quarantined_records=2
    )
    yield made
    made.close()


def check(one: JobInDirectory, *workers: Worker) -> None:
    """Restarts the master; the state is the same. The workers go on with the new one."""
    one.job.flush()
    before = state_of(one.core)
    job = one.restart()
    assert state_of(one.core) == before
    for worker in workers:
        worker.job = job


def test_every_kind_of_event(one: JobInDirectory) -> None:
    first, second = Worker(one.job, "first"), Worker(one.job, "second", 7)
    check(one, first, second)
    leases = first.call(max_leases=2, loss=0.5).leases
    last = second.call().leases
    first.call([whole(1, leases[:1]), Commit(1, [], mark=True)], 0)
    check(one, first, second)
    first.call([whole(2, leases[1:], "torn")], 0, returned=[55])
    second.beat(1, [])
    check(one, first, second)
    assert second.call([whole(3, last)]).fenced_steps == [3]
    first.call(key=evaluation(2))
    one.job.finishing.report_evaluation(
        Caller(0, "first"), evaluation(2), {"loss": 0.5, "nan": float("inf")}
    )
    check(one, first, second)
    one.job.lose(7, "gone")
    one.job.stop_training(Caller(0, "first"), "enough")
    check(one, first)
    first.leave("a failure\nof two lines")
    check(one)
    assert (one.job.state, one.job.status().reason) == (
        JobState.FAILED,
        "a failure\nof two lines",
    )
    one.job.interrupt()  # too late
    check(one)


def test_a_repeated_request_gets_its_reply_from_the_next_master(one: JobInDirectory) -> None:
    worker = Worker(one.job)
    reply = worker.call(max_leases=2)
    check(one, worker)
    assert worker.repeat() == reply
    reply = worker.call([whole(1, reply.leases[:1])], 1)
    one.journal.save_snapshot(core_to_plain(one.core))
    check(one, worker)
    assert worker.repeat() == reply
    assert (account(one.job)["committed"], account(one.job)["leases_granted"]) == (4, 3)


@pytest.mark.parametrize("snapshot", [False, True])
def test_requests_that_were_refused(one: JobInDirectory, snapshot: bool) -> None:
    worker = Worker(one.job)
    leases = worker.call(max_leases=2).leases
    right = worker.last
    # The first commit counts before the second is found to be wrong.
    with pytest.raises(InvalidRequestError):
        worker.call([whole(1, leases[:1]), used((leases[1].token, 2, 3))])
    if snapshot:
        one.journal.save_snapshot(core_to_plain(one.core))
    check(one, worker)
    worker.last = right
    with pytest.raises(InvalidRequestError):
        worker.call(key=evaluation(1), commits=[Commit(1, [])])
    worker.last = right
    check(one, worker)
    assert account(one.job)["committed"] == 4
    assert worker.call([whole(2, leases[1:])]).answer is Answer.LEASED


def test_the_failure_of_too_many_records(one: JobInDirectory) -> None:
    worker = Worker(one.job)

    def use_nothing() -> None:
        for _ in range(50):
            leases = worker.call(max_leases=1).leases
            worker.call([whole(1, leases, "torn")], 0)

    with pytest.raises(JobFailedError, match=r"records \[2, 3\) of shard 'a' cannot be used: torn"):
        use_nothing()
    assert one.job.state is JobState.FAILED
    check(one)
    assert one.job.view.ledger()["quarantined"] == [
        {"type": "training", "epoch": 0, "shard": "a", "start": 0, "end": 3, "problem": "torn"}
    ]


def test_what_was_not_flushed_never_happened(one: JobInDirectory) -> None:
    worker = Worker(one.job)
    one.job.flush()
    before = state_of(one.core)
    worker.call()
    one.restart()
    assert state_of(one.core) == before


def test_a_snapshot_is_made_from_time_to_time(one: JobInDirectory) -> None:
    worker = Worker(one.job)
    for number in range(5100):
        worker.call(max_leases=0)
        if number % 100 == 0:
            one.job.flush()
    one.job.flush()
    assert len(list(one.journal.events())) < 200
    check(one, worker)
    assert worker.call().answer is Answer.LEASED


def gone_on(core: JobCore, **changes: Any) -> events.GoneOn:
    config = dataclasses.replace(
        core.config, training=dataclasses.replace(core.config.training, **changes)
    )
    plan = dataclasses.asdict(core.queue.plan) | {"num_epochs": config.training.num_epochs}
    return events.GoneOn(config.to_json(), plan, (), forget_workers=True)


def test_going_on_is_an_event_with_all_that_follows(one: JobInDirectory) -> None:
    worker = Worker(one.job)
    for _ in range(2):
        (lease,) = worker.call(max_leases=1).leases
        for _ in range(4):
            worker.call([whole(1, [lease], "torn")], 0)
            (lease,) = worker.call(max_leases=1).leases
            if one.core.queue.epochs.num_unusable:
                break
        worker.call(returned=[lease.token], max_leases=0)
    assert one.core.queue.epochs.num_unusable > 0
    one.job.interrupt()
    event = gone_on(one.core, max_quarantined_records=0)
    one.core.apply(event, 0.0)
    one.journal.append(*events.encode_event(event))
    assert one.core.state is JobState.FAILED  # it may set aside less than it has
    assert len(one.core.members) == 0
    check(one)


def test_a_job_with_more_epochs_than_before_is_not_finished(one: JobInDirectory) -> None:
    worker = Worker(one.job)
    one.job.stop_training(Caller(0, "w"), "enough")
    one.job.interrupt()
    one.core.queue._stopped = False
    one.core.queue._epoch_number = 3  # as if all were trained
    assert one.core.queue.ended
    one.core.apply(gone_on(one.core, num_epochs=4), 0.0)
    assert one.core.state is JobState.RUNNING
    assert worker.worker_id == 0


def test_a_directory_without_a_job(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is not a job directory"):
        load_core(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"config": "{}"},
        {"state": "sleeping"},
        {"queue": {}},
        {"members": {"next_id": 0, "retired": [], "workers": [[1]]}},
        {"evaluations": [1]},
        {"adopted": {"step": 0}},
    ],
)
def test_a_state_of_another_version(one: JobInDirectory, change: dict[str, Any]) -> None:
    one.journal.save_snapshot(json.loads(state_of(one.core)) | change)
    one.close()
    with pytest.raises(JournalError, match=r"cannot be read .*--overwrite"):
        load_core(one.path.parent)


def test_events_that_cannot_have_happened(one: JobInDirectory) -> None:
    one.journal.append(*events.encode_event(events.Adopted(77)))
    one.journal.flush()
    one.close()
    with pytest.raises(JournalError, match="no checkpoint of step 77"):
        load_core(one.path.parent)


def test_an_event_of_a_newer_version(one: JobInDirectory) -> None:
    one.journal.append("Teleported", b"{}")
    one.journal.flush()
    one.close()
    with pytest.raises(JournalError, match="kind 'Teleported'"):
        load_core(one.path.parent)


def test_reading_changes_nothing(one: JobInDirectory) -> None:
    Worker(one.job).call()
    one.job.flush()
    for _ in range(2):
        assert state_of(load_core(one.path.parent)) == state_of(one.core)
    connection = sqlite3.connect(one.path)
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (2,)
    connection.close()
