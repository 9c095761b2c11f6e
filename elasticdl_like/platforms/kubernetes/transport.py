"""Requests to Kubernetes's API server, in plain JSON."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

from elasticdl_like.data_readers.extras import missing_extra
from elasticdl_like.errors import ClusterError, ClusterUnavailableError, ConfigError

_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 20.0
_UNAUTHORIZED = 401
_CONFLICT = 409
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
# A network that drops packets in silence is noticed after 25 s, without a request more.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
# What goes wrong between here and the server, on the way there or back.
_BROKEN = (urllib3.exceptions.HTTPError, OSError)


class Stream:
    """An answer that comes in pieces; iterating over it yields its lines, as they come.

    Args:
        response: what urllib3 returned.
    """

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """Yields lines.

        Raises:
            ClusterUnavailableError: the connection broke.
        """
        rest = b""
        try:
            for piece in self._response.stream():
                *lines, rest = (rest + piece).split(b"\n")
                yield from lines
        except _BROKEN as error:
            raise ClusterUnavailableError(f"the connection broke: {error}") from error
        finally:
            self._response.close()
        if rest:
            yield rest

    def close(self) -> None:
        """Ends the stream; another thread may do it, which makes the iteration end."""
        try:
            self._response.shutdown()
        except (ValueError, OSError, RuntimeError):
            return  # it has ended


class Transport:
    """Talks to one API server; any thread may, until it is closed.

    Args:
        configuration: of the `kubernetes` client.

    Attributes:
        calls: how many requests there were, by verb and resource, as "list pods".
    """

    def __init__(self, configuration: Any) -> None:
        from kubernetes.client.rest import RESTClientObject

        default_options = urllib3.connection.HTTPConnection.default_socket_options
        configuration.socket_options = [*default_options, *_KEEP_ALIVE]
        # It knows about certificates and proxies.
        self._pools = RESTClientObject(configuration).pool_manager
        self._configuration = configuration
        self.calls: Counter[str] = Counter()

    def close(self) -> None:
        """Closes the connections that are kept for further requests."""
        self._pools.clear()

    def request(
        self,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Returns the answer to a request.

        Args:
            what: what it is for, as "create Pod x"; the first word and the resource are counted.
            method: of HTTP.
            path: from the root of the server.
            query: parameters.
            body: becomes JSON.

        Raises:
            ClusterUnavailableError: there is no answer.
            ClusterError: it is a refusal.
        """
        response = self._send(what, method, path, query, body, _READ_TIMEOUT_S)
        try:
            content = response.read()
        except _BROKEN as error:
            raise ClusterUnavailableError(f"cannot {what}: {error}") from error
        finally:
            response.release_conn()
        try:
            answer: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise ClusterUnavailableError(f"cannot {what}: the answer is no JSON") from error
        return answer

    def stream(
        self, what: str, path: str, query: Mapping[str, str], silence_s: float | None
    ) -> Stream:
        """Returns the answer to a request that is answered little by little.

        Args:
            what: what it is for.
            path: from the root of the server.
            query: parameters.
            silence_s: after how long without a word it is broken; None for never.

        Raises:
            ClusterUnavailableError: there is no answer.
            ClusterError: it is a refusal.
        """
        return Stream(self._send(what, "GET", path, query, None, silence_s))

    def _send(
        self,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        read_timeout_s: float | None,
    ) -> Any:
        verb, resource = what.split()[:2]
        self.calls[f"{verb} {resource}"] += 1
        headers = {"Accept": "application/json", **authorization(self._configuration)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = self._pools.request(
                method,
                f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=read_timeout_s),
                retries=False,
                preload_content=False,
            )
            if response.status < 400:
                return response
            answer = response.read()
        except _BROKEN as error:
            raise ClusterUnavailableError(
                f"cannot {what}: {self._configuration.host} does not answer ({error})"
            ) from error
        raise refusal(what, response.status, answer)


def authorization(configuration: Any) -> dict[str, str]:
    """Returns the headers that say who asks; a token may be another one each time."""
    return {
        setting["key"]: setting["value"]
        for setting in configuration.auth_settings().values()
        if setting["in"] == "header"
    }


def load_configuration(context: str | None = None) -> Any:
    """Returns how to reach the cluster that a kubeconfig names or, without one, this pod's.

    Args:
        context: of the kubeconfig; None for the current one.

    Raises:
        ConfigError: there is none, or the `kubernetes` client is not installed.
    """
    try:
        from kubernetes.client import Configuration
        from yaml import YAMLError

        from kubernetes import config
    except ImportError as error:
        raise missing_extra("kubernetes", "talking to Kubernetes", error) from error
    configuration = Configuration()
    try:
        try:
            config.load_kube_config(context=context, client_configuration=configuration)
        except config.ConfigException:
            if context is not None:
                raise
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise ConfigError(
            f"no Kubernetes cluster is configured ({error}); set KUBECONFIG, or write "
            "~/.kube/config"
        ) from error
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        # The client takes for granted that the file is in order.
        raise ConfigError(
            f"the kubeconfig cannot be read ({' '.join(str(error).split())}); it is what "
            "KUBECONFIG names, or ~/.kube/config"
        ) from error
    return configuration


def refusal(what: str, status: int, answer: bytes) -> ClusterError | ClusterUnavailableError:
    """Returns the error for an answer that is none.

    Args:
        what: what was asked, as "create Pod x".
        status: of HTTP.
        answer: the body.
    """
    reason = ""
    try:
        plain = json.loads(answer)
        message, reason = plain["message"], plain.get("reason", "")
    except (ValueError, KeyError, TypeError):
        message = answer.decode("utf-8", "replace").strip()[:200] or "no reason given"
    if status == _UNAUTHORIZED:
        message += "; the credentials are wrong, or have expired"
    # Not that there is one already: others counted on the same quota at the same time.
    is_race = status == _CONFLICT and reason == "Conflict"
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR or is_race:
        return ClusterUnavailableError(f"cannot {what}: {message} ({status})")
    return ClusterError(f"cannot {what}: {message}", status)
