"""Orders that a cluster carries out, refuses, or does not answer."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.client import CONFLICT, Listing, WatchStream
from elasticdl_like.platforms.kubernetes.pod_orders import (
    Answer,
    ClusterOrders,
    Created,
    Explained,
    Refused,
)


class ScriptedCluster:
    """Raises what the script says, call after call, and notes the calls."""

    def __init__(self, script: Sequence[Exception | None]) -> None:
        self._script = list(script)
        self.calls: list[tuple[str, object]] = []

    def create(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        self._note("create", plain["metadata"]["name"])
        return dict(plain)

    def delete_pod(self, name: str, grace_s: int | None = None) -> None:
        self._note("delete", (name, grace_s))

    def pod_events(self, name: str) -> list[dict[str, Any]]:
        self._note("events", name)
        return [{"message": "note"}]

    def list_pods(self, selector: str) -> Listing:
        raise AssertionError(selector)

    def watch_pods(self, selector: str, resource_version: str) -> WatchStream:
        raise AssertionError(selector)

    def _note(self, what: str, about: object) -> None:
        self.calls.append((what, about))
        error = self._script.pop(0) if self._script else None
        if error is not None:
            raise error


NOW_S = 1000.0


def make_pod(worker_id: int, incarnation: str) -> dict[str, Any]:
    return {"metadata": {"name": f"w{worker_id}-{incarnation}"}}


def answer_to_create(*script: Exception | None) -> Answer:
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    with ClusterOrders(ScriptedCluster(script), make_pod, answers.put, lambda: NOW_S) as orders:
        assert orders.create(1, "a") == "w1-a"
        return answers.get(timeout=20)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (None, Created(1, "w1-a", NOW_S)),
        (ClusterError("there is one", CONFLICT), Created(1, "w1-a", NOW_S)),
        (ClusterError("exceeded quota", 403), Refused(1, "w1-a", "exceeded quota")),
        (ClusterError("no such field", 422), Refused(1, "w1-a", "no such field", is_final=True)),
        (ClusterUnavailableError("away"), Refused(1, "w1-a", "away")),
    ],
)
def test_what_becomes_of_an_order(error: Exception | None, answer: Answer) -> None:
    assert answer_to_create(error) == answer


def test_a_deletion_is_tried_again_while_the_server_is_away() -> None:
    cluster = ScriptedCluster([ClusterUnavailableError("away"), None])
    with ClusterOrders(cluster, make_pod, lambda answer: None, lambda: NOW_S) as orders:
        orders.delete("w1-a", 0)
    assert cluster.calls == [("delete", ("w1-a", 0))] * 2


def test_a_deletion_that_is_refused_is_said(caplog: pytest.LogCaptureFixture) -> None:
    cluster = ScriptedCluster([ClusterError("cannot delete Pod w1-a: forbidden", 403)])
    with ClusterOrders(cluster, make_pod, lambda answer: None, lambda: NOW_S) as orders:
        orders.delete("w1-a")
    assert "cannot delete Pod w1-a: forbidden" in caplog.text


def test_notes_about_a_pod() -> None:
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    with ClusterOrders(ScriptedCluster([]), make_pod, answers.put, lambda: NOW_S) as orders:
        orders.explain("w1-a")
        assert answers.get(timeout=20) == Explained("w1-a", [{"message": "note"}])


def test_orders_are_carried_out_before_the_end() -> None:
    cluster = ScriptedCluster([])
    with ClusterOrders(cluster, make_pod, lambda answer: None, lambda: NOW_S) as orders:
        for number in range(5):
            orders.delete(f"w{number}")
    assert len(cluster.calls) == 5
