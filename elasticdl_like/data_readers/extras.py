"""Packages that only some readers need, imported when they are."""

from __future__ import annotations

import importlib
from types import ModuleType

from elasticdl_like.errors import ConfigError


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Imports a module of an optional dependency.

    Args:
        module: the module, as in an import statement.
        extra: the extra of this package that installs it.
        what: what cannot be done without it, for the message: "reading Parquet".

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_extra(extra, what, error) from error


def missing_extra(extra: str, what: str, error: ImportError) -> ConfigError:
    """Returns the error for a package that is not installed."""
    return ConfigError(
        f"{what} needs a package more: pip install 'elasticdl-like[{extra}]' ({error})"
    )
