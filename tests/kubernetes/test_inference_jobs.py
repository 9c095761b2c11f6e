"""Jobs that use a trained model, and a job that is watched, on a real cluster."""

from __future__ import annotations

import json

import pytest
from cluster_user import PLAIN_MODEL, RECORDS_PER_EPOCH, User
from node_volume import run_on_volume

from elasticdl_command import eventually, run

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(400)]

PATIENT_MODEL = "patient.digits_cnn.custom_model"
TRAINED = "/elasticdl/jobs/digits/model"
MODEL_PATH = ("--model_path", f"{TRAINED}/model.keras")
OUTPUT = "/elasticdl/jobs/predictions"
VALIDATION_RECORDS = 397
WATCH = ("status", "--watch")


@pytest.fixture
def trained(user: User) -> User:
    """The user, who has trained a model."""
    flags = ("--num_epochs", 5, "--num_workers", 1, "--output", TRAINED)
    done = run(*user.submission(*flags, model=PLAIN_MODEL), directory=user.directory, timeout=200)
    assert done.exit_code == 0, done.stderr
    user.stop()
    return user


def test_each_record_is_predicted_once_although_a_worker_dies(trained: User) -> None:
    user = trained
    data = ("--prediction_data", "/data/train", "--minibatch_size", 16)
    output = ("--prediction_output", OUTPUT, "--prediction_format", "jsonl")
    arguments = user.use_of_model(
        "predict", *MODEL_PATH, *data, *output, job="daily", model=PATIENT_MODEL
    )

    namespace = ("--namespace", user.cluster.namespace)

    def is_in_the_middle() -> bool:
        done = user("status", "daily", "--json")
        status = json.loads(done.stdout) if done.exit_code == 0 else {"records": 0, "workers": []}
        return len(status["workers"]) == 2 and 0 < status["records"] < RECORDS_PER_EPOCH

    with user.following([*arguments, "--log_format", "json"]) as follower:
        eventually(lambda: "is submitted" in follower.stderr, 30, follower)
        with user.following([*WATCH, "daily", "--json", *namespace]) as watcher:
            eventually(is_in_the_middle, 200, follower)
            user.cluster.delete_pod(user.worker(1, "daily"), 0)
            gone = "worker 1 has left: it was deleted"
            eventually(lambda: gone in follower.stderr, 60, follower)
            user.order("finish", "daily")
            done, watched = follower.wait(200), watcher.wait(60)
    assert done.exit_code == 0, done.stderr

    success = json.loads(run_on_volume(user.cluster, "look", "cat jobs/predictions/_SUCCESS"))
    outcome = json.loads(done.stdout)
    assert outcome == {
        "job": "daily",
        "records": RECORDS_PER_EPOCH,
        "quarantined": 0,
        "output": OUTPUT,
        "format": "jsonl",
        "parts": len(success["parts"]),
    }
    printed = run_on_volume(user.cluster, "rows", "cat jobs/predictions/part-*.jsonl")
    rows = [json.loads(line) for line in printed.splitlines() if line]
    assert len({(row["shard"], row["index"]) for row in rows}) == len(rows) == RECORDS_PER_EPOCH
    (epoch,) = user.verified_ledger("daily")
    assert (epoch["committed"], epoch["missing"]) == (RECORDS_PER_EPOCH, 0)

    # The same was to be seen live, and is still to be seen.
    documents = [json.loads(line) for line in watched.stdout.splitlines()]
    assert watched.exit_code == 0, watched.stderr
    assert documents[-1]["state"] == "finished"
    assert any(0 < each["records"] < RECORDS_PER_EPOCH for each in documents)
    seen = [(each["kind"], each["worker_id"]) for each in documents[-1]["events"]]
    assert ("worker_lost", 1) in seen
    assert user.ask("status", "daily")["outcome"] == outcome
    user.stop("daily")


def test_an_evaluation_tells_the_accuracy(trained: User) -> None:
    user = trained
    data = ("--validation_data", "/data/validation")
    arguments = user.use_of_model("evaluate", *MODEL_PATH, *data, job="exam")
    done = run(*arguments, directory=user.directory, timeout=200)
    assert done.exit_code == 0, done.stderr
    assert f"job exam finished: {VALIDATION_RECORDS} records evaluated" in done.stdout
    metrics = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert float(metrics["accuracy"]) > 0.9
    (epoch,) = user.verified_ledger("exam")
    assert epoch["committed"] == VALIDATION_RECORDS
    user.stop("exam")

    # The newest checkpoint is that model, which only the pods can find out.
    points = ("--checkpoint_dir", "/elasticdl/jobs/digits/checkpoints", "--json")
    again = user.use_of_model("evaluate", *points, *data, job="again")
    same = json.loads(run(*again, directory=user.directory, timeout=200).stdout)
    assert same["metrics"]["accuracy"] == pytest.approx(float(metrics["accuracy"]), abs=1e-6)
    user.stop("again")


def test_a_model_that_is_not_there_is_said(user: User) -> None:
    data = ("--validation_data", "/data/validation")
    arguments = user.use_of_model("evaluate", *MODEL_PATH, *data, job="exam")
    done = run(*arguments, directory=user.directory, timeout=120)
    assert done.exit_code == 1
    assert f"--model_path: there is no file {TRAINED}/model.keras" in done.stderr
    user.stop("exam")


def test_ctrl_c_ends_a_watch_and_not_the_job(user: User) -> None:
    begun = run(*user.submission("--detach"), directory=user.directory)
    assert begun.exit_code == 0, begun.stderr
    # The master may not have begun yet, which is waited for.
    namespace = ("--namespace", user.cluster.namespace)
    with user.following([*WATCH, "digits", *namespace]) as watcher:
        eventually(lambda: "job digits  running" in watcher.stdout, 120, watcher)
        watcher.press_ctrl_c()
        assert watcher.wait(30).exit_code == 130
    assert [(job["name"], job["state"]) for job in user.ask("jobs", "list")] == [
        ("digits", "running")
    ]
    user.stop()
