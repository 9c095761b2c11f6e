"""Watching a job in a cluster, whose master comes, goes, and ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from elasticdl_like.cli.cluster_watch import ClusterJobWatch
from elasticdl_like.errors import (
    ClusterError,
    ClusterUnavailableError,
    ConfigError,
    JobFailedError,
    MasterUnavailableError,
)
from elasticdl_like.platforms.kubernetes.client import NOT_FOUND, ExecResult, Listing
from watched_job import document

FINISHED = json.dumps({"state": "finished", "reason": ""})
CUT = ClusterUnavailableError("the connection broke")
ROOT = {"metadata": {"labels": {"app": "elasticdl"}}}
TIME_IS_UP = (142, "", "")


def pod(phase: str, **state: Any) -> dict[str, Any]:
    """Returns the pod of a master, in which the machine's Python runs."""
    return {
        "metadata": {"name": "digits-x", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"command": ["python", "-m", "elasticdl", "master-pod"]}]},
        "status": {
            "phase": phase,
            "containerStatuses": [{"containerID": "c" * bool(state), "state": state}],
        },
    }


RUNNING = pod("Running", running={})
DONE = pod("Succeeded", terminated={"exitCode": 0, "message": FINISHED})


class Command:
    """Writes what it is told to, in pieces; then it ends, or the connection breaks."""

    def __init__(
        self, *pieces: Sequence[dict[str, Any]], ends: tuple[int, str, str] | Exception = TIME_IS_UP
    ) -> None:
        self._pieces = list(pieces)
        self._ends = ends
        self.is_closed = False

    def lines(self, timeout_s: float) -> list[bytes]:
        if self._pieces:
            return [json.dumps(each).encode() for each in self._pieces.pop(0)]
        if isinstance(self._ends, Exception):
            raise self._ends
        return []

    def wait(self, timeout_s: float) -> tuple[int, str, str]:
        assert not isinstance(self._ends, Exception)
        return self._ends

    def close(self) -> None:
        self.is_closed = True


@dataclass
class ScriptedCluster:
    """Answers each list of pods with the next one, and the last one for ever."""

    pods: list[dict[str, Any] | Exception | None]
    commands: list[Command] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)
    root: dict[str, Any] | None = field(default_factory=lambda: ROOT)
    namespace: str = "vision"
    started: list[Sequence[str]] = field(default_factory=list)

    def list_pods(self, selector: str) -> Listing:
        found = self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]
        if isinstance(found, Exception):
            raise found
        return Listing([] if found is None else [found], "1")

    def list_objects(self, kind: str, selector: str) -> Listing:
        return Listing([], "1")

    def read(self, kind: str, name: str) -> dict[str, Any]:
        if self.root is None:
            raise ClusterError("not found", NOT_FOUND)
        return self.root

    def events(self, kind: str, name: str) -> list[dict[str, Any]]:
        return []

    def read_log(self, pod: str, follow: bool) -> Iterable[bytes]:
        return self.log

    def start(self, pod: str, command: Sequence[str]) -> Command:
        self.started.append(command)
        return self.commands[len(self.started) - 1]

    def exec(self, pod: str, command: Sequence[str]) -> ExecResult:
        raise NotImplementedError

    def delete(self, kind: str, name: str) -> None:
        raise NotImplementedError

    def delete_pod(self, name: str, grace_s: int) -> None:
        raise NotImplementedError


def watching(cluster: ScriptedCluster) -> tuple[ClusterJobWatch, list[str]]:
    """Returns the watch, and where it writes what it says."""
    said: list[str] = []
    return ClusterJobWatch(cluster, "digits", said.append, lambda seconds: None), said


def test_one_command_tells_again_and_again() -> None:
    command = Command([document(step=1)], [document(step=2), document(step=3)])
    cluster = ScriptedCluster([RUNNING], [command])
    watch, said = watching(cluster)
    assert watch.ask()["step"] == 1
    # Only the newest counts, after a computer has slept, say.
    assert watch.ask()["step"] == 3
    assert (len(cluster.started), said, command.is_closed) == (1, [], False)
    assert cluster.started[0][:5] == [
        "python",
        "-m",
        "elasticdl",
        "status",
        "/elasticdl/jobs/digits",
    ]
    assert "--watch_s" in cluster.started[0]
    watch.close()
    assert command.is_closed


def test_a_command_whose_time_is_up_is_followed_by_another() -> None:
    first, second = Command([document(step=1)]), Command([document(step=2)])
    watch, _ = watching(ScriptedCluster([RUNNING], [first, second]))
    assert [watch.ask()["step"], watch.ask()["step"]] == [1, 2]
    assert first.is_closed


def test_a_connection_that_breaks() -> None:
    first, second = Command([document(step=1)], ends=CUT), Command([document(step=2)])
    watch, _ = watching(ScriptedCluster([RUNNING, CUT, RUNNING], [first, second]))
    assert watch.ask()["step"] == 1
    for _ in range(2):
        with pytest.raises(ClusterUnavailableError, match="broke"):
            watch.ask()
    assert first.is_closed
    assert watch.ask()["step"] == 2


def test_a_master_that_is_not_there_yet_is_waited_for() -> None:
    pulling = pod("Pending", waiting={"reason": "ImagePullBackOff", "message": "no such image"})
    pulling["spec"]["containers"][0]["image"] = "none:1"
    too_early = Command(ends=(1, "", "elasticdl: error: there is no job in /elasticdl/jobs\n"))
    commands = [too_early, too_early, Command([document(step=1)])]
    cluster = ScriptedCluster([None, pulling, pulling, RUNNING], commands)
    watch, said = watching(cluster)
    assert watch.ask()["step"] == 1
    assert len(said) == 3
    assert said[0] == "waiting for job digits: its master does not run yet"
    assert "its master does not run: " in said[1]
    assert said[2].endswith("in the master's pod: there is no job in /elasticdl/jobs")


def test_a_master_that_goes_away_is_said() -> None:
    gone = pod("Pending")
    watch, said = watching(
        ScriptedCluster([RUNNING, gone, RUNNING], [Command([document()]), Command([document()])])
    )
    watch.ask()
    with pytest.raises(MasterUnavailableError, match="its master does not run"):
        watch.ask()
    assert watch.ask()["state"] == "running"
    assert said == []


def test_an_image_of_another_version_is_an_error() -> None:
    command = Command(ends=(2, "", "Error: No such option: --watch_s\n"))
    watch, _ = watching(ScriptedCluster([RUNNING], [command]))
    with pytest.raises(ClusterError, match="No such option: --watch_s"):
        watch.ask()


def test_a_job_that_ends_unseen() -> None:
    told = json.dumps({"progress": status(state="finished", step=9)}).encode()
    known = document(step=8, events=[{"text": "the job begins"}])
    watch, _ = watching(ScriptedCluster([RUNNING, DONE], [Command([known])], [told]))
    watch.ask()
    last = watch.ask()
    assert (last["state"], last["step"], last["workers"]) == ("finished", 9, [])
    assert last["events"] == known["events"]
    # It is not known any more, and not what it was.
    assert "coverage" not in last


def test_a_job_that_kubernetes_gives_up() -> None:
    failed = {"type": "Failed", "status": "True", "message": "too many failures"}
    root = ROOT | {"status": {"conditions": [failed]}}
    crashed = pod("Failed", terminated={"exitCode": 1})
    cluster = ScriptedCluster([RUNNING, crashed], [Command([document()])], root=root)
    watch, _ = watching(cluster)
    watch.ask()
    last = watch.ask()
    assert (last["state"], last["reason"]) == (
        "failed",
        "its master was given up: too many failures",
    )
    with pytest.raises(JobFailedError, match="too many failures"):
        watching(ScriptedCluster([crashed], root=root))[0].ask()


def test_a_job_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="there is no job digits in namespace vision"):
        watching(ScriptedCluster([None], root=None))[0].ask()


def status(**changes: Any) -> dict[str, Any]:
    """Returns how a job stands, without what only a running master knows."""
    plain = document(epoch_records=7, records_per_epoch=10, **changes)
    return {name: value for name, value in plain.items() if name not in ("coverage", "events")}
