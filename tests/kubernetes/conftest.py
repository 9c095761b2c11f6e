"""A namespace of its own for each test, in whatever cluster the kubeconfig names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cluster_user import User
from node_volume import claimed_volume
from role_namespace import role_namespace
from small_pods import small_pod

from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.transport import Transport, load_configuration

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
    with role_namespace(transport) as name:
        yield name


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
