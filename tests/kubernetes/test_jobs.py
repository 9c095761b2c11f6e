"""Jobs as a user submits, follows, looks at and stops them, on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from host_python import PROGRAM, with_host_python

from elasticdl_command import Finished, eventually, run, running
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.transport import Transport

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PROGRAM, reason="ELASTICDL_TEST_HOST_PYTHON is not set"),
]

KINDS = ("Job", "Pod", "Secret", "ConfigMap", "Service")
OF_ANY_JOB = "app=elasticdl,elasticdl-job-name"
RECORDS_PER_EPOCH = 1400
FOR_EVER = 100_000


class User:
    """Types commands about one namespace."""

    def __init__(self, directory: Path, namespace: str) -> None:
        self.directory = directory
        self.namespace = namespace

    def __call__(self, *arguments: object, timeout: float = 120) -> Finished:
        where = ("--namespace", self.namespace)
        return run(*arguments, *where, directory=self.directory, timeout=timeout)

    def ask(self, *arguments: object) -> dict[str, object]:
        """Returns the JSON that a command prints."""
        done = self(*arguments, "--json")
        assert done.exit_code == 0, done.stderr
        plain: dict[str, object] = json.loads(done.stdout)
        return plain


@pytest.fixture
def user(tmp_path: Path, namespace: str) -> User:
    return User(tmp_path, namespace)


@pytest.fixture
def train(user: User, digits: Path, model_zoo: Path) -> Train:
    return Train(user, digits, model_zoo)


class Train:
    """Makes command lines that train on the digits with two workers."""

    def __init__(self, user: User, digits: Path, model_zoo: Path) -> None:
        self._user, self._digits, self._model_zoo = user, digits, model_zoo
        self.jobs = user.directory / "jobs"
        self.jobs.mkdir()
        self.jobs.chmod(0o777)  # pods are not this user
        digits.chmod(0o755)

    def __call__(self, epochs: int) -> Sequence[object]:
        return with_host_python(
            self._user.directory,
            [
                *("train", "--platform", "kubernetes", "--namespace", self._user.namespace),
                *("--model_zoo", self._model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
                *("--training_data", "/data/train", "--validation_data", "/data/validation"),
                *("--volume", f"host_path={self._digits},mount_path=/data,read_only=true"),
                *("--job_volume", f"host_path={self.jobs}", "--num_workers", 2),
                *("--num_epochs", epochs, "--minibatch_size", 64, "--job_name", "digits"),
                *("--worker_resource_request", "cpu=0.1,memory=512Mi"),
                *("--worker_resource_limit", "memory=4Gi"),
            ],
        )


def nothing_left(cluster: Cluster) -> bool:
    return not any(cluster.list_objects(kind, OF_ANY_JOB).items for kind in KINDS)


def test_digits_from_submission_to_stop(user: User, train: Train, cluster: Cluster) -> None:
    done = run(*train(10), directory=user.directory, timeout=280)
    assert done.exit_code == 0, done.stderr
    assert "job digits finished: " in done.stdout
    _, _, accuracy = done.stdout.partition("accuracy ")
    assert float(accuracy.split()[0].rstrip(",")) > 0.95
    assert "epoch 10/10" in done.stderr

    kept = json.loads(
        run("ledger", train.jobs / "digits", "--json", directory=user.directory).stdout
    )
    training = [entry for entry in kept["epochs"] if entry["type"] == "training"]
    assert [entry["committed"] for entry in training] == [RECORDS_PER_EPOCH] * 10
    assert {entry["missing"] for entry in kept["epochs"]} == {0}
    # What is left in the cluster says the same.
    assert user.ask("ledger", "digits")["epochs"] == kept["epochs"]
    assert user.ask("status", "digits")["state"] == "finished"
    assert [(job["name"], job["state"]) for job in user.ask("jobs", "list")] == [
        ("digits", "finished")
    ]

    again = run(*train(10), directory=user.directory)
    assert again.exit_code == 1
    assert "there is a job digits" in again.stderr

    stopped = user("stop", "digits")
    assert stopped.exit_code == 0, stopped.stderr
    eventually(lambda: nothing_left(cluster), 60)
    assert "no jobs in namespace" in user("jobs", "list").stdout
    assert "there is no job digits" in user("stop", "digits").stderr


def test_a_running_job_is_looked_at_scaled_left_and_stopped(
    user: User, train: Train, cluster: Cluster
) -> None:
    with running(["-m", "elasticdl_like", *train(FOR_EVER)], user.directory) as follower:
        eventually(lambda: "epoch 2/" in follower.stderr, 120, follower)
        follower.press_ctrl_c()
        left = follower.wait(30)
    assert left.exit_code == 130
    assert f"elasticdl stop digits --namespace {user.namespace}" in left.stderr

    def trains_with(number: int) -> bool:
        together = user.ask("status", "digits")["round"]
        return isinstance(together, dict) and len(together["members"]) == number

    eventually(lambda: trains_with(2), 60)
    scaled = user("scale", "digits", "--num_workers", 1)
    assert "goes from 2 to 1" in scaled.stdout, scaled.stderr
    eventually(lambda: trains_with(1), 60)
    assert [(job["state"], job["workers"]) for job in user.ask("jobs", "list")] == [("running", 1)]
    assert "INFO" in user("logs", "digits").stdout
    assert "worker process" in user("logs", "digits", "--worker", 0).stdout
    assert "there is no pod of worker 7" in user("logs", "digits", "--worker", 7).stderr
    verified = user.ask("ledger", "digits", "--verify")
    assert verified["epochs"]
    assert verified["differences"] == []

    stopped = user("stop", "digits")
    assert stopped.exit_code == 0, stopped.stderr
    eventually(lambda: nothing_left(cluster), 60)


def test_a_job_that_is_left_alone_goes_on_where_it_was_stopped(
    user: User, train: Train, cluster: Cluster
) -> None:
    begun = run(*train(FOR_EVER), "--detach", directory=user.directory)
    assert begun.exit_code == 0, begun.stderr
    assert "elasticdl logs digits" in begun.stdout
    follow = ["-m", "elasticdl_like", "logs", "digits", "-f", "--namespace", user.namespace]

    def has_begun() -> bool:
        return user("status", "digits").exit_code == 0

    eventually(has_begun, 60)
    with running(follow, user.directory) as log:
        eventually(lambda: "checkpoint" in log.stdout, 120, log)
        assert user("stop", "digits").exit_code == 0
        log.wait(60)
    again = run(*train(FOR_EVER), "--detach", directory=user.directory)
    assert again.exit_code == 0, again.stderr
    eventually(lambda: "goes on at epoch" in user("logs", "digits").stdout, 60)
    assert user("stop", "digits").exit_code == 0
    eventually(lambda: nothing_left(cluster), 60)


def test_why_a_master_does_not_run_is_said(user: User, train: Train, transport: Transport) -> None:
    account = f"/api/v1/namespaces/{user.namespace}/serviceaccounts/elasticdl-master"
    transport.request("delete ServiceAccount elasticdl-master", "DELETE", account)
    with running(["-m", "elasticdl_like", *train(1)], user.directory) as follower:
        eventually(
            lambda: 'serviceaccount "elasticdl-master" not found' in follower.stderr, 60, follower
        )
        assert user("stop", "digits").exit_code == 0
        left = follower.wait(30)
    assert left.exit_code == 1
    assert "somebody has stopped or deleted it" in left.stderr


def test_an_image_that_cannot_be_had_is_said(user: User, train: Train) -> None:
    arguments = [*train(1), "--image_pull_policy", "IfNotPresent"]
    spec = json.loads(str(arguments[arguments.index("--cluster_spec_json") + 1]))
    spec["master_pod"]["spec"]["containers"][0]["image"] = "no.such.host/image:1"
    arguments[arguments.index("--cluster_spec_json") + 1] = json.dumps(spec)
    with running(["-m", "elasticdl_like", *arguments], user.directory) as follower:
        eventually(
            lambda: "its image no.such.host/image:1 cannot be had" in follower.stderr, 60, follower
        )
        assert "pending" in user("jobs", "list").stdout
        assert user("stop", "digits").exit_code == 0
        assert follower.wait(30).exit_code == 1
