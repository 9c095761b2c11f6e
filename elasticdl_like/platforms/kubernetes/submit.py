"""Creates all that a job is in the cluster, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from elasticdl_like.errors import ClusterError, ClusterUnavailableError, ConfigError
from elasticdl_like.platforms.kubernetes.client import CONFLICT
from elasticdl_like.platforms.kubernetes.manifests import owned_by, owner_reference

# What is left of a job of the same name that was stopped just now is removed within seconds.
_REMOVAL_S = 30.0
_PAUSE_S = 0.5


class SubmitCluster(Protocol):
    """What submitting a job asks of Kubernetes."""

    namespace: str

    def create(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Creates an object; returns what has become of it."""

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object and, later, what belongs to it; it may be gone already."""


def submit(
    cluster: SubmitCluster,
    objects: Sequence[Mapping[str, Any]],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> str:
    """Creates the objects of a job; none is left where one of them cannot be created.

    Args:
        cluster: where.
        objects: the root first.
        clock: monotonic time in seconds.
        sleep: waits for so many seconds.

    Returns:
        The uid of the root.

    Raises:
        ConfigError: there is a job of this name.
        ClusterError: the server refuses to create one of them.
        ClusterUnavailableError: there is no answer.
    """
    root, *others = objects
    name = root["metadata"]["name"]
    try:
        uid: str = cluster.create(root)["metadata"]["uid"]
    except ClusterError as error:
        if error.code != CONFLICT:
            raise
        raise ConfigError(
            f"there is a job {name} in namespace {cluster.namespace} already; give this one "
            "another --job_name, or remove that one: "
            f"elasticdl stop {name} --namespace {cluster.namespace}"
        ) from error
    owner = owner_reference(name, uid)
    deadline_s = clock() + _REMOVAL_S
    try:
        for each in others:
            _create(cluster, owned_by(owner, each), deadline_s, clock, sleep)
    except BaseException as error:
        _roll_back(cluster, name, error)
        raise
    return uid


def _create(
    cluster: SubmitCluster,
    plain: Mapping[str, Any],
    deadline_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    while True:
        try:
            cluster.create(plain)
        except ClusterError as error:
            if error.code != CONFLICT or clock() > deadline_s:
                raise
        else:
            return
        sleep(_PAUSE_S)


def _roll_back(cluster: SubmitCluster, name: str, reason: BaseException) -> None:
    """Deletes the root, with which everything else goes.

    Raises:
        ClusterUnavailableError: it cannot be deleted.
    """
    try:
        cluster.delete("Job", name)
    except (ClusterError, ClusterUnavailableError) as error:
        raise ClusterUnavailableError(
            f"job {name} was not submitted whole ({reason}), and what is there of it could not be "
            f"removed ({error}); do so with: elasticdl stop {name} --namespace {cluster.namespace}"
        ) from reason
