"""Jobs that cannot have what they ask for, and say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cluster_user import User
from small_pods import small_pod

from elasticdl_command import eventually, run
from elasticdl_like.platforms.kubernetes.transport import Transport

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(400)]

Request = Callable[..., Any]


@pytest.fixture
def request_api(user: User, transport: Transport) -> Request:
    """Asks for something of the namespace, as the one who runs the tests."""

    def request(verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        root, _, rest = path.partition("/namespaced/")
        url = f"{root}/namespaces/{user.cluster.namespace}/{rest}"
        return transport.request(f"{verb} {rest}", verb, url, body=body)

    return request


@pytest.fixture
def cpu_of_the_node(transport: Transport) -> int:
    """How much there is for pods, in thousandths of a processor."""
    nodes = transport.request("list Node", "GET", "/api/v1/nodes")["items"]
    if len(nodes) != 1:
        pytest.skip("the cluster has several nodes")
    cpu: str = nodes[0]["status"]["allocatable"]["cpu"]
    return int(cpu[:-1]) if cpu.endswith("m") else 1000 * int(cpu)


def test_a_quota_forbids_the_second_worker(user: User, request_api: Request) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "2"}},
    }
    request_api("POST", "/api/v1/namespaced/resourcequotas", quota)
    with user.following(user.submission()) as follower:
        eventually(lambda: "exceeded quota" in follower.stderr, 120, follower)
        assert "no pod yet, which is tried again" in follower.stderr
        user.wait_for_steps(1)
        request_api("DELETE", "/api/v1/namespaced/resourcequotas/small")
        user.wait_for_steps(2)
        user.finish(follower)
    user.check_ledger()
    user.stop()


def test_a_worker_without_room_joins_as_soon_as_there_is_some(
    user: User, cpu_of_the_node: int
) -> None:
    # Two workers and this one do not fit; one worker does, and two without it.
    request = {"requests": {"cpu": f"{cpu_of_the_node * 45 // 100}m"}}
    occupant = small_pod("occupant", "exec sleep 1000")
    occupant["spec"]["containers"][0]["resources"] = request
    user.cluster.create(occupant)
    eventually(lambda: user.cluster.read("Pod", "occupant")["status"]["phase"] == "Running", 60)
    cpu = f"cpu={cpu_of_the_node * 30 // 100}m,memory=512Mi"
    with user.following(user.submission("--worker_resource_request", cpu)) as follower:
        eventually(lambda: "Insufficient cpu" in follower.stderr, 120, follower)
        user.wait_for_steps(1)
        user.cluster.delete_pod("occupant", 0)
        user.wait_for_steps(2)
        user.finish(follower)
    user.check_ledger()
    user.stop()


def test_a_namespace_without_the_role(user: User, request_api: Request) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/namespaced/rolebindings/elasticdl-master"
    request_api("DELETE", path)
    done = run(*user.submission(), directory=user.directory, timeout=120)
    assert done.exit_code == 1
    assert "the master needs the permissions of manifests/rbac.yaml" in done.stderr
    # Its pod takes a moment to end.
    eventually(lambda: user.ask("jobs", "list")[0]["state"] == "failed", 30)
    user.stop()


def test_a_namespace_without_the_service_account(user: User, request_api: Request) -> None:
    request_api("DELETE", "/api/v1/namespaced/serviceaccounts/elasticdl-master")
    with user.following(user.submission()) as follower:
        eventually(
            lambda: 'serviceaccount "elasticdl-master" not found' in follower.stderr, 60, follower
        )
        user.stop()
        left = follower.wait(30)
    assert left.exit_code == 1
    assert "somebody has stopped or deleted it" in left.stderr


def test_an_image_that_cannot_be_had(user: User) -> None:
    submission = user.submission("--image_name", "no.such.host/image:1")
    with user.following(submission) as follower:
        eventually(
            lambda: "its image no.such.host/image:1 cannot be had" in follower.stderr, 60, follower
        )
        assert "pending" in user("jobs", "list").stdout
        user.stop()
        assert follower.wait(30).exit_code == 1


def test_an_image_of_workers_that_cannot_be_had(user: User) -> None:
    with user.following(user.submission("--worker_image", "no.such.host/image:1")) as follower:
        eventually(
            lambda: "its image no.such.host/image:1 cannot be had" in follower.stderr, 120, follower
        )
        assert [job["state"] for job in user.ask("jobs", "list")] == ["running"]
        user.stop()
        assert follower.wait(30).exit_code == 1


def test_a_limit_range_refuses_the_workers(user: User, request_api: Request) -> None:
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "2Gi"}}]},
    }
    request_api("POST", "/api/v1/namespaced/limitranges", limits)
    with user.following(user.submission()) as follower:
        eventually(lambda: "maximum memory usage" in follower.stderr, 120, follower)
        user.stop()
        assert follower.wait(30).exit_code == 1
