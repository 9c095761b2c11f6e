"""Keeps secrets among the reader parameters out of files, logs and messages.

The configuration of a job is written to its journal and sent to its workers. In place of a secret
it holds the name of an environment variable, `env:NAME`, which processes inherit from the one
that starts them. Users may write such references themselves, for any reader parameter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from elasticdl_like.errors import ConfigError

SECRET_PARAMS = frozenset({"access_id", "access_key", "security_token"})
"""The reader parameters that are taken for secrets, whatever the reader."""

HIDDEN = "…"
"""What stands in place of a secret, where people are shown what a job was asked to do."""

_REFERENCE = re.compile(r"env:([A-Za-z_]\w*)", re.ASCII)

_NAMES = (
    r"[\w-]{0,40}(?:access[_-]?id|access[_-]?key(?:_id)?|secret(?:[_-]?key)?|password|passwd|token|"
    r"api[_-]?key|credentials?|signature)"
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"""(\b{_NAMES}["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^;&"'}}\n]+)""", re.IGNORECASE
)
_PASSWORD = re.compile(r"(\w://[^/\s:@]*:)[^/\s]+(@)")


def given_openly(params: Mapping[str, Any]) -> list[str]:
    """Returns the names of the parameters that hold a secret, not a reference to one."""
    return sorted(
        name
        for name, value in params.items()
        if name in SECRET_PARAMS and value and not _REFERENCE.fullmatch(str(value))
    )


def hide_secrets(
    params: Mapping[str, Any], environment: MutableMapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns parameters with references in place of secrets, which go into the environment.

    Args:
        params: the reader parameters.
        environment: gets the secrets; the environment of this process by default.
    """
    variables = os.environ if environment is None else environment
    hidden = dict(params)
    for name in given_openly(params):
        variable = f"ELASTICDL_READER_{name.upper()}"
        variables[variable] = str(params[name])
        hidden[name] = f"env:{variable}"
    return hidden


def reveal_secrets(
    params: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns parameters with what references refer to in their place.

    Args:
        params: the reader parameters.
        environment: the environment variables; those of this process by default.

    Raises:
        ConfigError: a variable is not set.
    """
    variables = os.environ if environment is None else environment
    revealed = dict(params)
    for name, value in params.items():
        reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if reference is None:
            continue
        if reference[1] not in variables:
            raise ConfigError(
                f"the reader parameter {name} is kept in the environment variable {reference[1]}, "
                "which is not set here; set it for the master and for every worker"
            )
        revealed[name] = variables[reference[1]]
    return revealed


def referenced_variables(params: Mapping[str, Any]) -> list[str]:
    """Returns the environment variables that parameters refer to, sorted."""
    references = (
        _REFERENCE.fullmatch(value) for value in params.values() if isinstance(value, str)
    )
    return sorted({reference[1] for reference in references if reference})


def without_secrets(plain: Any) -> Any:
    """Returns a JSON value to be shown to people, with `HIDDEN` in place of secrets.

    Those are the values whose names say so, and the passwords in URLs. References stay: they tell
    where a secret is, and not what it is.
    """
    return _without_secrets("", plain)


def text_without_secrets(text: str) -> str:
    """Returns a text to be shown to people, with `HIDDEN` in place of secrets in it.

    Those are values behind names that say so, as in `name=value` and `"name": "value"`, and the
    passwords in URLs.
    """
    text = _ASSIGNED.sub(
        lambda found: found[0] if _is_reference(found[2]) else f"{found[1]}{HIDDEN}", text
    )
    return _PASSWORD.sub(rf"\1{HIDDEN}\2", text)


def _without_secrets(name: str, value: Any) -> Any:
    if value and _SECRET_NAME.fullmatch(name):
        return value if _is_reference(str(value)) else HIDDEN
    if isinstance(value, Mapping):
        return {key: _without_secrets(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets("", each) for each in value]
    return text_without_secrets(value) if isinstance(value, str) else value


def _is_reference(text: str) -> bool:
    return _REFERENCE.fullmatch(text.strip().strip("\"'")) is not None
