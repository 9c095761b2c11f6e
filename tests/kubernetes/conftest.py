"""A namespace of its own for each test, in whatever cluster the kubeconfig names."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_user import User
from node_volume import claimed_volume
from small_pods import small_pod

from elasticdl_command import eventually
from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.transport import Transport, load_configuration

_ROLE = Path(__file__).parents[2] / "manifests" / "rbac.yaml"
_ZOO = Path(__file__).parent / "zoo"

MakePod = Callable[..., dict[str, Any]]


@pytest.fixture
def transport() -> Iterator[Transport]:
    """Requests as the one who runs the tests."""
    with closing(Transport(load_configuration())) as transport:
        yield transport


@pytest.fixture
def namespace(transport: Transport) -> Iterator[str]:
    """A new namespace, with the role of masters."""
    name = f"elasticdl-test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    transport.request(f"create Namespace {name}", "POST", "/api/v1/namespaces", body=body)
    try:
        for plain in yaml.safe_load_all(_ROLE.read_text(encoding="utf-8")):
            group = plain["apiVersion"]
            root = f"/apis/{group}" if "/" in group else f"/api/{group}"
            path = f"{root}/namespaces/{name}/{plain['kind'].lower()}s"
            for subject in plain.get("subjects", ()):
                subject["namespace"] = name
            transport.request(f"create {plain['kind']} of-masters", "POST", path, body=plain)
        eventually(lambda: _takes_pods(transport, name), 60)
        yield name
    finally:
        transport.request(f"delete Namespace {name}", "DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def cluster(namespace: str) -> Iterator[Cluster]:
    with Cluster.connect(namespace) as cluster:
        yield cluster


@pytest.fixture
def make_pod(cluster: Cluster) -> MakePod:
    """Creates pods that run a line of shell."""

    def make(name: str, line: str, **spec: Any) -> dict[str, Any]:
        return cluster.create(small_pod(name, line, **spec))

    return make


@pytest.fixture
def user(
    transport: Transport, cluster: Cluster, digits: Path, model_zoo: Path, tmp_path: Path
) -> Iterator[User]:
    """Somebody who trains on the digits, in a new namespace."""
    zoo = tmp_path / "model_zoo"
    shutil.copytree(model_zoo / "digits", zoo / "digits")
    shutil.copytree(_ZOO, zoo, dirs_exist_ok=True)
    with claimed_volume(transport, cluster, digits):
        yield User(tmp_path, cluster, zoo)


def _takes_pods(transport: Transport, namespace: str) -> bool:
    """Returns whether the namespace is ready: its default service account comes a little later."""
    path, pod = f"/api/v1/namespaces/{namespace}/pods", small_pod("first", "true")
    try:
        transport.request("try Pod first", "POST", path, {"dryRun": "All"}, body=pod)
    except (ClusterError, ClusterUnavailableError):
        return False
    return True
