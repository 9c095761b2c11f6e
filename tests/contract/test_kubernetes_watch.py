"""What a watch makes of answers that a real API server gives only when it is old enough."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes.client import Configuration

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.client import GONE, Cluster

# As Kubernetes 1.20 writes it.
TOO_OLD = {
    "type": "ERROR",
    "object": {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 1 (620)",
        "reason": "Expired",
        "code": 410,
    },
}
ADDED = {"type": "ADDED", "object": {"metadata": {"name": "one", "resourceVersion": "7"}}}


@contextmanager
def cluster_that_says(said: bytes) -> Iterator[Cluster]:
    """A cluster whose server answers whatever it is asked with these bytes, and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_port}"
    try:
        with Cluster("team", configuration) as cluster:
            yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def test_a_watch_from_a_moment_that_is_too_long_ago() -> None:
    with cluster_that_says(lines(ADDED, TOO_OLD)) as cluster:
        events = iter(cluster.watch_pods("app=x", "1"))
        assert next(events)["type"] == "ADDED"
        with pytest.raises(ClusterError, match="too old resource version") as caught:
            next(events)
    assert caught.value.code == GONE


def test_a_watch_that_breaks_off_within_an_event() -> None:
    with (
        cluster_that_says(lines(ADDED)[:-10]) as cluster,
        pytest.raises(ClusterUnavailableError, match="the watch was cut off"),
    ):
        list(cluster.watch_pods("app=x", "1"))
