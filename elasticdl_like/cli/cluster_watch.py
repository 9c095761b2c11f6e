"""How a job in a cluster stands, second by second, told by one command beside its master."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from elasticdl_like.cli.cluster_job import about_job, failure_beside_master, what_is_left
from elasticdl_like.errors import JobFailedError, MasterUnavailableError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import ExecResult, Listing, RunningCommand
from elasticdl_like.platforms.kubernetes.follow import FollowedCluster
from elasticdl_like.platforms.kubernetes.jobs import (
    JobsCluster,
    command_beside_master,
    end_of_root,
    newest_pod,
    read_root,
    result_in_pod,
)
from elasticdl_like.platforms.kubernetes.master_log import JobResult
from elasticdl_like.platforms.kubernetes.pod_state import Pod, PodPhase, pod_state

# A command in a pod is not told when nobody reads it any more, so that it ends by itself.
_COMMAND_S = 60
_SILENCE_S = 20.0
_LONGEST_END_S = 5.0
_PAUSE_S = 0.5
_WRONG_FLAGS = 2


class WatchedCluster(JobsCluster, FollowedCluster, Protocol):
    """What watching a job asks of Kubernetes."""

    def list_pods(self, selector: str) -> Listing:
        """Returns the pods with these labels."""

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Returns an object."""

    def start(self, pod: str, command: Sequence[str]) -> RunningCommand:
        """Starts a command in a pod's container, whose output is read as it comes."""


class ClusterJobWatch:
    """Tells how a job in a cluster stands, again and again.

    Args:
        cluster: where it is.
        name: its name there.
        say: called with why there is nothing to tell yet.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        cluster: WatchedCluster,
        name: str,
        say: Callable[[str], None],
        sleep: Callable[[float], None],
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._say = say
        self._sleep = sleep
        self._said = ""
        self._command: RunningCommand | None = None
        self._is_answered = False
        self._last: dict[str, Any] = {}

    def ask(self) -> dict[str, Any]:
        """Returns how the job stands now: the document of `StatusSource.ask`, with details.

        The first call waits until the master has begun.

        Raises:
            MasterUnavailableError: the master does not run now, or does not answer yet.
            ClusterUnavailableError: the API server does not answer.
            JobFailedError: the job has failed before it said anything.
            ElasticdlError: there is no such job, or the server refuses to tell.
        """
        while True:
            try:
                self._last = self._look()
            except MasterUnavailableError as error:
                if self._last:
                    raise
                if str(error) != self._said:
                    self._said = str(error)
                    self._say(f"waiting for job {self._name}: {error}")
                self._sleep(_PAUSE_S)
            else:
                return self._last

    def close(self) -> None:
        """Lets go of the command beside the master, if there is one."""
        command, self._command = self._command, None
        if command is not None:
            command.close()

    def _look(self) -> dict[str, Any]:
        while True:
            if self._command is None:
                over = self._start()
                if over is not None:
                    return over
            document = self._read()
            if document is not None:
                return document

    def _start(self) -> dict[str, Any] | None:
        """Starts the command; returns the last that is known of a job that is over instead."""
        pods = self._cluster.list_pods(places.pod_selector(self._name, places.MASTER_ROLE)).items
        pod = newest_pod(pods)
        if pod is not None and pod_state(pod).phase is PodPhase.RUNNING:
            status = about_job("status", self._name, "--watch", "--json")
            flags = [*status, "--watch_s", str(_COMMAND_S)]
            self._command = self._cluster.start(
                pod["metadata"]["name"], command_beside_master(pod, flags)
            )
            self._is_answered = False
            return None
        result = self._result(pod)
        if result is None:
            why = "" if pod is None else pod_state(pod).why
            raise MasterUnavailableError(f"its master does not run{f': {why}' if why else ' yet'}")
        return self._at_end(result)

    def _read(self) -> dict[str, Any] | None:
        """Returns the newest document, or None if the command has ended when its time was up."""
        command = self._command
        assert command is not None
        try:
            lines = command.lines(_SILENCE_S)
            if lines:
                self._is_answered = True
                document: dict[str, Any] = json.loads(lines[-1])
                return document
            ended = ExecResult(*command.wait(_LONGEST_END_S))
        except BaseException:
            self.close()
            raise
        self.close()
        if self._is_answered:
            return None
        error = failure_beside_master(ended)
        if ended.exit_code == _WRONG_FLAGS:
            raise error
        raise MasterUnavailableError(str(error))

    def _result(self, pod: Pod | None) -> JobResult | None:
        result = None if pod is None else result_in_pod(pod)
        if result is None:
            reason = end_of_root(read_root(self._cluster, self._name))
            result = None if reason is None else JobResult(JobState.FAILED, reason)
        return result

    def _at_end(self, result: JobResult) -> dict[str, Any]:
        """Returns what is known of a job that is over; its coverage is not kept."""
        left = what_is_left(self._cluster, self._name)
        told = [entry.to_plain() for entry in left if isinstance(entry, JobStatus)]
        last = {name: value for name, value in self._last.items() if name != "coverage"}
        if not told and not last:
            raise JobFailedError(f"job {self._name} is over ({result.state}): {result.reason}")
        known = told[-1] if told else {}
        return last | known | {"state": str(result.state), "reason": result.reason, "workers": []}
