"""Which partitions of a table are read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elasticdl_like.errors import ConfigError, DataError

_SHOWN = 5

Partition = Mapping[str, str]
"""The values of partition columns, by their names, in the order of the table."""


def parse_partitions(given: Any) -> tuple[Partition, ...]:
    """Reads the reader parameter `partition`.

    Args:
        given: `ds=20260101,hh=01`, with `,` or `/` in between; or a list of these.

    Raises:
        ConfigError: it is something else.
    """
    specs = given if isinstance(given, list | tuple) else [given] if given else []
    return tuple(_parsed(spec) for spec in specs)


def _parsed(spec: Any) -> Partition:
    pairs = [part.partition("=") for part in str(spec).replace("/", ",").split(",")]
    parsed = {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
    if (
        not isinstance(spec, str)
        or len(parsed) < len(pairs)
        or not all(name and value for name, value in parsed.items())
    ):
        raise ConfigError(
            f"the reader parameter partition is {spec!r}; a partition is written "
            "'ds=20260101,hh=01', and several are a list of these"
        )
    return parsed


def check_partition_columns(
    wanted: Iterable[Partition], columns: Sequence[str], table: str
) -> None:
    """Checks that the wanted partitions are by columns that the table is partitioned by.

    Raises:
        ConfigError: they are not.
    """
    for partition in wanted:
        for name in partition:
            if not columns:
                raise ConfigError(
                    f"the reader parameter partition names {name!r}, but {table} has no "
                    "partitions; leave it out"
                )
            if name not in columns:
                raise ConfigError(
                    f"the reader parameter partition names {name!r}, but {table} is partitioned "
                    f"by {', '.join(columns)}"
                )


def chosen_partitions(
    existing: Sequence[Partition], wanted: Sequence[Partition], table: str
) -> list[Partition]:
    """Returns the partitions that are wanted, each once; all of them if none is named.

    Args:
        existing: the partitions of the table.
        wanted: what partitions have to agree with; each of these must be there.
        table: its name, for messages.

    Raises:
        DataError: one that is wanted is not there.
    """
    if not wanted:
        return list(existing)
    for partition in wanted:
        if not any(_agrees(each, partition) for each in existing):
            raise DataError(
                f"{table} has no partition {partition_text(partition)}; "
                + _what_is_there(existing, partition)
            )
    return [each for each in existing if any(_agrees(each, partition) for partition in wanted)]


def partition_text(partition: Partition, separator: str = ",") -> str:
    """Returns a partition as `ds=20260101,hh=01`."""
    return separator.join(f"{name}={value}" for name, value in partition.items())


def _agrees(partition: Partition, wanted: Partition) -> bool:
    return all(partition[name] == value for name, value in wanted.items())


def _what_is_there(existing: Sequence[Partition], wanted: Partition) -> str:
    if not existing:
        return "it has no partitions at all"
    # As many columns of each as were asked for, so that a prefix is compared to prefixes.
    names = list(
        dict.fromkeys(
            partition_text({name: each[name] for name in each if name in wanted})
            for each in existing
        )
    )
    near = difflib.get_close_matches(partition_text(wanted), names, _SHOWN, 0.0)
    more = f", and {len(names) - len(near)} more" if len(names) > len(near) else ""
    return f"there is {', '.join(near)}{more}"
