"""The role of masters has the verbs that a master uses, and no others."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_pods import SELECTOR, SLEEP, own_configuration, small_pod

from elasticdl_like.errors import ClusterError
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.pod_orders import (
    Answer,
    ClusterOrders,
    Created,
    Explained,
)
from elasticdl_like.platforms.kubernetes.transport import Transport
from elasticdl_like.platforms.kubernetes.watch import Deleted, Listed, PodChange, PodWatch

pytestmark = pytest.mark.kubernetes

ROLE = Path(__file__).parents[2] / "manifests" / "rbac.yaml"
KINDS = {"pods": "Pod", "events": "Event"}


@pytest.fixture
def as_master(namespace: str, transport: Transport) -> Iterator[Cluster]:
    """The cluster as a master pod reaches it: with nothing but its service account."""
    answer = transport.request(
        "create Token elasticdl-master",
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/elasticdl-master/token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    configuration = own_configuration()
    configuration.cert_file = configuration.key_file = None
    configuration.api_key = {"BearerToken": f"Bearer {answer['status']['token']}"}
    with Cluster(namespace, configuration) as cluster:
        yield cluster


def allowed() -> set[str]:
    role: dict[str, Any] = next(
        plain
        for plain in yaml.safe_load_all(ROLE.read_text(encoding="utf-8"))
        if plain["kind"] == "Role"
    )
    return {
        f"{verb} {KINDS[resource]}"
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_a_master_uses_all_that_its_role_allows_and_nothing_more(as_master: Cluster) -> None:
    news: queue.SimpleQueue[PodChange | Answer] = queue.SimpleQueue()
    seen: list[type] = []

    def wait_for(kind: type) -> None:
        while not seen or seen[-1] is not kind:
            seen.append(type(news.get(timeout=60)))

    def make(worker_id: int, incarnation: str) -> dict[str, Any]:
        return small_pod(f"worker-{worker_id}-{incarnation}", SLEEP)

    with (
        ClusterOrders(as_master, make, news.put, time.monotonic) as orders,
        PodWatch(as_master, SELECTOR, news.put, time.monotonic),
    ):
        wait_for(Listed)
        name = orders.create(0, "a")
        wait_for(Created)
        orders.explain(name)
        wait_for(Explained)
        orders.delete(name, 0)
        wait_for(Deleted)
    assert set(as_master.calls) == allowed()


def test_a_master_may_not_read_secrets(as_master: Cluster) -> None:
    with pytest.raises(ClusterError, match="forbidden") as at:
        as_master.list_objects("Secret", "")
    assert at.value.code == 403
