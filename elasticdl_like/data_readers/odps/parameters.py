"""Checks of the reader parameters, before anything is asked of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.data_readers.odps.ranges import Mode
from elasticdl_like.errors import ConfigError


def checked_location(data_origin: str, table: str) -> OdpsLocation:
    """Returns the table that the data origin names, or else the parameter `table`.

    Raises:
        ConfigError: they name none, or two.
    """
    if not table:
        return OdpsLocation.parse(data_origin)
    named = OdpsLocation.parse(table)
    if data_origin and OdpsLocation.parse(data_origin).table != named.table:
        raise ConfigError(
            f"the reader parameter table is {table!r}, but the data is {data_origin!r}; leave the "
            "parameter out, because it would hold for training and validation data alike"
        )
    return OdpsLocation.parse(data_origin) if data_origin else named


def checked_names(parameter: str, names: Any) -> tuple[str, ...]:
    """Returns a list of different names.

    Raises:
        ConfigError: it is something else.
    """
    if (
        not isinstance(names, list | tuple)
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
        or (parameter == "columns" and not names)
    ):
        raise ConfigError(
            f"the reader parameter {parameter} is {names!r}; it is a list of different column "
            f"names, such as {parameter}=['x', 'y']"
        )
    return tuple(names)


def checked_mapping(parameter: str, values: Any) -> Mapping[str, Any]:
    """Returns values by column.

    Raises:
        ConfigError: it is something else, or an array size is no number of numbers.
    """
    if values is None:
        return {}
    is_mapping = isinstance(values, Mapping)
    if not is_mapping or (
        parameter == "array_sizes"
        and not all(type(size) is int and size > 0 for size in values.values())
    ):
        raise ConfigError(
            f"the reader parameter {parameter} is {values!r}; it has a value for each column, such "
            f"as {parameter}={{'x': 1}}"
        )
    mapping: Mapping[str, Any] = values
    return mapping


def checked_number(parameter: str, value: Any) -> float:
    """Returns a number above 0.

    Raises:
        ConfigError: it is something else.
    """
    whole = parameter == "num_threads"
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else int | float)
        or value <= 0
    ):
        raise ConfigError(
            f"the reader parameter {parameter} is {value!r}; it is a "
            f"{'whole ' if whole else ''}number above 0"
        )
    return float(value)


def checked_mode(mode: str) -> Mode:
    """Returns the form in which records come.

    Raises:
        ConfigError: there is no such form.
    """
    try:
        return Mode(mode)
    except ValueError:
        raise ConfigError(
            f"the reader parameter mode is {mode!r}; it is 'arrow' or 'record'"
        ) from None
