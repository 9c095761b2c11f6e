"""Runs a command in a pod, as `kubectl exec` does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.transport import authorization, refusal

_STDOUT, _STDERR, _STATUS = 1, 2, 3


class PodCommand:
    """A command that runs in a pod, whose output is read as it comes.

    Args:
        configuration: of the `kubernetes` client.
        namespace: where the pod is.
        pod: its name; the command runs in the container of elasticdl.
        command: and its arguments.

    Raises:
        ClusterError: it cannot be run.
        ClusterUnavailableError: there is no answer.
    """

    def __init__(
        self, configuration: Any, namespace: str, pod: str, command: Sequence[str]
    ) -> None:
        from kubernetes.stream.ws_client import WSClient

        self._pod = pod
        self._rest = b""
        output = [("container", places.CONTAINER), ("stdout", "1"), ("stderr", "1")]
        query = urlencode([*(("command", each) for each in command), *output])
        # "https" becomes "wss", and "http" "ws".
        host = configuration.host.replace("http", "ws", 1)
        url = f"{host}/api/v1/namespaces/{namespace}/pods/{pod}/exec?{query}"
        with _errors_named(pod):
            self._client = WSClient(
                configuration, url, authorization(configuration), capture_all=False, binary=True
            )

    def lines(self, timeout_s: float) -> list[bytes]:
        """Returns the whole lines of its standard output since the last call, waiting for one.

        Returns:
            The lines; none at all when the command has ended.

        Raises:
            ClusterUnavailableError: nothing has come in that time.
        """
        deadline_s = time.monotonic() + timeout_s
        with _errors_named(self._pod):
            while True:
                new: bytes = self._client.read_channel(_STDOUT)
                *lines, self._rest = (self._rest + new).split(b"\n")
                if lines or not self._client.is_open():
                    return lines
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise ClusterUnavailableError(
                        f"a command in pod {self._pod} has said nothing for {timeout_s:.0f} s"
                    )
                self._client.update(timeout=left_s)

    def wait(self, timeout_s: float) -> tuple[int, str, str]:
        """Returns exit code, the rest of standard output, and standard error, once it has ended.

        Raises:
            ClusterError: it was not run.
            ClusterUnavailableError: it has not ended in that time, or the connection broke.
        """
        client = self._client
        with _errors_named(self._pod):
            client.run_forever(timeout=timeout_s)
            if client.is_open():
                raise ClusterUnavailableError(
                    f"a command in pod {self._pod} has not ended within {timeout_s:.0f} s"
                )
            stdout, stderr, status = (
                client.read_channel(channel) for channel in (_STDOUT, _STDERR, _STATUS)
            )
        code = _exit_code(self._pod, status)
        shown = (self._rest + stdout).decode(errors="replace")
        return code, shown, stderr.decode(errors="replace")

    def close(self) -> None:
        """Lets go of it; it may run on in the pod."""
        # The client's own `close` leaves the socket open once the server has said goodbye.
        self._client.sock.shutdown()


def run_in_pod(
    configuration: Any, namespace: str, pod: str, command: Sequence[str], timeout_s: float
) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error of a command.

    Args:
        configuration: of the `kubernetes` client.
        namespace: where the pod is.
        pod: its name; the command runs in the container of elasticdl.
        command: and its arguments.
        timeout_s: how long it may take.

    Raises:
        ClusterError: it cannot be run.
        ClusterUnavailableError: there is no answer in time.
    """
    started = PodCommand(configuration, namespace, pod, command)
    try:
        return started.wait(timeout_s)
    finally:
        started.close()


@contextmanager
def _errors_named(pod: str) -> Iterator[None]:
    from kubernetes.client import ApiException
    from websocket import WebSocketBadStatusException, WebSocketException

    try:
        yield
    except ApiException as error:
        raise ClusterError(f"cannot exec in Pod {pod}: {error.reason}", error.status) from error
    except WebSocketBadStatusException as error:
        raise refusal(f"exec in Pod {pod}", error.status_code, error.resp_body or b"") from error
    except (WebSocketException, OSError) as error:
        raise ClusterUnavailableError(f"cannot exec in Pod {pod}: {error}") from error


def _exit_code(pod: str, status: bytes) -> int:
    """Returns the exit code from what the server says at the end.

    Raises:
        ClusterError: the command was not run.
        ClusterUnavailableError: the connection broke.
    """
    if not status:
        raise ClusterUnavailableError(f"the connection to Pod {pod} broke")
    plain = json.loads(status)
    if plain.get("status") == "Success":
        return 0
    for cause in (plain.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ClusterError(f"cannot exec in Pod {pod}: {plain.get('message')}", plain.get("code", 0))
