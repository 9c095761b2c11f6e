"""Who may see the window: decisions about requests, without any I/O.

On loopback everybody on the machine may, but a page of the web must not reach it through a name of
its own that leads here (DNS rebinding). Beyond loopback every request has to show the job's token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::\d*)?")


class Verdict(Enum):
    """What becomes of a request."""

    ALLOWED = "allowed"
    ALLOWED_FROM_NOW_ON = "allowed, and its cookie is to be set"
    FOREIGN_HOST = "the Host header is not a name of this machine's loopback"
    NO_TOKEN = "the token is missing or wrong"


@dataclass(frozen=True)
class Shown:
    """What a request shows of itself; "" for what it does not.

    Attributes:
        host: its Host header.
        authorization: its Authorization header.
        query_token: the parameter `token` of its address.
        cookie: the value of the window's cookie.
    """

    host: str = ""
    authorization: str = ""
    query_token: str = ""
    cookie: str = ""


class Access:
    """Decides who may see the window.

    Args:
        token: the job's token; "" for a window on loopback, which needs none.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        # Browsers send a cookie to every port of a host: not the token itself, with which one can
        # do more than look.
        self.cookie_value = hmac.new(token.encode(), b"status page", hashlib.sha256).hexdigest()

    def decide(self, shown: Shown) -> Verdict:
        """Returns what becomes of a request."""
        if not self._token:
            return Verdict.ALLOWED if _is_loopback(shown.host) else Verdict.FOREIGN_HOST
        bearer = _BEARER.fullmatch(shown.authorization)
        if bearer is not None and _equal(bearer[1], self._token):
            return Verdict.ALLOWED
        if shown.query_token and _equal(shown.query_token, self._token):
            return Verdict.ALLOWED_FROM_NOW_ON
        if shown.cookie and _equal(shown.cookie, self.cookie_value):
            return Verdict.ALLOWED
        return Verdict.NO_TOKEN


def _equal(given: str, right: str) -> bool:
    """Returns whether two texts are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _is_loopback(host: str) -> bool:
    """Returns whether a Host header is a name or an address of loopback."""
    match = _HOST.fullmatch(host.strip())
    if match is None:
        return False
    name = match[1] or match[2] or ""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
