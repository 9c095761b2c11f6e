"""The container of elasticdl is found by its name, wherever it is in a list."""

from __future__ import annotations

from typing import Any

from elasticdl_like.platforms.kubernetes.containers import others_run, own_container, own_status
from elasticdl_like.platforms.kubernetes.jobs import container_id
from elasticdl_like.platforms.kubernetes.pod_state import PodPhase, pod_state

_MESH = {"name": "a-mesh", "containerID": "1", "state": {"running": {}}}


def pod_beside_mesh(state: dict[str, Any]) -> dict[str, Any]:
    own = {"name": "elasticdl", "containerID": "2", "state": state}
    return {
        "metadata": {"name": "pod"},
        "spec": {"containers": [{"name": "a-mesh"}, {"name": "elasticdl", "image": "x:1"}]},
        "status": {"phase": "Running", "containerStatuses": [_MESH, own]},
    }


def test_a_pod_is_what_its_own_container_is() -> None:
    running = pod_beside_mesh({"running": {}})
    assert pod_state(running).phase is PodPhase.RUNNING
    assert own_container(running)["image"] == "x:1"
    assert container_id(running) == "2"
    ended = pod_beside_mesh({"terminated": {"exitCode": 3}})
    assert pod_state(ended).phase is PodPhase.CRASHED
    waits = pod_beside_mesh({"waiting": {"reason": "ErrImagePull", "message": "no"}})
    assert "its image x:1 cannot be had" in pod_state(waits).why


def test_others_keep_a_pod_from_its_end() -> None:
    pod = pod_beside_mesh({"terminated": {"exitCode": 0}})
    assert others_run(pod)
    pod["status"]["containerStatuses"].pop(0)
    assert not others_run(pod)


def test_a_pod_of_which_nothing_is_known_yet() -> None:
    pod = {"metadata": {"name": "pod"}, "spec": {"containers": [{"name": "elasticdl"}]}}
    assert own_status(pod) == {}
    assert not others_run(pod)
