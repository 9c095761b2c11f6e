"""The command that goes on with a job, for people to copy."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from elasticdl_like.secret_params import text_without_secrets

_OVERWRITE = "--overwrite"
_OVERWRITE_VARIABLE = "ELASTICDL_OVERWRITE"


def resume_command() -> str:
    """Returns the running command as one types it to go on with its job, without secrets."""
    context = click.get_current_context()
    variables = {
        parameter.envvar: value
        for parameter in context.command.params
        if parameter.name is not None
        and context.get_parameter_source(parameter.name) is ParameterSource.ENVIRONMENT
        and isinstance(parameter.envvar, str)
        and (value := parameter.value_from_envvar(context)) is not None
    }
    return compose_command(sys.argv[1:], variables, Path.cwd())


def compose_command(arguments: Sequence[str], variables: Mapping[str, Any], directory: Path) -> str:
    """Returns a command that goes on with a job, for a shell.

    Args:
        arguments: those of the command `elasticdl` that runs.
        variables: the environment variables that it has taken flags from.
        directory: where it was started.
    """
    words = [
        f"{name}={shlex.quote(text_without_secrets(str(value)))}"
        for name, value in sorted(variables.items())
        if name != _OVERWRITE_VARIABLE
    ]
    words += ["elasticdl"]
    words += [shlex.quote(text_without_secrets(each)) for each in arguments if each != _OVERWRITE]
    return f"cd {shlex.quote(str(directory))} && {' '.join(words)}"
