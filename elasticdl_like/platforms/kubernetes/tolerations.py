"""Tolerations of pods, in the words of `kubectl taint`: `gpu=yes:NoSchedule,spot:NoExecute`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from elasticdl_like.errors import ConfigError

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NAMES = frozenset({"key", "operator", "value", "effect", "tolerationSeconds"})


def parse_tolerations(text: str, flag: str) -> tuple[dict[str, Any], ...]:
    """Parses taints that the pods bear.

    Each is `key=value:effect`, `key:effect` for any value, or `key` for any effect too; or all are
    a JSON list in the form of a pod's specification.

    Args:
        text: the value of the flag.
        flag: its name, for the error message.

    Raises:
        ConfigError: the text does not parse.
    """
    if text.strip().startswith("["):
        return _from_json(text, flag)
    return tuple(_toleration(part.strip(), flag) for part in text.split(",") if part.strip())


def _toleration(text: str, flag: str) -> dict[str, Any]:
    taint, colon, effect = text.rpartition(":") if ":" in text else (text, "", "")
    if colon and effect not in _EFFECTS:
        raise ConfigError(f"{flag}: {effect!r} in {text!r} is none of {', '.join(_EFFECTS)}")
    key, equals, value = taint.partition("=")
    if not key:
        raise ConfigError(f"{flag}: {text!r} does not begin with the key of a taint")
    plain: dict[str, Any] = {"key": key, "operator": "Equal" if equals else "Exists"}
    if equals:
        plain["value"] = value
    return plain | ({"effect": effect} if effect else {})


def _from_json(text: str, flag: str) -> tuple[dict[str, Any], ...]:
    try:
        tolerations = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{flag} is not a JSON list: {error}") from error
    for each in tolerations:
        if not isinstance(each, Mapping) or not _NAMES.issuperset(each):
            raise ConfigError(
                f"{flag}: {json.dumps(each)} is not a toleration, an object with some of "
                f"{', '.join(sorted(_NAMES))}"
            )
    return tuple(tolerations)
