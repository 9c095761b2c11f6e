"""The one place where a reader is asked what else it knows of its shards."""

from __future__ import annotations

import dataclasses
import itertools
import operator
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from elasticdl_like.errors import ElasticdlError, ReaderError, ShardTableError
from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import Shard

# A locator travels with each lease, and a lease should stay small beside its records.
MAX_LOCATOR_BYTES = 1 << 16


def describe_shards(reader: Any, shards: Iterable[Shard]) -> tuple[Shard, ...]:
    """Returns shards with their version, locator, splits and index, as far as the reader has them.

    Args:
        reader: has some of the optional methods of `AbstractDataReader`, or none.
        shards: several may have one name.

    Raises:
        ShardTableError: a method returned something that it should not.
        ReaderError: a method raised an exception.
    """
    described: list[Shard] = []
    for name, runs in itertools.groupby(shards, key=operator.attrgetter("name")):
        version = _checked(reader, "version", name, "", _as_version)
        locator = _checked(reader, "locator", name, b"", _as_locator)
        splits = _checked(reader, "natural_splits", name, (), _as_splits)
        index = _checked(reader, "sparse_index", name, None, _as_index)
        for run in runs:
            if index is not None and not index.holds(run.first, run.end):
                raise ShardTableError(
                    f"{type(reader).__name__}.sparse_index({name!r}) does not cover the records "
                    f"[{run.first}, {run.end})"
                )
            inside = array("q", (edge for edge in splits if run.first < edge < run.end))
            described.append(
                dataclasses.replace(
                    run,
                    version=version,
                    locator=locator,
                    splits=inside or (),
                    index=index and index.covering(run.first, run.end),
                )
            )
    return tuple(described)


def _checked(
    reader: Any, method: str, shard_name: str, default: Any, convert: Callable[[Any], Any]
) -> Any:
    call = getattr(reader, method, None)
    if call is None:
        return default
    described = f"{type(reader).__name__}.{method}({shard_name!r})"
    try:
        value = call(shard_name)
    except ElasticdlError:
        raise
    except Exception as error:
        raise ReaderError(f"{described} raised {type(error).__name__}: {error}") from error
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShardTableError(f"{described} returned {str(value)[:80]!r}: {error}") from None


def _as_version(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a version is a string")
    return value


def _as_locator(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) > MAX_LOCATOR_BYTES:
        raise TypeError(f"a locator is bytes, at most {MAX_LOCATOR_BYTES} of them")
    return value


def _as_splits(value: Iterable[Any]) -> Sequence[int]:
    splits = array("q", map(operator.index, value))
    if any(left >= right for left, right in itertools.pairwise(splits)):
        raise ValueError("splits ascend")
    return splits


def _as_index(value: Any) -> SparseIndex | None:
    if value is not None and not isinstance(value, SparseIndex):
        raise TypeError("an index is a SparseIndex or None")
    return value
