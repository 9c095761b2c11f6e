"""What is said about the jobs of a namespace, and how one is ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from recorded_pods import recorded

from elasticdl_like.errors import ClusterError, ClusterUnavailableError, ConfigError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import NOT_FOUND, ExecResult, Listing
from elasticdl_like.platforms.kubernetes.jobs import (
    ClusterJob,
    describe_jobs,
    run_beside_master,
    running_master,
    stop_job,
)

CREATED = "2026-01-01T00:00:00Z"
FAILED = {"conditions": [{"type": "Failed", "status": "True", "message": "too often"}]}


def root(name: str, created: str = CREATED, **fields: Any) -> dict[str, Any]:
    labels = {**places.APP_LABELS, places.JOB_LABEL: name}
    metadata = {"name": name, "creationTimestamp": created, "labels": labels, "uid": "u"}
    return {"metadata": metadata, **fields}


def pod(kind: str, job: str, role: str, message: str = "") -> dict[str, Any]:
    plain: dict[str, Any] = recorded(kind)["pod"]
    plain["metadata"]["labels"] = {places.JOB_LABEL: job, places.ROLE_LABEL: role}
    for status in plain["status"].get("containerStatuses", []):
        if message:
            status["state"]["terminated"]["message"] = message
    return plain


def master(kind: str, message: str = "") -> dict[str, Any]:
    return pod(kind, "a", places.MASTER_ROLE, message)


def told(state: str, reason: str) -> str:
    return json.dumps({"state": state, "reason": reason})


@pytest.mark.parametrize(
    ("pods", "fields", "state", "reason"),
    [
        ([], {}, "pending", ""),
        ([master("running")], {}, "running", ""),
        ([master("completed", told("finished", ""))], {}, "finished", ""),
        ([master("completed", told("failed", "no data"))], {}, "failed", "no data"),
        ([master("crashed")], {"status": FAILED}, "failed", "its master was given up: too often"),
    ],
)
def test_how_a_job_stands(
    pods: list[dict[str, Any]], fields: dict[str, Any], state: str, reason: str
) -> None:
    assert describe_jobs([root("a", **fields)], pods) == [
        ClusterJob("a", state, reason, 0, CREATED)
    ]


def test_why_a_job_does_not_run() -> None:
    (waiting,) = describe_jobs([root("a")], [master("unschedulable")])
    assert waiting.state == "pending"
    assert "no node has room" in waiting.reason
    (crashed,) = describe_jobs([root("a")], [master("crashed")])
    assert crashed.state == "restarting"
    assert "exit" in crashed.reason


def test_a_job_that_is_being_deleted() -> None:
    going = root("a")
    going["metadata"]["deletionTimestamp"] = CREATED
    assert describe_jobs([going], [master("running")])[0].state == "stopping"


def test_each_job_has_its_own_workers_and_the_oldest_comes_first() -> None:
    worker = places.WORKER_ROLE
    pods = [
        pod("running", "b", worker),
        pod("running", "b", worker),
        pod("unschedulable", "b", worker),
        pod("running", "of nobody", worker),
        master("running"),
    ]
    jobs = describe_jobs([root("a", "2026-01-02T00:00:00Z"), root("b", CREATED)], pods)
    assert [(job.name, job.workers) for job in jobs] == [("b", 2), ("a", 0)]


class ScriptedCluster:
    """A namespace whose pods end one by one."""

    namespace = "vision"

    def __init__(self, roots: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
        self._roots = {each["metadata"]["name"]: each for each in roots}
        self.pods = pods
        self.deleted: list[tuple[str, str]] = []
        self.commands: list[tuple[str, Sequence[str]]] = []
        self.now_s = 0.0
        self.ends = True

    def read(self, kind: str, name: str) -> dict[str, Any]:
        if name not in self._roots:
            raise ClusterError("not found", NOT_FOUND)
        return self._roots[name]

    def list_objects(self, kind: str, selector: str) -> Listing:
        return Listing(list(self._roots.values()), "1")

    def list_pods(self, selector: str) -> Listing:
        return Listing(list(self.pods), "1")

    def delete(self, kind: str, name: str) -> None:
        self.deleted.append((kind, name))

    def exec(self, pod: str, command: Sequence[str]) -> ExecResult:
        self.commands.append((pod, command))
        return ExecResult(0, "", "")

    def stop(self, name: str) -> None:
        stop_job(self, name, lambda: self.now_s, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.ends:
            self.pods.pop()


def test_stopping_waits_for_the_pods() -> None:
    worker = pod("running", "a", places.WORKER_ROLE)
    cluster = ScriptedCluster([root("a")], [worker, master("running")])
    cluster.stop("a")
    assert cluster.deleted == [("Job", "a")]
    assert cluster.pods == []


def test_pods_that_do_not_end_are_named() -> None:
    cluster = ScriptedCluster([root("a")], [master("running")])
    cluster.ends = False
    with pytest.raises(ClusterUnavailableError, match="left: "):
        cluster.stop("a")


def test_a_job_that_is_not_there() -> None:
    cluster = ScriptedCluster([root("a"), root("b")], [])
    with pytest.raises(ConfigError, match="no job c in namespace vision; there are: a, b"):
        cluster.stop("c")
    with pytest.raises(ConfigError, match="no job c"):
        running_master(cluster, "c")


def test_a_root_of_somebody_else_is_left_alone() -> None:
    other = root("a")
    other["metadata"]["labels"] = {"app": "shop"}
    cluster = ScriptedCluster([other], [])
    with pytest.raises(ConfigError, match="no job a"):
        cluster.stop("a")
    assert cluster.deleted == []


def test_a_command_is_run_as_the_master_is() -> None:
    cluster = ScriptedCluster([root("a")], [master("running")])
    found = running_master(cluster, "a")
    assert found is not None
    container = found["spec"]["containers"][0]
    container["command"] = ["python", "-m", "elasticdl_like", "master-pod", "--name", "a"]
    run_beside_master(cluster, found, ["status", "x"])
    container["command"] = ["/start.sh"]
    run_beside_master(cluster, found, ["status", "x"])
    assert [command for _, command in cluster.commands] == [
        ["python", "-m", "elasticdl_like", "status", "x"],
        ["elasticdl", "status", "x"],
    ]


def test_a_master_that_does_not_run() -> None:
    cluster = ScriptedCluster([root("a")], [master("unschedulable")])
    assert running_master(cluster, "a") is None
