"""What a pod is doing, or how it ended, and why, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from elasticdl_like.platforms.kubernetes.containers import own_container, own_status
from elasticdl_like.platforms.kubernetes.resources import quantity
from elasticdl_like.process_end import EndKind, describe_end, end_kind

Pod = Mapping[str, Any]
"""A pod as the API server describes it, in JSON."""

_LONGEST_WORDS = 400
_MORE = Fraction(3, 2)
_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_FIRST_SIGNAL_CODE = 128
_LAST_SIGNAL_CODE = 128 + 64


class PodPhase(StrEnum):
    """What a pod is doing, or how it ended."""

    PENDING = "pending"  # does not run yet
    RUNNING = "running"
    DONE = "done"  # ended by itself, with exit code 0
    LOST = "lost"  # ended by somebody else, for reasons of theirs
    CRASHED = "crashed"  # ended by a fault of its own
    OUT_OF_MEMORY = "out of memory"  # wanted more memory than its limit


@dataclass(frozen=True)
class PodState:
    """What a pod is doing, or how it ended.

    Attributes:
        phase: which of the possible states.
        why: of a pod that has ended, what happened, as the end of a sentence that begins with "it";
            of one that is pending, what it waits for, or "" when it is merely starting.
        being_deleted: whether somebody has asked for its end.
    """

    phase: PodPhase
    why: str = ""
    being_deleted: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing of the pod runs any more."""
        return self.phase not in (PodPhase.PENDING, PodPhase.RUNNING)


def pod_state(pod: Pod, events: Sequence[Mapping[str, Any]] = ()) -> PodState:
    """Returns the state of a pod, which is that of the container of elasticdl in it.

    Args:
        pod: the pod.
        events: its events, oldest first; they tell more about a pod that does not start.
    """
    status = pod.get("status", {})
    being_deleted = "deletionTimestamp" in pod["metadata"]
    state = own_status(pod).get("state") or {}
    terminated = state.get("terminated")
    phase = status.get("phase")
    if status.get("reason") and phase == "Failed":
        # Evicted, NodeLost, Shutdown, OutOfcpu, …: the node's decision, whatever became of it.
        return PodState(PodPhase.LOST, _refusal(status), being_deleted)
    if terminated and phase != "Pending":
        return _ended(pod, terminated, being_deleted)
    if phase == "Failed":
        return PodState(PodPhase.LOST, "is gone", being_deleted)
    if phase == "Running" and "running" in state:
        return PodState(PodPhase.RUNNING, being_deleted=being_deleted)
    return PodState(PodPhase.PENDING, _waits_for(pod, status, state, events), being_deleted)


def _refusal(status: Mapping[str, Any]) -> str:
    reason, message = status["reason"], _one_line(status.get("message") or "")
    if reason == "Evicted":
        return f"was evicted: {message}" if message else "was evicted"
    return f"was ended by its node ({reason}{': ' if message else ''}{message})"


def _ended(pod: Pod, terminated: Mapping[str, Any], being_deleted: bool) -> PodState:
    exit_code = int(terminated["exitCode"])
    reason = terminated.get("reason", "")
    if being_deleted:
        # An end that was asked for, however it came about.
        if exit_code == 0:
            return PodState(PodPhase.DONE, describe_end(0), being_deleted)
        return PodState(PodPhase.LOST, "was deleted", being_deleted)
    if exit_code == 0:
        # Perhaps for the reason OOMKilled: a process of its was killed, and it got over it.
        return PodState(PodPhase.DONE, describe_end(0))
    if reason == "OOMKilled":
        return PodState(PodPhase.OUT_OF_MEMORY, _out_of_memory(pod))
    if reason in ("ContainerStatusUnknown", "Unknown"):
        return PodState(PodPhase.LOST, "is gone: its node does not know what became of it")
    message = terminated.get("message") or ""
    if reason in ("StartError", "ContainerCannotRun"):
        return PodState(PodPhase.CRASHED, f"cannot be started: {_one_line(message)}")
    if _FIRST_SIGNAL_CODE < exit_code <= _LAST_SIGNAL_CODE:
        # As shells put it, and container runtimes.
        exit_code = _FIRST_SIGNAL_CODE - exit_code
    why = describe_end(exit_code)
    if end_kind(exit_code) is EndKind.LOSS:
        return PodState(PodPhase.LOST, why)
    last_words = _one_line(message.strip().rpartition("\n")[2])
    return PodState(PodPhase.CRASHED, f"{why}: {last_words}" if last_words else why)


def _out_of_memory(pod: Pod) -> str:
    resources = own_container(pod).get("resources") or {}
    limit = resources.get("limits", {}).get("memory")
    if limit is None:
        return "was killed because its node ran out of memory; set --worker_resource_request memory"
    request = resources.get("requests", {}).get("memory", limit)
    return (
        f"used all of the memory that it may have, {limit}, and was killed (it had asked for "
        f"{request}); try --worker_resource_limit memory={_more_than(limit)}, or a smaller "
        "--minibatch_size"
    )


def _more_than(limit: str) -> str:
    size_mi = math.ceil((quantity(limit) or 0) * _MORE / (1 << 20))
    return f"{size_mi // 1024}Gi" if size_mi % 1024 == 0 else f"{size_mi}Mi"


def _waits_for(
    pod: Pod,
    status: Mapping[str, Any],
    state: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
) -> str:
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), _one_line(waiting.get("message") or "")
    if reason in _IMAGE_REASONS:
        image = own_container(pod)["image"]
        told = _last_message(events, "Failed", "Failed to pull image") or message
        return f"its image {image} cannot be had ({reason}{': ' if told else ''}{told})"
    if reason not in _STARTING:
        return f"its container cannot be started ({reason}{': ' if message else ''}{message})"
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            told = _one_line(condition.get("message") or "") or condition.get("reason", "")
            return f"no node has room for it: {told}"
    for event in reversed(events):
        if event.get("type") == "Warning":
            return f"it is not started yet: {_one_line(event.get('message') or '')}"
    return ""


def _last_message(events: Sequence[Mapping[str, Any]], reason: str, beginning: str) -> str:
    for event in reversed(events):
        message = event.get("message") or ""
        if event.get("reason") == reason and message.startswith(beginning):
            return _one_line(message)
    return ""


def _one_line(text: str) -> str:
    line = re.sub(r"\s+", " ", text).strip().rstrip(".")
    return line if len(line) <= _LONGEST_WORDS else f"{line[: _LONGEST_WORDS - 1]}…"
