"""Pods as a real cluster described them; recorded/ was made on Kubernetes 1.20."""

from __future__ import annotations

import pytest
from recorded_pods import recorded

from elasticdl_like.platforms.kubernetes.pod_state import PodPhase, PodState, pod_state


def state_of(name: str) -> PodState:
    plain = recorded(name)
    return pod_state(plain["pod"], plain["events"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("unschedulable", "no node has room for it: 0/1 nodes are available: 1 Insufficient cpu"),
        (
            "claim_missing",
            "no node has room for it: 0/1 nodes are available: 1 persistentvolumeclaim "
            '"not-there" not found',
        ),
        (
            "config_error",
            "its container cannot be started (CreateContainerConfigError: secret "
            '"nothing" not found)',
        ),
        (
            "volume_missing",
            'it is not started yet: MountVolume.SetUp failed for volume "x" : secret "not-there" '
            "not found",
        ),
    ],
)
def test_what_a_pending_pod_waits_for(name: str, why: str) -> None:
    assert state_of(name) == PodState(PodPhase.PENDING, why)


@pytest.mark.parametrize("name", ["image_not_pulled", "image_pull_back_off"])
def test_an_image_that_cannot_be_pulled_is_named_and_the_cause_told(name: str) -> None:
    state = state_of(name)
    assert state.phase is PodPhase.PENDING
    assert state.why.startswith(
        "its image registry.invalid/nobody/no-such-image:1 cannot be had (ErrImagePull: Failed"
        if name == "image_not_pulled"
        else "its image registry.invalid/nobody/no-such-image:1 cannot be had (ImagePullBackOff: "
    )
    assert "failed to resolve reference" in state.why


def test_an_image_name_that_is_none() -> None:
    assert (
        "its image Not A Name cannot be had (InvalidImageName: "
        in state_of("image_name_invalid").why
    )


def test_an_image_whose_user_is_root() -> None:
    assert "runAsNonRoot" in state_of("must_not_be_root").why


def test_a_pod_that_merely_starts_waits_for_nothing() -> None:
    assert pod_state(recorded("volume_missing")["pod"]) == PodState(PodPhase.PENDING)


def test_a_pod_just_created() -> None:
    assert pod_state({"metadata": {"name": "new"}, "spec": {}}) == PodState(PodPhase.PENDING)


@pytest.mark.parametrize(
    ("name", "phase", "why"),
    [
        ("completed", PodPhase.DONE, "ended before its work was done (exit code 0)"),
        (
            "completed_after_out_of_memory",
            PodPhase.DONE,
            "ended before its work was done (exit code 0)",
        ),
        ("crashed", PodPhase.CRASHED, "ended with exit code 3"),
        ("segfault", PodPhase.CRASHED, "was killed by SIGSEGV"),
        ("killed", PodPhase.LOST, "was killed by SIGKILL"),
        (
            "evicted",
            PodPhase.LOST,
            'was evicted: Usage of EmptyDir volume "x" exceeds the limit "1Mi"',
        ),
        (
            "out_of_memory",
            PodPhase.OUT_OF_MEMORY,
            "used all of the memory that it may have, 20Mi, and was killed (it had asked for "
            "10Mi); try --worker_resource_limit memory=30Mi, or a smaller --minibatch_size",
        ),
        (
            "out_of_memory_child",
            PodPhase.OUT_OF_MEMORY,
            "used all of the memory that it may have, 20Mi, and was killed (it had asked for "
            "20Mi); try --worker_resource_limit memory=30Mi, or a smaller --minibatch_size",
        ),
    ],
)
def test_how_a_pod_ended(name: str, phase: PodPhase, why: str) -> None:
    state = state_of(name)
    assert state == PodState(phase, why)
    assert state.has_ended


def test_a_command_that_is_not_in_the_image() -> None:
    state = state_of("command_missing")
    assert state.phase is PodPhase.CRASHED
    assert state.why.startswith("cannot be started: ")
    assert "/no/such/command" in state.why


@pytest.mark.parametrize("name", ["deleted", "deleted_after_grace", "preempted"])
def test_an_end_that_was_asked_for(name: str) -> None:
    assert state_of(name) == PodState(PodPhase.LOST, "was deleted", being_deleted=True)


def test_a_pod_that_is_being_deleted_still_runs() -> None:
    assert state_of("being_deleted") == PodState(PodPhase.RUNNING, being_deleted=True)
    assert not state_of("being_deleted").has_ended


def test_a_running_pod() -> None:
    assert state_of("running") == PodState(PodPhase.RUNNING)


def test_a_pod_whose_node_is_gone() -> None:
    pod = recorded("running")["pod"]
    pod["status"] |= {"phase": "Failed", "reason": "NodeLost", "message": "node1 is gone"}
    assert pod_state(pod) == PodState(
        PodPhase.LOST, "was ended by its node (NodeLost: node1 is gone)"
    )


def test_the_last_line_of_a_container_is_told() -> None:
    pod = recorded("crashed")["pod"]
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    ended["message"] = "step 17\nelasticdl: error:  no such file\n"
    assert pod_state(pod).why == "ended with exit code 3: elasticdl: error: no such file"


def test_memory_that_a_node_lacks() -> None:
    pod = recorded("out_of_memory")["pod"]
    pod["spec"]["containers"][0]["resources"] = {}
    assert "--worker_resource_request memory" in pod_state(pod).why
