"""What this project asks of Kubernetes, and the real thing that answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.names import parse_namespace
from elasticdl_like.platforms.kubernetes.transport import Stream, Transport, load_configuration

NOT_FOUND = 404
CONFLICT = 409
GONE = 410

# The API server says something, if only a bookmark, about once a minute.
_SILENCE_S = 150.0
_RESOURCES = {
    "ConfigMap": ("/api/v1", "configmaps"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Pod": ("/api/v1", "pods"),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
}


@dataclass(frozen=True)
class Listing:
    """Objects as they were at one moment.

    Attributes:
        items: the objects.
        resource_version: the moment, from which a watch tells what comes next.
    """

    items: Sequence[dict[str, Any]]
    resource_version: str


@dataclass(frozen=True)
class ExecResult:
    """What a command in a pod left behind."""

    exit_code: int
    stdout: str
    stderr: str


class WatchStream(Protocol):
    """What happens to objects, until it is closed, the server ends it, or it breaks."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields events, each with `type` and `object`."""

    def close(self) -> None:
        """Ends it, from any thread."""


class RunningCommand(Protocol):
    """A command that runs in a pod."""

    def lines(self, timeout_s: float) -> list[bytes]:
        """Returns the lines that it has written since the last call; none when it has ended."""

    def wait(self, timeout_s: float) -> tuple[int, str, str]:
        """Returns exit code, the rest of standard output, and standard error."""

    def close(self) -> None:
        """Lets go of it; it may run on."""


class PodCluster(Protocol):
    """What a master asks of Kubernetes.

    Each call may raise `ClusterError` for a refusal, and `ClusterUnavailableError` where there is
    no answer.
    """

    def create(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Creates an object; returns what has become of it."""

    def delete_pod(self, name: str, grace_s: int | None = None) -> None:
        """Asks for the end of a pod, within its own time or another; it may be gone already."""

    def list_pods(self, selector: str) -> Listing:
        """Returns the pods with these labels."""

    def watch_pods(self, selector: str, resource_version: str) -> WatchStream:
        """Returns what happens to the pods with these labels from a moment on."""

    def pod_events(self, name: str) -> list[dict[str, Any]]:
        """Returns what has been noted about a pod, oldest first."""


class _Watch:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self._stream:
            if not line.strip():
                continue
            try:
                event = json.loads(line)
            except ValueError as error:
                raise ClusterUnavailableError(f"the watch was cut off: {error}") from error
            if event["type"] == "ERROR":
                status = event["object"]
                raise ClusterError(
                    f"the watch has ended: {status.get('message')}", status.get("code", 0)
                )
            yield event

    def close(self) -> None:
        self._stream.close()


class Cluster:
    """One namespace of a cluster; any thread may use it. A context manager that closes it.

    Args:
        namespace: its name.
        configuration: of the `kubernetes` client.
    """

    def __init__(self, namespace: str, configuration: Any) -> None:
        self.namespace = namespace
        self._configuration = configuration
        self._transport = Transport(configuration)

    @classmethod
    def connect(cls, namespace: str, context: str | None = None) -> Cluster:
        """Returns the cluster that the kubeconfig names or, without one, that this pod is in.

        Raises:
            ConfigError: there is none, no namespace can have this name, or the `kubernetes` client
                is not installed.
        """
        return cls(parse_namespace(namespace), load_configuration(context))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are kept for further requests."""
        self._transport.close()

    @property
    def calls(self) -> Mapping[str, int]:
        """How many requests there were, by verb and kind, as "list Pods"."""
        return dict(self._transport.calls)

    def create(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Creates an object; returns what has become of it.

        Raises:
            ClusterError: the server refuses to, such as with `CONFLICT` where there is one.
            ClusterUnavailableError: there is no answer.
        """
        kind, name = plain["kind"], plain["metadata"]["name"]
        return self._transport.request(
            f"create {kind} {name}", "POST", self._path(kind), body=plain
        )

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Returns an object.

        Raises:
            ClusterError: the server refuses to, such as with `NOT_FOUND`.
            ClusterUnavailableError: there is no answer.
        """
        return self._transport.request(f"read {kind} {name}", "GET", self._path(kind, name))

    def list_objects(self, kind: str, selector: str) -> Listing:
        """Returns the objects with these labels.

        Raises:
            ClusterError: the server refuses to.
            ClusterUnavailableError: there is no answer.
        """
        answer = self._transport.request(
            f"list {kind} {selector}", "GET", self._path(kind), {"labelSelector": selector}
        )
        # The items of a list come without what is the same for all.
        items = [{"kind": kind, **item} for item in answer["items"]]
        return Listing(items, answer["metadata"]["resourceVersion"])

    def delete(self, kind: str, name: str, grace_s: int | None = None) -> None:
        """Deletes an object and, later, what belongs to it; it may be gone already.

        Args:
            kind: its kind.
            name: its name.
            grace_s: how long a pod may take to end; None for what the pod itself says.

        Raises:
            ClusterError: the server refuses to.
            ClusterUnavailableError: there is no answer.
        """
        options: dict[str, Any] = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
        }
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            self._transport.request(
                f"delete {kind} {name}", "DELETE", self._path(kind, name), body=options
            )
        except ClusterError as error:
            if error.code != NOT_FOUND:
                raise

    def delete_pod(self, name: str, grace_s: int | None = None) -> None:
        """Asks for the end of a pod, see `delete`."""
        self.delete("Pod", name, grace_s)

    def list_pods(self, selector: str) -> Listing:
        """Returns the pods with these labels, see `list_objects`."""
        return self.list_objects("Pod", selector)

    def watch_pods(self, selector: str, resource_version: str) -> WatchStream:
        """Returns what happens to the pods with these labels.

        Args:
            selector: the labels.
            resource_version: that of a `Listing` or of an event's object, to go on from.

        Raises:
            ClusterError: the server refuses to, with `GONE` where that moment is too long ago.
            ClusterUnavailableError: there is no answer.
        """
        query = {
            "labelSelector": selector,
            "resourceVersion": resource_version,
            "watch": "true",
            "allowWatchBookmarks": "true",
        }
        stream = self._transport.stream(
            f"watch Pod {selector}", self._path("Pod"), query, _SILENCE_S
        )
        return _Watch(stream)

    def pod_events(self, name: str) -> list[dict[str, Any]]:
        """Returns what has been noted about a pod, see `events`."""
        return self.events("Pod", name)

    def events(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Returns what has been noted about an object, oldest first.

        Raises:
            ClusterError: the server refuses to.
            ClusterUnavailableError: there is no answer.
        """
        selector = f"involvedObject.name={name},involvedObject.kind={kind}"
        path = f"/api/v1/namespaces/{self.namespace}/events"
        answer = self._transport.request(
            f"list Event {name}", "GET", path, {"fieldSelector": selector}
        )
        items: list[dict[str, Any]] = answer["items"]
        return sorted(items, key=lambda item: item.get("lastTimestamp") or "")

    def read_log(
        self, pod: str, follow: bool = False, previous: bool = False, tail_lines: int | None = None
    ) -> Stream:
        """Returns the lines that the container of elasticdl in a pod has written.

        Args:
            pod: its name.
            follow: go on with what it writes from now on, until it ends.
            previous: those of the container before the last restart.
            tail_lines: only so many of the last ones; None for all.

        Raises:
            ClusterError: the server refuses to.
            ClusterUnavailableError: there is no answer; while iterating, the connection broke.
        """
        query = {
            "container": places.CONTAINER,
            "follow": str(follow).lower(),
            "previous": str(previous).lower(),
        }
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        path = f"{self._path('Pod', pod)}/log"
        return self._transport.stream(f"follow PodLog {pod}", path, query, None)

    def exec(self, pod: str, command: Sequence[str], timeout_s: float = 30.0) -> ExecResult:
        """Runs a command in a pod's container to its end.

        Raises:
            ClusterError: the server refuses to.
            ClusterUnavailableError: there is no answer in time.
        """
        from elasticdl_like.platforms.kubernetes.pod_exec import run_in_pod

        return ExecResult(*run_in_pod(self._configuration, self.namespace, pod, command, timeout_s))

    def start(self, pod: str, command: Sequence[str]) -> RunningCommand:
        """Starts a command in a pod's container, whose output is read as it comes.

        Raises:
            ClusterError: the server refuses to.
            ClusterUnavailableError: there is no answer.
        """
        from elasticdl_like.platforms.kubernetes.pod_exec import PodCommand

        return PodCommand(self._configuration, self.namespace, pod, command)

    def _path(self, kind: str, name: str = "") -> str:
        root, plural = _RESOURCES[kind]
        path = f"{root}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}" if name else path
