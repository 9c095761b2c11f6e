"""The jobs of a namespace: which there are, how they stand, and how to end one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elasticdl_like.errors import ClusterError, ClusterUnavailableError, ConfigError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import NOT_FOUND, ExecResult, Listing
from elasticdl_like.platforms.kubernetes.containers import own_container, own_status
from elasticdl_like.platforms.kubernetes.master_log import JobResult, parse_result
from elasticdl_like.platforms.kubernetes.pod_state import Pod, PodPhase, pod_state

# Pods may take their time to end, by default 30 s.
_LONGEST_END_S = 90.0
_PAUSE_S = 0.5
_ALL_JOBS = ",".join(f"{name}={value}" for name, value in places.APP_LABELS.items())
_MASTER_COMMAND = "master-pod"


@dataclass(frozen=True)
class ClusterJob:
    """A job of a namespace.

    Attributes:
        name: its name in the cluster.
        state: pending, running, restarting, stopping, finished or failed.
        reason: why it is pending, is restarted or has failed, else "".
        workers: how many of its workers' pods run.
        created: when it was submitted, as 2026-01-31T12:00:00Z.
    """

    name: str
    state: str
    reason: str
    workers: int
    created: str


class JobsCluster(Protocol):
    """What these functions ask of Kubernetes."""

    namespace: str

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Returns an object."""

    def list_objects(self, kind: str, selector: str) -> Listing:
        """Returns the objects with these labels."""

    def list_pods(self, selector: str) -> Listing:
        """Returns the pods with these labels."""

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object and, later, what belongs to it; it may be gone already."""

    def exec(self, pod: str, command: Sequence[str]) -> ExecResult:
        """Runs a command in a pod's container to its end."""


def list_jobs(cluster: JobsCluster) -> list[ClusterJob]:
    """Returns the jobs of the namespace, the oldest first.

    Raises:
        ClusterError: the server refuses to tell.
        ClusterUnavailableError: there is no answer.
    """
    roots = cluster.list_objects("Job", _ALL_JOBS).items
    return describe_jobs(roots, cluster.list_pods(_ALL_JOBS).items)


def describe_jobs(roots: Sequence[Mapping[str, Any]], pods: Sequence[Pod]) -> list[ClusterJob]:
    """Returns what is to be said about jobs, the oldest first.

    Args:
        roots: their roots, as the API server describes them.
        pods: all of their pods.
    """
    masters: dict[str, list[Pod]] = defaultdict(list)
    workers: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        labels = pod["metadata"].get("labels", {})
        by_job = masters if labels.get(places.ROLE_LABEL) == places.MASTER_ROLE else workers
        by_job[labels.get(places.JOB_LABEL, "")].append(pod)
    jobs = []
    for root in roots:
        metadata = root["metadata"]
        name = metadata["name"]
        state, reason = _state(root, newest_pod(masters[name]))
        running = [pod for pod in workers[name] if pod_state(pod).phase is PodPhase.RUNNING]
        jobs.append(ClusterJob(name, state, reason, len(running), metadata["creationTimestamp"]))
    return sorted(jobs, key=lambda job: (job.created, job.name))


def stop_job(
    cluster: JobsCluster,
    name: str,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Removes a job from the cluster, and waits for the end of its pods.

    Args:
        cluster: where it is.
        name: its name there.
        clock: monotonic time in seconds.
        sleep: waits for so many seconds.

    Raises:
        ConfigError: there is no such job.
        ClusterError: the server refuses to.
        ClusterUnavailableError: there is no answer, or pods do not end.
    """
    read_root(cluster, name)
    deadline_s = clock() + _LONGEST_END_S
    cluster.delete("Job", name)
    while left := _pods_of(cluster, name):
        if clock() > deadline_s:
            raise ClusterUnavailableError(
                f"job {name} is stopped, but pods of it are left: {', '.join(left)}"
            )
        sleep(_PAUSE_S)


def read_root(cluster: JobsCluster, name: str) -> dict[str, Any]:
    """Returns the root of a job.

    Raises:
        ConfigError: there is no such job.
        ClusterError: the server refuses to tell.
        ClusterUnavailableError: there is no answer.
    """
    try:
        root = cluster.read("Job", name)
    except ClusterError as error:
        if error.code != NOT_FOUND:
            raise
        root = {}
    labels = root.get("metadata", {}).get("labels", {})
    if not places.APP_LABELS.items() <= labels.items():
        there_are = ", ".join(job.name for job in list_jobs(cluster)) or "no jobs at all"
        raise ConfigError(
            f"there is no job {name} in namespace {cluster.namespace}; there are: {there_are}"
        )
    return root


def running_master(cluster: JobsCluster, name: str) -> Pod | None:
    """Returns the pod that the master of a job runs in, or None while there is none.

    Raises:
        ConfigError: there is no such job.
        ClusterError: the server refuses to tell.
        ClusterUnavailableError: there is no answer.
    """
    pod = newest_pod(cluster.list_pods(places.pod_selector(name, places.MASTER_ROLE)).items)
    if pod is None:
        read_root(cluster, name)
        return None
    return pod if pod_state(pod).phase is PodPhase.RUNNING else None


def run_beside_master(cluster: JobsCluster, pod: Pod, arguments: Sequence[str]) -> ExecResult:
    """Runs `elasticdl` with these arguments in the pod of a master, to its end.

    Raises:
        ClusterError: it cannot be run.
        ClusterUnavailableError: there is no answer.
    """
    return cluster.exec(pod["metadata"]["name"], command_beside_master(pod, arguments))


def command_beside_master(pod: Pod, arguments: Sequence[str]) -> list[str]:
    """Returns the command that runs `elasticdl` in a master's pod, as the master itself is run."""
    command = list(own_container(pod).get("command") or ())
    if _MASTER_COMMAND in command:
        elasticdl = command[: command.index(_MASTER_COMMAND)]
    else:
        elasticdl = ["elasticdl"]
    return [*elasticdl, *arguments]


def newest_pod(pods: Sequence[Pod]) -> Pod | None:
    """Returns the pod that was created last, or None of none."""
    return max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)


def container_id(pod: Pod) -> str:
    """Returns the id of the container that runs in a pod or was the last to; "" before the first.

    A container that is started again has another one.
    """
    return str(own_status(pod).get("containerID") or "")


def result_in_pod(pod: Pod) -> JobResult | None:
    """Returns how the job has ended, as the master has left it in its pod's status."""
    terminated = (own_status(pod).get("state") or {}).get("terminated") or {}
    if terminated.get("exitCode") == 0:
        return parse_result(terminated.get("message") or "")
    return None


def end_of_root(root: Mapping[str, Any]) -> str | None:
    """Returns why Kubernetes has given up a job, or None when it has not."""
    for condition in root.get("status", {}).get("conditions") or ():
        if condition["type"] == "Failed" and condition["status"] == "True":
            why = condition.get("message") or condition.get("reason") or "no reason given"
            return f"its master was given up: {why}"
    return None


def last_warning(events: Sequence[Mapping[str, Any]]) -> str:
    """Returns the last warning among events, oldest first, or ""."""
    for event in reversed(events):
        if event.get("type") == "Warning":
            return " ".join((event.get("message") or "").split())
    return ""


def _pods_of(cluster: JobsCluster, name: str) -> list[str]:
    pods = cluster.list_pods(f"{places.JOB_LABEL}={name}").items
    return sorted(pod["metadata"]["name"] for pod in pods)


def _state(root: Mapping[str, Any], master: Pod | None) -> tuple[str, str]:
    if "deletionTimestamp" in root["metadata"]:
        return "stopping", ""
    if master is not None and (result := result_in_pod(master)) is not None:
        return result.state, result.reason
    if (given_up := end_of_root(root)) is not None:
        return "failed", given_up
    if master is None:
        return "pending", ""
    state = pod_state(master)
    if state.phase is PodPhase.RUNNING and not state.being_deleted:
        return "running", ""
    if state.phase is PodPhase.PENDING and not container_id(master):
        return "pending", state.why
    return "restarting", state.why
