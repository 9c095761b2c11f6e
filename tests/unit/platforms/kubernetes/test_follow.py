"""Following a job whose master changes its container, its pod, or is not to be seen."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from recorded_pods import recorded

from elasticdl_like.errors import ClusterError, ClusterUnavailableError, JobFailedError
from elasticdl_like.job_directory import JobState
from elasticdl_like.platforms.kubernetes.client import NOT_FOUND, Listing
from elasticdl_like.platforms.kubernetes.follow import Follower
from elasticdl_like.platforms.kubernetes.master_log import Entry, JobResult, LogLine

FINISHED = JobResult(JobState.FINISHED, "")
ROOT = {"metadata": {"uid": "u"}}


def pod(kind: str, container: str = "c1", message: str = "") -> dict[str, Any]:
    """A recorded pod as that of a master."""
    plain: dict[str, Any] = recorded(kind)["pod"]
    plain["metadata"]["name"] = "master"
    for status in plain["status"].get("containerStatuses", []):
        status["containerID"] = container
        if message:
            status["state"]["terminated"]["message"] = message
    return plain


def written(time_s: float) -> bytes:
    return json.dumps({"time": time_s, "level": "INFO", "message": f"at {time_s}"}).encode()


def result(state: str = "finished", reason: str = "") -> bytes:
    return json.dumps({"result": {"state": state, "reason": reason}}).encode()


CUT = ClusterUnavailableError("the connection broke")


@dataclass
class Moment:
    """What a cluster answers at some moment; `log` ends with the error, if it is one."""

    pods: list[dict[str, Any]] = field(default_factory=list)
    log: list[bytes | Exception] = field(default_factory=list)
    root: dict[str, Any] | None = field(default_factory=lambda: ROOT)
    events: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None


class ScriptedCluster:
    """Goes from one moment to the next each time that the follower sleeps."""

    def __init__(self, *moments: Moment) -> None:
        self._moments = list(moments)

    def sleep(self, seconds: float) -> None:
        self._moments.pop(0)

    def read(self, kind: str, name: str) -> dict[str, Any]:
        root = self._moments[0].root
        if root is None:
            raise ClusterError("not found", NOT_FOUND)
        return root

    def list_pods(self, selector: str) -> Listing:
        if (error := self._moments[0].error) is not None:
            raise error
        return Listing(self._moments[0].pods, "1")

    def events(self, kind: str, name: str) -> list[dict[str, Any]]:
        return self._moments[0].events

    def read_log(self, pod: str, follow: bool) -> Iterable[bytes]:
        assert follow
        return self._lines(self._moments[0].log)

    def _lines(self, log: list[bytes | Exception]) -> Iterator[bytes]:
        for each in log:
            if isinstance(each, Exception):
                raise each
            yield each


def follow(*moments: Moment) -> tuple[JobResult, list[str]]:
    """Returns how a job ended, and the lines for people that were shown."""
    cluster = ScriptedCluster(*moments)
    shown: list[Entry] = []
    ended = Follower(cluster, "digits", "u", shown.append, cluster.sleep).follow()
    return ended, [entry.message for entry in shown if isinstance(entry, LogLine)]


def test_to_the_end_in_one_container() -> None:
    log = [written(1.0), b"Killed", written(2.0), result("failed", "no data")]
    assert follow(Moment([pod("running")], log)) == (
        JobResult(JobState.FAILED, "no data"),
        ["at 1.0", "Killed", "at 2.0"],
    )


def test_a_connection_that_breaks(caplog: pytest.LogCaptureFixture) -> None:
    ended, shown = follow(
        Moment([pod("running")], [written(1.0), b"one", CUT]),
        Moment(error=CUT),
        Moment(error=CUT),
        Moment([pod("running")], [written(1.0), b"one", written(2.0), result()]),
    )
    assert (ended, shown) == (FINISHED, ["at 1.0", "one", "at 2.0"])
    assert caplog.text.count("out of sight") == 1


@pytest.mark.parametrize("broken", [[written(1.0)], [written(1.0), CUT]])
def test_a_log_that_broke_off_is_read_to_its_end(broken: list[bytes | Exception]) -> None:
    # Its last lines say more than the pod does.
    done = pod("completed", message=json.dumps({"state": "finished", "reason": ""}))
    assert follow(
        Moment([pod("running")], broken),
        Moment([done], [written(1.0), written(2.0), result()]),
    ) == (FINISHED, ["at 1.0", "at 2.0"])


def test_a_container_that_is_started_again() -> None:
    ended, shown = follow(
        Moment([pod("running")], [written(1.0)]),
        Moment([pod("crashed")]),
        Moment([pod("running", "c2")], [b"anew", written(2.0), result()]),
    )
    assert (ended, shown) == (FINISHED, ["at 1.0", "anew", "at 2.0"])


def test_of_two_pods_the_newer_one_counts() -> None:
    old, new = pod("running"), pod("running", "c2")
    old["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    new["metadata"] |= {"name": "new", "creationTimestamp": "2026-01-01T00:00:01Z"}
    assert follow(Moment([new, old], [result()]))[0] == FINISHED


def test_a_result_that_only_the_pod_tells() -> None:
    done = pod("completed", message=json.dumps({"state": "finished", "reason": ""}))
    assert follow(Moment([done], []), Moment([done]))[0] == FINISHED


def test_a_pod_that_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    waiting = Moment([pod("unschedulable", "")])
    follow(waiting, waiting, Moment([pod("running")], [result()]))
    assert caplog.text.count("the master of job digits does not run: no node has room") == 1


def test_no_pod_at_all(caplog: pytest.LogCaptureFixture) -> None:
    refused = Moment(events=[{"type": "Warning", "message": "Error creating:\n forbidden"}])
    follow(Moment(), refused, refused, Moment([pod("running")], [result()]))
    assert caplog.text.count("does not run: Error creating: forbidden") == 1


def test_a_job_that_kubernetes_gives_up() -> None:
    failed = {"type": "Failed", "status": "True", "message": "too many failures"}
    root = ROOT | {"status": {"conditions": [failed]}}
    ended, _ = follow(Moment([pod("crashed")], []), Moment([pod("crashed")], root=root))
    assert ended == JobResult(JobState.FAILED, "its master was given up: too many failures")


@pytest.mark.parametrize("root", [None, {"metadata": {"uid": "of another job"}}])
def test_a_job_that_is_deleted(root: dict[str, Any] | None) -> None:
    with pytest.raises(JobFailedError, match="stopped or deleted"):
        follow(Moment([pod("running")], [written(1.0)]), Moment(root=root))


def test_a_log_that_is_not_there_yet_is_asked_for_again() -> None:
    class Hasty(ScriptedCluster):
        def read_log(self, pod: str, follow: bool) -> Iterable[bytes]:
            if len(self._moments) > 1:
                raise ClusterError("container is waiting to start", 400)
            return super().read_log(pod, follow)

    running = Moment([pod("running")], [result()])
    cluster = Hasty(running, running)
    assert Follower(cluster, "digits", "u", lambda entry: None, cluster.sleep).follow() == FINISHED


def test_what_the_server_refuses_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(ClusterError, match="forbidden"):
        follow(Moment(error=ClusterError("forbidden", 403)))
    assert caplog.text == ""
