"""The one place where what a user's `create_shards` returns is turned into shards."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping
from typing import Any

from elasticdl_like.errors import ShardTableError
from elasticdl_like.tasks import Shard

_EXPECTED = (
    "expected {name: (first index, number of records)}, {name: number of records} "
    "or a list of (name, first index, number of records)"
)


def normalise_shards(table: Any, reader_name: str) -> tuple[Shard, ...]:
    """Returns the shards of a data set, sorted by name and first index.

    Shards without records are left out. Several shards may have one name when their ranges do
    not overlap.

    Args:
        table: what `create_shards` returned.
        reader_name: the reader's class, for the error message.

    Raises:
        ShardTableError: the table is none of the accepted forms, holds a negative or fractional
            number or overlapping ranges, or has no record at all.
    """
    shards = sorted(
        (_shard(entry, reader_name) for entry in _entries(table, reader_name)),
        key=lambda shard: (shard.name, shard.first),
    )
    shards = [shard for shard in shards if shard.count]
    if not shards:
        raise ShardTableError(
            f"{reader_name}.create_shards() found no records; "
            "check the data origin and the reader's parameters"
        )
    for left, right in itertools.pairwise(shards):
        if left.name == right.name and right.first < left.end:
            raise ShardTableError(
                f"{reader_name}.create_shards() returned overlapping ranges of shard "
                f"{left.name!r}: [{left.first}, {left.end}) and [{right.first}, {right.end})"
            )
    return tuple(shards)


def _entries(table: Any, reader_name: str) -> Iterable[tuple[Any, Any]]:
    if isinstance(table, Mapping):
        return table.items()
    if isinstance(table, list | tuple):
        return [_split_entry(entry, reader_name) for entry in table]
    raise ShardTableError(f"{reader_name}.create_shards() returned {_shown(table)}; {_EXPECTED}")


def _split_entry(entry: Any, reader_name: str) -> tuple[Any, Any]:
    if isinstance(entry, list | tuple) and len(entry) in (2, 3):
        return entry[0], entry[1] if len(entry) == 2 else tuple(entry[1:])
    raise ShardTableError(
        f"{reader_name}.create_shards() returned the entry {_shown(entry)}; {_EXPECTED}"
    )


def _shard(entry: tuple[Any, Any], reader_name: str) -> Shard:
    name, extent = entry
    if not isinstance(name, str):
        raise ShardTableError(
            f"{reader_name}.create_shards() returned the shard name {_shown(name)}; "
            "a name is a string"
        )
    bounds = extent if isinstance(extent, list | tuple) else (0, extent)
    try:
        if any(isinstance(bound, bool) for bound in bounds):
            raise TypeError("True and False are not counts")
        first, count = (operator.index(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise ShardTableError(
            f"{reader_name}.create_shards() returned {_shown(extent)} for shard {name!r}; "
            f"{_EXPECTED}"
        ) from None
    if first < 0 or count < 0 or first + count >= 1 << 63:
        raise ShardTableError(
            f"{reader_name}.create_shards() returned first index {first} and {count} records for "
            f"shard {name!r}; both must be 0 or more, and their sum below 2**63"
        )
    return Shard(name, first, count)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"
