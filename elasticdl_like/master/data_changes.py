"""What differs between the shards that a job began with and those that are there now."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from elasticdl_like.master.shard_codec import shards_to_plain, without_locations
from elasticdl_like.tasks import Shard

_SHOWN = 3


@dataclass(frozen=True)
class DataChange:
    """How two tables of shards differ; every tuple is empty when they do not.

    Attributes:
        added: names of shards that are there now only.
        removed: names of shards that were there before.
        changed: names of shards with other records.
        description: all of it in words; "" for no difference.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    description: str

    def __bool__(self) -> bool:
        return bool(self.description)


def compare_shards(before: Sequence[Shard], now: Sequence[Shard]) -> DataChange:
    """Returns how the shards of a data set have changed.

    Versions count only where both are known. Where the records are to be found does not count.
    """
    old, new = _by_name(before), _by_name(now)
    added = tuple(name for name in new if name not in old)
    removed = tuple(name for name in old if name not in new)
    differences = {
        name: _difference(old[name], new[name])
        for name in old
        if name in new and old[name] != new[name]
    }
    differences = {name: difference for name, difference in differences.items() if difference}
    parts = []
    for verb, names in (("added", added), ("removed", removed)):
        if names:
            parts.append(f"{len(names)} {verb} ({_some(names)})")
    if differences:
        described = [f"{name!r}: {differences[name]}" for name in list(differences)[:_SHOWN]]
        parts.append(f"{len(differences)} changed ({'; '.join(described)})")
    return DataChange(added, removed, tuple(differences), ", ".join(parts))


def fingerprint(shards: Sequence[Shard]) -> str:
    """Returns the SHA-256 of a table of shards, in hexadecimal."""
    return hashlib.sha256(
        json.dumps(shards_to_plain(without_locations(shards))).encode()
    ).hexdigest()


def _by_name(shards: Sequence[Shard]) -> dict[str, list[Shard]]:
    """Returns the runs of records of each shard, in their order."""
    by_name: dict[str, list[Shard]] = defaultdict(list)
    for shard in shards:
        by_name[shard.name].append(shard)
    for runs in by_name.values():
        runs.sort(key=lambda run: run.first)
    return by_name


def _difference(old: Sequence[Shard], new: Sequence[Shard]) -> str:
    """Returns how the runs of one shard have changed, or ""."""
    if [(run.first, run.count) for run in old] != [(run.first, run.count) for run in new]:
        return f"records {_runs(old)} then, {_runs(new)} now"
    for before, now in zip(old, new, strict=True):
        if before.version and now.version and before.version != now.version:
            return f"{before.version} then, {now.version} now"
        if list(before.splits) != list(now.splits):
            return "its records are grouped in another way"
    return ""


def _runs(runs: Sequence[Shard]) -> str:
    return ", ".join(f"{run.first} to {run.end}" for run in runs)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (", …" if len(names) > _SHOWN else "")
