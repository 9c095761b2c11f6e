"""Waits for another process to listen."""

from __future__ import annotations

import socket
import time

_PAUSE_S = 0.01


def wait_for_port(address: str, timeout_s: float) -> bool:
    """Returns whether somebody listens, as soon as that is so, or when the time is over.

    Args:
        address: `host:port`.
        timeout_s: for how long to wait.
    """
    host, _, port = address.rpartition(":")
    deadline_s = time.monotonic() + timeout_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            socket.create_connection((host.strip("[]"), int(port)), left_s).close()
        except OSError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False
