"""Runs a command in a pod, as `kubectl exec` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.transport import authorization, refusal

_STDOUT, _STDERR, _STATUS = 1, 2, 3


def run_in_pod(
    configuration: Any, namespace: str, pod: str, command: Sequence[str], timeout_s: float
) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error of a command.

    Args:
        configuration: of the `kubernetes` client.
        namespace: where the pod is.
        pod: its name; the command runs in its first container.
        command: and its arguments.
        timeout_s: how long it may take.

    Raises:
        ClusterError: it cannot be run.
        ClusterUnavailableError: there is no answer in time.
    """
    from kubernetes.client import ApiException
    from kubernetes.stream.ws_client import WSClient
    from websocket import WebSocketBadStatusException, WebSocketException

    query = urlencode([*(("command", each) for each in command), ("stdout", 1), ("stderr", 1)])
    # "https" becomes "wss", and "http" "ws".
    host = configuration.host.replace("http", "ws", 1)
    url = f"{host}/api/v1/namespaces/{namespace}/pods/{pod}/exec?{query}"
    try:
        client = WSClient(
            configuration, url, authorization(configuration), capture_all=False, binary=True
        )
        try:
            client.run_forever(timeout=timeout_s)
            if client.is_open():
                raise ClusterUnavailableError(
                    f"{command[0]} in pod {pod} has not ended within {timeout_s:.0f} s"
                )
            stdout, stderr, status = (
                client.read_channel(channel) for channel in (_STDOUT, _STDERR, _STATUS)
            )
        finally:
            # Its own `close` leaves the socket open once the server has said goodbye.
            client.sock.shutdown()
    except ApiException as error:
        raise ClusterError(f"cannot exec in Pod {pod}: {error.reason}", error.status) from error
    except WebSocketBadStatusException as error:
        raise refusal(f"exec in Pod {pod}", error.status_code, error.resp_body or b"") from error
    except (WebSocketException, OSError) as error:
        raise ClusterUnavailableError(f"cannot exec in Pod {pod}: {error}") from error
    return _exit_code(pod, status), stdout.decode(errors="replace"), stderr.decode(errors="replace")


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
