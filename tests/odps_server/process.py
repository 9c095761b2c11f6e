"""The server in a process of its own, for tests that kill workers and for benchmarks."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .control import Control
from .errors import ServiceError
from .server import CONTROL_PREFIX
from .signatures import Account

_CALL_TIMEOUT_S = 60
_END_TIMEOUT_S = 10


@contextlib.contextmanager
def odps_server_process(*arguments: str) -> Iterator[Control]:
    """Start `python -m tests.odps_server` with these arguments; it ends with the context."""
    process = subprocess.Popen(
        [sys.executable, "-m", __package__, "--port", "0", *arguments],
        cwd=Path(__file__).parents[len(__package__.split("."))],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start, exit code {process.wait()}")
        yield connect(json.loads(line))
    finally:
        process.terminate()
        process.wait(_END_TIMEOUT_S)
        process.stdout.close()


def connect(description: Mapping[str, str]) -> Control:
    """Control a server that runs already; `description` is the line that it printed."""
    address = description["tunnel_endpoint"].removeprefix("http://")

    def call(name: str, arguments: Mapping[str, Any]) -> Any:
        connection = http.client.HTTPConnection(address, timeout=_CALL_TIMEOUT_S)
        try:
            connection.request("POST", CONTROL_PREFIX + name, json.dumps(arguments))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ServiceError(response.status, name, text.strip())
        return json.loads(text)

    account = Account(description["access_id"], description["access_key"])
    return Control(address, description["project"], account, call)
