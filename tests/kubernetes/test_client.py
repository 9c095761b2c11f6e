"""The client, against a real API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from small_pods import SELECTOR, SLEEP, own_configuration, small_pod

from elasticdl_command import eventually
from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.client import CONFLICT, NOT_FOUND, Cluster
from elasticdl_like.platforms.kubernetes.pod_state import PodPhase, pod_state

pytestmark = pytest.mark.kubernetes

MakePod = Callable[..., dict[str, Any]]


def wait_for(cluster: Cluster, name: str, phase: PodPhase) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        pod = cluster.read("Pod", name)
        return pod if pod_state(pod).phase is phase else None

    return eventually(look, 60)


def test_a_pod_from_its_creation_to_its_deletion(cluster: Cluster, make_pod: MakePod) -> None:
    created = make_pod("one", SLEEP)
    assert created["metadata"]["uid"]
    wait_for(cluster, "one", PodPhase.RUNNING)
    assert [pod["metadata"]["name"] for pod in cluster.list_pods(SELECTOR).items] == ["one"]
    assert cluster.list_pods("app=other").items == []
    cluster.delete_pod("one")
    eventually(lambda: not cluster.list_pods(SELECTOR).items, 60)
    cluster.delete_pod("one")


def test_refusals_are_told_in_the_words_of_the_server(cluster: Cluster, make_pod: MakePod) -> None:
    make_pod("one", SLEEP)
    with pytest.raises(
        ClusterError, match='cannot create Pod one: pods "one" already exists'
    ) as at:
        make_pod("one", SLEEP)
    assert at.value.code == CONFLICT
    with pytest.raises(ClusterError, match=r'cannot read Job none: .*"none" not found') as at:
        cluster.read("Job", "none")
    assert at.value.code == NOT_FOUND
    with pytest.raises(ClusterError, match=r"cannot create Pod No: .*metadata.name") as at:
        make_pod("No", SLEEP)
    assert at.value.code == 422


def test_a_server_that_is_not_there() -> None:
    configuration = own_configuration()
    configuration.host = "https://127.0.0.1:1"
    with (
        Cluster("default", configuration) as cluster,
        pytest.raises(ClusterUnavailableError, match=r"127\.0\.0\.1:1 does not answer"),
    ):
        cluster.list_pods(SELECTOR)


def test_the_log_of_a_pod(cluster: Cluster, make_pod: MakePod) -> None:
    make_pod("talks", "echo one; echo two; printf three")
    wait_for(cluster, "talks", PodPhase.DONE)
    assert list(cluster.read_log("talks")) == [b"one", b"two", b"three"]
    assert list(cluster.read_log("talks", tail_lines=1)) == [b"three"]


def test_following_a_log_ends_with_the_pod(cluster: Cluster, make_pod: MakePod) -> None:
    make_pod("talks", "for i in 1 2 3; do echo $i; sleep 0.3; done")
    eventually(lambda: pod_state(cluster.read("Pod", "talks")).phase is not PodPhase.PENDING, 60)
    assert list(cluster.read_log("talks", follow=True)) == [b"1", b"2", b"3"]


def test_a_command_in_a_pod(cluster: Cluster, make_pod: MakePod) -> None:
    make_pod("one", SLEEP)
    wait_for(cluster, "one", PodPhase.RUNNING)
    done = cluster.exec("one", ["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.exit_code, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert cluster.exec("one", ["true"]).exit_code == 0
    long = cluster.exec(
        "one", ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done"]
    )
    assert long.stdout.split() == [str(number) for number in range(20000)]
    with pytest.raises(ClusterUnavailableError, match="has not ended within 1 s"):
        cluster.exec("one", ["sleep", "60"], timeout_s=1.0)
    with pytest.raises(ClusterError, match="no-such-command"):
        cluster.exec("one", ["no-such-command"])


def test_a_command_in_a_pod_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match='exec in Pod none: pods "none" not found') as at:
        cluster.exec("none", ["true"])
    assert at.value.code == NOT_FOUND


def test_what_is_noted_about_a_pod(cluster: Cluster, make_pod: MakePod) -> None:
    make_pod("huge", SLEEP, nodeSelector={"no": "such-node"})
    events = eventually(lambda: cluster.pod_events("huge"), 30)
    assert events[-1]["reason"] == "FailedScheduling"
    assert cluster.pod_events("other") == []


def test_calls_are_counted(cluster: Cluster) -> None:
    cluster.create(small_pod("one", SLEEP))
    cluster.list_pods(SELECTOR)
    cluster.list_pods(SELECTOR)
    cluster.delete_pod("one", 0)
    assert cluster.calls == {"create Pod": 1, "list Pod": 2, "delete Pod": 1}
