"""Jobs as a user submits, follows, looks at and stops them, on a real cluster."""

from __future__ import annotations

import pytest
from cluster_user import PLAIN_MODEL, RECORDS_PER_EPOCH, User

from elasticdl_command import eventually, run
from elasticdl_like.platforms.kubernetes import places

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(400)]


def test_digits_from_submission_to_stop(user: User) -> None:
    submission = user.submission("--num_epochs", 10, model=PLAIN_MODEL)
    done = run(*submission, directory=user.directory, timeout=280)
    assert done.exit_code == 0, done.stderr
    assert "job digits finished: " in done.stdout
    _, _, accuracy = done.stdout.partition("accuracy ")
    assert float(accuracy.split()[0].rstrip(",")) > 0.95
    assert "epoch 10/10" in done.stderr

    epochs = user.check_ledger()
    assert [entry["committed"] for entry in epochs if entry["type"] == "training"] == [
        RECORDS_PER_EPOCH
    ] * 10
    assert {entry["missing"] for entry in epochs} == {0}
    # What is left in the cluster says the same.
    assert user.ask("ledger", "digits")["epochs"] == epochs
    assert user.ask("status", "digits")["state"] == "finished"
    assert [(job["name"], job["state"]) for job in user.ask("jobs", "list")] == [
        ("digits", "finished")
    ]

    again = run(*submission, directory=user.directory)
    assert again.exit_code == 1
    assert "there is a job digits" in again.stderr

    user.stop()
    assert "no jobs in namespace" in user("jobs", "list").stdout
    assert "there is no job digits" in user("stop", "digits").stderr

    # Its directory is still in the volume.
    over = run(*submission, directory=user.directory, timeout=120)
    assert over.exit_code == 1
    assert "--overwrite" in over.stderr
    user.stop()
    anew = run(
        *submission, *("--num_epochs", 1, "--overwrite"), directory=user.directory, timeout=120
    )
    assert anew.exit_code == 0, anew.stderr
    epochs = user.check_ledger()
    assert [entry["committed"] for entry in epochs if entry["type"] == "training"] == [
        RECORDS_PER_EPOCH
    ]
    user.stop()


def test_a_running_job_is_looked_at_scaled_left_and_stopped(user: User) -> None:
    with user.following(user.submission()) as follower:
        eventually(lambda: "(epoch 2)" in follower.stderr, 120, follower)
        follower.press_ctrl_c()
        left = follower.wait(30)
    assert left.exit_code == 130
    assert f"elasticdl stop digits --namespace {user.cluster.namespace}" in left.stderr

    user.wait_for_steps(members=2)
    scaled = user("scale", "digits", "--num_workers", 1)
    assert "goes from 2 to 1" in scaled.stdout, scaled.stderr
    user.wait_for_steps(members=1)
    eventually(lambda: len(user.pods(places.WORKER_ROLE)) == 1, 60)
    assert [(job["state"], job["workers"]) for job in user.ask("jobs", "list")] == [("running", 1)]
    assert "INFO" in user("logs", "digits").stdout
    assert "worker process" in user("logs", "digits", "--worker", 0).stdout
    assert "there is no pod of worker 7" in user("logs", "digits", "--worker", 7).stderr
    verified = user.ask("ledger", "digits", "--verify")
    assert verified["epochs"]
    assert verified["differences"] == []
    user.stop()


def test_a_job_that_is_left_alone_goes_on_where_it_was_stopped(user: User) -> None:
    begun = run(*user.submission("--detach"), directory=user.directory)
    assert begun.exit_code == 0, begun.stderr
    assert "elasticdl logs digits" in begun.stdout
    user.master()
    with user.following(["logs", "digits", "-f", "--namespace", user.cluster.namespace]) as log:
        eventually(lambda: "checkpoint" in log.stdout, 120, log)
        user.stop()
        log.wait(60)
    with user.following(user.submission()) as follower:
        eventually(lambda: "goes on at epoch" in follower.stderr, 60, follower)
        user.wait_for_steps()
        user.finish(follower)
    user.check_ledger()
    user.stop()


def test_two_jobs_at_once(user: User) -> None:
    both = ("first", "second")
    with (
        user.following(user.submission("--num_workers", 1, job="first")) as first,
        user.following(user.submission("--num_workers", 1, job="second")) as second,
    ):
        for job in both:
            user.wait_for_steps(1, job=job)
        assert [
            (job["name"], job["state"], job["workers"]) for job in user.ask("jobs", "list")
        ] == [
            ("first", "running", 1),
            ("second", "running", 1),
        ]
        # They have one volume, so both get the order.
        user.finish(first, "first")
        assert second.wait(120).exit_code == 0, second.stderr
    for job in both:
        user.check_ledger(job)
        assert user("stop", job).exit_code == 0
    eventually(user.nothing_is_left, 60)
