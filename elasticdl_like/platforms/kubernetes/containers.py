"""The container of elasticdl in a pod, where there may be others, such as a service mesh's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elasticdl_like.platforms.kubernetes import places


def own_container(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the container of elasticdl as the pod's specification has it."""
    return _own(pod["spec"]["containers"])


def own_status(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns how the container of elasticdl is; nothing when that is not known yet."""
    return _own(_statuses(pod))


def others_run(pod: Mapping[str, Any]) -> bool:
    """Returns whether a container runs that is not elasticdl's, and keeps the pod from its end."""
    own = own_status(pod)
    return any("running" in (each.get("state") or {}) for each in _statuses(pod) if each is not own)


def _statuses(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return pod.get("status", {}).get("containerStatuses") or ()


def _own(named: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Returns the one with elasticdl's name among several; their order says nothing."""
    by_name = {each.get("name"): each for each in named}
    return by_name.get(places.CONTAINER) or next(iter(named), {})
