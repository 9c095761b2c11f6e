"""A flag of a command, and the environment variable of the same name.

Each flag `--some_flag` can also be set by the environment variable `ELASTICDL_SOME_FLAG`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """Returns a flag that has an environment variable of the same name as well."""
    name = next(each for each in names if each.startswith("--")).split("/")[0].lstrip("-")
    return click.option(
        *names,
        envvar=f"ELASTICDL_{name.upper()}",
        show_envvar=True,
        show_default=attributes.get("default") not in (None, ""),
        **attributes,
    )


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Returns all of the flags as one decorator, in the order that the help shows."""

    def decorate(command: Command) -> Command:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate
