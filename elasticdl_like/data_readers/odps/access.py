"""Where the service is, and the credentials to get at it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from elasticdl_like.errors import ConfigError

# The environment variables that stand in for each parameter, in the order they are looked at.
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "project": ("MAXCOMPUTE_PROJECT",),
    "access_id": ("MAXCOMPUTE_AK", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
    "access_key": ("MAXCOMPUTE_SK", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
    "security_token": ("ALIBABA_CLOUD_SECURITY_TOKEN",),
    "endpoint": ("MAXCOMPUTE_ENDPOINT",),
    "tunnel_endpoint": ("MAXCOMPUTE_TUNNEL_ENDPOINT",),
}
_HIDDEN = "***"
# Shorter ones would hide parts of ordinary words.
_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class OdpsAccess:
    """Where the service is, and the credentials to get at it; these are never shown.

    Attributes:
        project: the project.
        endpoint: the URL of the service; it ends with `/api`.
        tunnel_endpoint: the URL that data comes from, "" to ask the service for it.
        access_id: names the key.
        access_key: the key itself.
        security_token: of temporary credentials, else "".
    """

    project: str
    endpoint: str
    tunnel_endpoint: str
    access_id: str = field(repr=False)
    access_key: str = field(repr=False)
    security_token: str = field(default="", repr=False)

    def redacted(self, text: str) -> str:
        """Returns a text with the credentials made unreadable."""
        for secret in (self.access_key, self.security_token, self.access_id):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, _HIDDEN)
        return text


def find_access(
    given: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> OdpsAccess:
    """Returns the access that parameters ask for, the environment filling in what they leave out.

    An id, a key and a token belong together: those of the environment are taken from one family of
    variables, and only when the parameters have neither id nor key.

    Args:
        given: the parameters, named as the attributes of `OdpsAccess`; "" is the same as left out.
        environment: the environment variables; those of this process by default.

    Raises:
        ConfigError: something is missing.
    """
    variables = os.environ if environment is None else environment
    found = {name: given.get(name, "") or "" for name in _VARIABLES}
    for name in ("project", "endpoint", "tunnel_endpoint"):
        found[name] = found[name] or _first(variables, _VARIABLES[name])
    if not found["access_id"] and not found["access_key"]:
        found |= _credentials(variables)
    missing = [
        name for name in ("project", "endpoint", "access_id", "access_key") if not found[name]
    ]
    if missing:
        raise ConfigError(
            "MaxCompute: nothing says "
            + "; ".join(
                f"{name} (set {' or '.join(_VARIABLES[name])}, or the reader parameter {name})"
                for name in missing
            )
        )
    return OdpsAccess(**found)


def _credentials(variables: Mapping[str, str]) -> dict[str, str]:
    for family in zip(_VARIABLES["access_id"], _VARIABLES["access_key"], strict=True):
        access_id, access_key = (variables.get(name, "") for name in family)
        if access_id or access_key:
            token = ""
            if family[0].startswith("ALIBABA_CLOUD"):
                token = _first(variables, _VARIABLES["security_token"])
            return {"access_id": access_id, "access_key": access_key, "security_token": token}
    return {}


def _first(variables: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((variables[name] for name in names if variables.get(name)), "")
