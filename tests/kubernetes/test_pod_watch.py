"""A watch on a real API server, with a relay in between that is cut."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from relay import Relay, relay_to
from small_pods import SELECTOR, SLEEP, own_configuration

from elasticdl_command import eventually
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.pod_state import Pod, pod_state
from elasticdl_like.platforms.kubernetes.transport import load_configuration
from elasticdl_like.platforms.kubernetes.watch import Deleted, Listed, PodChange, PodWatch, Seen

pytestmark = pytest.mark.kubernetes

MakePod = Callable[..., dict[str, Any]]
Changes = queue.SimpleQueue[PodChange]


@pytest.fixture
def relay() -> Iterator[Relay]:
    server = urlsplit(load_configuration().host)
    with relay_to(server.hostname or "", server.port or 443) as relay:
        yield relay


@pytest.fixture
def relayed(namespace: str, relay: Relay) -> Iterator[Cluster]:
    configuration = own_configuration()
    configuration.tls_server_name = urlsplit(configuration.host).hostname
    configuration.host = f"https://127.0.0.1:{relay.port}"
    with Cluster(namespace, configuration) as cluster:
        yield cluster


def wait_for(changes: Changes, is_it: Callable[[PodChange], bool]) -> PodChange:
    while True:
        change = changes.get(timeout=60)
        if is_it(change):
            return change


def names(pods: Sequence[Pod]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def is_seen(change: PodChange, name: str) -> bool:
    return isinstance(change, Seen) and names([change.pod]) == [name]


def test_pods_are_seen_from_their_creation_to_their_deletion(
    cluster: Cluster, make_pod: MakePod
) -> None:
    changes: Changes = queue.SimpleQueue()
    with PodWatch(cluster, SELECTOR, changes.put, time.monotonic):
        assert wait_for(changes, lambda change: True) == Listed(
            [], pytest.approx(time.monotonic(), abs=60)
        )
        make_pod("one", "exit 3")
        wait_for(
            changes, lambda change: isinstance(change, Seen) and pod_state(change.pod).has_ended
        )
        cluster.delete_pod("one")
        wait_for(changes, lambda change: isinstance(change, Deleted))
    # In steady state there is nothing but the watch.
    assert cluster.calls == {"list Pod": 1, "watch Pod": 1, "create Pod": 1, "delete Pod": 1}


def test_a_deletion_while_the_server_was_away_is_found(
    cluster: Cluster, relayed: Cluster, relay: Relay, make_pod: MakePod
) -> None:
    make_pod("one", SLEEP)
    changes: Changes = queue.SimpleQueue()
    with PodWatch(relayed, SELECTOR, changes.put, time.monotonic):
        listed = wait_for(changes, lambda change: isinstance(change, Listed))
        assert isinstance(listed, Listed)
        assert names(listed.pods) == ["one"]
        make_pod("two", SLEEP)
        # The watch has begun: otherwise it might begin after all this, and miss nothing.
        wait_for(changes, lambda change: is_seen(change, "two"))
        relay.cut()
        cluster.delete_pod("one", 0)
        eventually(lambda: names(cluster.list_pods(SELECTOR).items) == ["two"], 60)
        relay.mend()
        again = wait_for(changes, lambda change: isinstance(change, Listed))
        assert isinstance(again, Listed)
        assert names(again.pods) == ["two"]
        make_pod("three", SLEEP)
        wait_for(changes, lambda change: is_seen(change, "three"))


def test_the_end_of_a_watch_does_not_wait_for_the_server(cluster: Cluster) -> None:
    changes: Changes = queue.SimpleQueue()
    watch = PodWatch(cluster, SELECTOR, changes.put, time.monotonic)
    with watch:
        wait_for(changes, lambda change: isinstance(change, Listed))
        eventually(lambda: "watch Pod" in cluster.calls, 10)
    assert not watch.is_alive
