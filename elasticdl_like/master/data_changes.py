"""What differs between the shards that a job began with and those that are there now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from elasticdl_like.tasks import Shard

_SHOWN = 3


@dataclass(frozen=True)
class DataChange:
    """How two tables of shards differ; every tuple is empty when they do not.

    Attributes:
        added: names of shards that are there now only.
        removed: names of shards that were there before.
        resized: names of shards with other records.
        description: all of it in words; "" for no difference.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    resized: tuple[str, ...]
    description: str

    def __bool__(self) -> bool:
        return bool(self.description)


def compare_shards(before: Sequence[Shard], now: Sequence[Shard]) -> DataChange:
    """Returns how the shards of a data set have changed."""
    old = {shard.name: shard for shard in before}
    new = {shard.name: shard for shard in now}
    added = tuple(name for name in new if name not in old)
    removed = tuple(name for name in old if name not in new)
    resized = tuple(name for name in old if name in new and old[name] != new[name])
    parts = []
    for verb, names in (("added", added), ("removed", removed)):
        if names:
            parts.append(f"{len(names)} {verb} ({_some(names)})")
    if resized:
        described = [
            f"{name!r}: records {old[name].first} to {old[name].end} then, "
            f"{new[name].first} to {new[name].end} now"
            for name in resized[:_SHOWN]
        ]
        parts.append(f"{len(resized)} changed ({'; '.join(described)})")
    return DataChange(added, removed, resized, ", ".join(parts))


def fingerprint(shards: Sequence[Shard]) -> str:
    """Returns the SHA-256 of a table of shards, in hexadecimal."""
    plain = [(shard.name, shard.first, shard.count) for shard in shards]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (", …" if len(names) > _SHOWN else "")
