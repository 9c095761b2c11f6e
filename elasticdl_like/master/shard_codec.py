"""Tables of shards as JSON, for the journal, checkpoints and fingerprints."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import Shard


def shards_to_plain(shards: Iterable[Shard]) -> list[list[Any]]:
    """Returns shards as JSON: what they are called in `Shard`, in that order, the rest in base 64.

    Fields at the end that have their default are left out.
    """
    return [_to_plain(shard) for shard in shards]


def shards_from_plain(plain: Iterable[Sequence[Any]]) -> list[Shard]:
    """Returns the shards of what `shards_to_plain` returned.

    Raises:
        TypeError, ValueError: it is something else.
    """
    return [_from_plain(*each) for each in plain]


def without_locations(shards: Iterable[Shard]) -> list[Shard]:
    """Returns shards without what only helps to find their records."""
    return [dataclasses.replace(shard, locator=b"", index=None) for shard in shards]


def _to_plain(shard: Shard) -> list[Any]:
    plain = [
        shard.name,
        shard.first,
        shard.count,
        shard.version,
        _encoded(_splits_to_bytes(shard.splits)),
        _encoded(shard.locator),
        _encoded(b"" if shard.index is None else shard.index.to_bytes()),
    ]
    while plain[-1] == "":
        plain.pop()
    return plain


def _from_plain(
    name: str,
    first: int,
    count: int,
    version: str = "",
    splits: str = "",
    locator: str = "",
    index: str = "",
) -> Shard:
    return Shard(
        name,
        first,
        count,
        version,
        base64.b64decode(locator),
        _splits_from_bytes(base64.b64decode(splits)),
        SparseIndex.from_bytes(base64.b64decode(index)) if index else None,
    )


def _encoded(body: bytes) -> str:
    return base64.b64encode(body).decode("ascii")


def _splits_to_bytes(splits: Sequence[int]) -> bytes:
    if not len(splits):
        return b""
    deltas = np.diff(np.array(splits, np.int64), prepend=0)
    return zlib.compress(deltas.astype("<i8").tobytes(), 1)


def _splits_from_bytes(body: bytes) -> Sequence[int]:
    if not body:
        return ()
    return array(
        "q", np.cumsum(np.frombuffer(zlib.decompress(body), "<i8"), dtype=np.int64).tobytes()
    )
