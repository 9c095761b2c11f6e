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

_REFERENCE = re.compile(r"env:([A-Za-z_]\w*)", re.ASCII)


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
