"""Follows a job in the cluster by the log of its master's pod, to the end of the job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from elasticdl_like.errors import ClusterError, ClusterUnavailableError, JobFailedError
from elasticdl_like.job_directory import JobState
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import NOT_FOUND, Listing
from elasticdl_like.platforms.kubernetes.jobs import (
    container_id,
    end_of_root,
    last_warning,
    newest_pod,
    result_in_pod,
)
from elasticdl_like.platforms.kubernetes.master_log import (
    Entry,
    JobResult,
    LogLine,
    NewLines,
    parse_line,
)
from elasticdl_like.platforms.kubernetes.pod_state import Pod, PodPhase, pod_state

_logger = logging.getLogger(__name__)

_PAUSE_S = 0.5
_BAD_REQUEST = 400


class FollowedCluster(Protocol):
    """What following a job asks of Kubernetes."""

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Returns an object."""

    def list_pods(self, selector: str) -> Listing:
        """Returns the pods with these labels."""

    def events(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Returns what has been noted about an object, oldest first."""

    def read_log(self, pod: str, follow: bool) -> Iterable[bytes]:
        """Returns the lines that a pod's container has written."""


class Follower:
    """Passes on what the master of a job writes, whichever pods and containers it is in.

    Args:
        cluster: where the job is.
        name: the job's name in the cluster.
        root_uid: of the job's root; another job may get its name once it is gone.
        show: called with each new entry of the log.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        cluster: FollowedCluster,
        name: str,
        root_uid: str,
        show: Callable[[Entry], None],
        sleep: Callable[[float], None],
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._root_uid = root_uid
        self._show = show
        self._sleep = sleep
        self._new_lines = NewLines()
        self._container_read = ""
        self._read_whole = False
        self._said = ""
        self._is_out_of_sight = False

    def follow(self) -> JobResult:
        """Returns how the job has ended, once it has.

        Raises:
            JobFailedError: it was deleted.
            ClusterError: the server refuses to tell.
        """
        while True:
            try:
                result = self._look()
            except ClusterUnavailableError as error:
                if not self._is_out_of_sight:
                    _logger.warning("job %s is out of sight, and goes on: %s", self._name, error)
                self._is_out_of_sight = True
            else:
                if result is not None:
                    return result
            self._sleep(_PAUSE_S)

    def _look(self) -> JobResult | None:
        pods = self._cluster.list_pods(places.pod_selector(self._name, places.MASTER_ROLE)).items
        self._is_out_of_sight = False
        pod = newest_pod(pods)
        if pod is None:
            result = self._root_result()
            if result is None:
                self._say(last_warning(self._cluster.events("Job", self._name)))
            return result
        state = pod_state(pod)
        container = container_id(pod)
        runs = state.phase is PodPhase.RUNNING
        if container and (runs or container != self._container_read or not self._read_whole):
            return self._read(pod, container, runs)
        if container:
            # It has been read to its end, which did not say how the job ended.
            result = result_in_pod(pod) or self._root_result()
            if result is not None:
                return result
        if state.phase is PodPhase.PENDING:
            events = self._cluster.events("Pod", pod["metadata"]["name"])
            self._say(pod_state(pod, events).why)
        else:
            self._say(f"it {state.why}")
        return None

    def _read(self, pod: Pod, container: str, runs: bool) -> JobResult | None:
        self._read_whole = False
        if container == self._container_read:
            self._new_lines.read_again()
        else:
            self._new_lines = NewLines()
        try:
            lines = self._cluster.read_log(pod["metadata"]["name"], follow=True)
        except ClusterError as error:
            if error.code in (_BAD_REQUEST, NOT_FOUND):
                return None  # it has gone, or is not there yet
            raise
        self._container_read = container
        self._said = ""
        for line in lines:
            entry = parse_line(line)
            if isinstance(entry, LogLine) and not self._new_lines.is_new(entry):
                continue
            self._show(entry)
            if isinstance(entry, JobResult):
                return entry
        # The log of one that runs may break off; what it says last is there once it has ended.
        self._read_whole = not runs
        return None

    def _root_result(self) -> JobResult | None:
        """Returns that the job has failed, if Kubernetes has given it up.

        Raises:
            JobFailedError: it was deleted.
        """
        try:
            root: Mapping[str, Any] = self._cluster.read("Job", self._name)
        except ClusterError as error:
            if error.code != NOT_FOUND:
                raise
            root = {}
        if root.get("metadata", {}).get("uid") != self._root_uid:
            raise JobFailedError(f"job {self._name} is gone: somebody has stopped or deleted it")
        reason = end_of_root(root)
        return None if reason is None else JobResult(JobState.FAILED, reason)

    def _say(self, why: str) -> None:
        """Says why there is nothing to follow, once."""
        if why and why != self._said:
            _logger.warning("the master of job %s does not run: %s", self._name, why)
            self._said = why


def pod_log(
    cluster: FollowedCluster, pods: Sequence[Pod], whose: str, follow: bool
) -> Iterable[bytes]:
    """Returns the lines of the newest of some pods.

    Args:
        cluster: where they are.
        pods: the pods.
        whose: what they are, for the error message.
        follow: go on with what it writes from now on, until it ends.

    Raises:
        ClusterError: there is none, it has not written anything yet, or the server refuses.
        ClusterUnavailableError: there is no answer.
    """
    pod = newest_pod(pods)
    if pod is None:
        raise ClusterError(f"there is no pod of {whose}", NOT_FOUND)
    name = pod["metadata"]["name"]
    if not container_id(pod):
        why = pod_state(pod, cluster.events("Pod", name)).why or "it is starting"
        raise ClusterError(f"pod {name} of {whose} has no log yet: {why}", NOT_FOUND)
    return cluster.read_log(name, follow)
