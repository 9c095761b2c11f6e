"""Flags of ElasticDL that do nothing here but say what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, Verdict
from elasticdl_like.cli.flag import Command, together
from elasticdl_like.errors import ConfigError


def elasticdl_flags(flags: Iterable[ElasticdlFlag]) -> Callable[[Command], Command]:
    """Returns hidden flags, one for each that does not work: it is refused, or warned about."""
    return together(*(_hidden(flag) for flag in flags if flag.verdict is not Verdict.WORKS))


def _hidden(flag: ElasticdlFlag) -> Callable[[Command], Command]:
    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is None or context.resilient_parsing:
            return
        match flag.verdict_of(value):
            case Verdict.REFUSED:
                raise ConfigError(flag.message)
            case Verdict.WARNING:
                click.echo(f"elasticdl: warning: {flag.message}", err=True)

    boolean: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if flag.is_boolean else {}
    return click.option(
        flag.name,
        f"elasticdl_{flag.name.lstrip('-')}",
        hidden=True,
        expose_value=False,
        callback=check,
        default=None,
        **boolean,
    )
