"""What a watch does when the API server ends it in one way or another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from elasticdl_command import eventually
from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.client import GONE, Listing, WatchStream
from elasticdl_like.platforms.kubernetes.watch import (
    Deleted,
    Listed,
    NotAllowed,
    PodChange,
    PodWatch,
    Seen,
)

END = object()


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": pod(name, version)}


class ScriptedStream:
    """Yields what the script says, then waits until it is closed."""

    def __init__(self, script: Sequence[object]) -> None:
        self._script = script
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for each in self._script:
            if each is END:
                return
            if isinstance(each, Exception):
                raise each
            assert isinstance(each, dict)
            yield each
        assert self.closed.wait(30)

    def close(self) -> None:
        self.closed.set()


class ScriptedCluster:
    """Lists and watches as the scripts say, one after the other; the last watch goes on."""

    def __init__(self, lists: Sequence[Listing | Exception], *watches: Sequence[object]) -> None:
        self._lists = list(lists)
        self._watches = list(watches)
        self.watched_from: list[str] = []
        self.num_lists = 0
        self.stream: ScriptedStream | None = None

    def list_pods(self, selector: str) -> Listing:
        self.num_lists += 1
        answer = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watch_pods(self, selector: str, resource_version: str) -> WatchStream:
        self.watched_from.append(resource_version)
        self.stream = ScriptedStream(self._watches.pop(0) if self._watches else [])
        return self.stream

    def create(self, plain: Any) -> dict[str, Any]:
        raise AssertionError(plain)

    def delete_pod(self, name: str, grace_s: int | None = None) -> None:
        raise AssertionError(name)

    def pod_events(self, name: str) -> list[dict[str, Any]]:
        raise AssertionError(name)


def follow(cluster: ScriptedCluster, num_changes: int) -> list[PodChange]:
    """Returns the first changes that a watch reports."""
    changes: queue.SimpleQueue[PodChange] = queue.SimpleQueue()
    with PodWatch(cluster, "labels", changes.put, time.monotonic):
        return [changes.get(timeout=20) for _ in range(num_changes)]


def names(listed: PodChange) -> list[str]:
    assert isinstance(listed, Listed)
    return [each["metadata"]["name"] for each in listed.pods]


def test_events_follow_the_list() -> None:
    events = [
        event("ADDED", "a", 11),
        event("BOOKMARK", "", 12),
        event("MODIFIED", "a", 13),
        event("DELETED", "a", 14),
    ]
    cluster = ScriptedCluster([Listing([pod("b", 5)], "10")], events)
    listed, *others = follow(cluster, 4)
    assert names(listed) == ["b"]
    assert others == [Seen(pod("a", 11)), Seen(pod("a", 13)), Deleted(pod("a", 14))]
    assert cluster.watched_from == ["10"]


def test_a_watch_that_the_server_ends_goes_on_where_it_was() -> None:
    cluster = ScriptedCluster(
        [Listing([], "10")],
        [event("ADDED", "a", 11), event("BOOKMARK", "", 20), END],
        [event("ADDED", "b", 21)],
    )
    assert follow(cluster, 3)[1:] == [Seen(pod("a", 11)), Seen(pod("b", 21))]
    assert cluster.watched_from == ["10", "20"]
    assert cluster.num_lists == 1


@pytest.mark.parametrize(
    "trouble", [ClusterError("too old", GONE), ClusterUnavailableError("it broke")]
)
def test_after_any_other_end_pods_are_listed_again(trouble: Exception) -> None:
    cluster = ScriptedCluster([Listing([pod("a", 1)], "10"), Listing([], "30")], [trouble])
    before, after = follow(cluster, 2)
    assert (names(before), names(after)) == (["a"], [])
    eventually(lambda: cluster.watched_from in (["10"], ["10", "30"]), 5)


def test_a_server_that_does_not_answer_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    away = ClusterUnavailableError("it does not answer")
    cluster = ScriptedCluster([away, away, Listing([], "10")])
    assert names(follow(cluster, 1)[0]) == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "is not known for now: it does not answer" in caplog.text
    assert "is known again" in caplog.text


def test_that_pods_may_not_be_listed_is_reported() -> None:
    cluster = ScriptedCluster([ClusterError("pods is forbidden", 403)])
    assert follow(cluster, 1) == [NotAllowed("pods is forbidden")]


def test_a_refusal_later_on_is_waited_for() -> None:
    lists = [Listing([], "10"), ClusterError("pods is forbidden", 403), Listing([], "20")]
    cluster = ScriptedCluster(lists, [ClusterUnavailableError("it broke")])
    assert all(isinstance(each, Listed) for each in follow(cluster, 2))


def test_the_end_of_a_watch_closes_the_connection() -> None:
    cluster = ScriptedCluster([Listing([], "10")], [event("ADDED", "a", 11)])
    follow(cluster, 2)
    assert cluster.stream is not None
    assert cluster.stream.closed.is_set()
