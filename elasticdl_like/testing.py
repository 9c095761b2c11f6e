"""Checks for code that users write against elasticdl, to be called from their own tests."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from elasticdl_like.data_readers.base import BatchDataReader, RecordBatch
from elasticdl_like.data_readers.places import task_of
from elasticdl_like.data_readers.reading import DataReader, list_shards, read_task
from elasticdl_like.errors import ElasticdlError, PermanentError
from elasticdl_like.tasks import Shard, Task

_MAX_SHARDS = 4
_MAX_RECORDS = 1000  # of the beginning, and again of the end, of a shard
_PIECES = 7


class ContractError(PermanentError):
    """A data reader does not do what the reader contract asks of it."""


def check_data_reader(make_reader: Callable[[], DataReader]) -> None:
    """Checks that a data reader keeps the reader contract.

    The shards are the same each time, with their versions, splits and indexes; a range of a shard
    holds exactly the records that it should, the same ones however the shard is cut into ranges,
    in whatever order and by whichever instance they are read, and whether or not a task brings
    the version and the index of its shard; batches and single records agree. Of a large data set
    only a part is read: at most 1000 records from each end of a few shards.

    Args:
        make_reader: constructs the reader, each time anew, as master and workers would.

    Raises:
        ContractError: the reader breaks the contract; the message says in which way.
    """
    shards = _checked_shards(make_reader)
    chosen = shards if len(shards) <= _MAX_SHARDS else (*shards[: _MAX_SHARDS - 1], shards[-1])
    # Never asked for its shards: only the master's reader is.
    reader = _made(make_reader)
    expected = []
    for task in itertools.chain.from_iterable(map(_ends, chosen)):
        records = _read(reader, task)
        expected.append((task, records))
        _check_ranges(reader, task, records)
        _compare(reader, _by_hand(task), task, records, "without its version and index")
        if isinstance(reader, BatchDataReader):
            _check_single_records(reader, task, records)
    # Another worker, which gets other tasks first.
    other = _made(make_reader)
    for task, records in reversed(expected):
        _compare(other, task, task, records, "by another instance of the reader")
    _check_order_of_tasks(other, expected)


def _made(make_reader: Callable[[], DataReader]) -> DataReader:
    try:
        reader = make_reader()
    except Exception as error:
        raise ContractError(
            f"the reader cannot be made: {type(error).__name__}: {error}"
        ) from error
    for method in ("create_shards", "read_records"):
        if not callable(getattr(reader, method, None)):
            raise ContractError(f"{type(reader).__name__} has no method {method}")
    return reader


def _checked_shards(make_reader: Callable[[], DataReader]) -> tuple[Shard, ...]:
    reader = _made(make_reader)
    name = type(reader).__name__
    try:
        shards = list_shards(reader)
        again = list_shards(reader)
        elsewhere = list_shards(_made(make_reader))
    except ContractError:
        raise
    except ElasticdlError as error:
        raise ContractError(str(error)) from error
    for found, how in ((again, "when called again"), (elsewhere, "in another instance")):
        extents, others = _extents(shards), _extents(found)
        if extents != others:
            raise ContractError(
                f"{name}.create_shards() is not deterministic: it returned other shards {how}; "
                f"first {_difference(extents, others)}, then {_difference(others, extents)}"
            )
        for shard, other in zip(shards, found, strict=True):
            _check_details(name, shard, other, how)
    return shards


def _check_details(name: str, shard: Shard, other: Shard, how: str) -> None:
    """Compares what a reader says of a shard at two times; a locator may be another each time."""
    for method, first, then in (
        ("version", shard.version, other.version),
        ("natural_splits", list(shard.splits), list(other.splits)),
        ("sparse_index", shard.index, other.index),
    ):
        if first != then:
            raise ContractError(
                f"{name}.{method}({shard.name!r}) is not deterministic: it returned "
                f"{_shown(first)} first, and {_shown(then)} {how}"
            )
    index = shard.index
    if index is not None and not (
        all(left < right for left, right in itertools.pairwise(index.records))
        and all(left <= right for left, right in itertools.pairwise(index.offsets))
    ):
        raise ContractError(
            f"{name}.sparse_index({shard.name!r}) does not ascend: {_shown(index)}; both its "
            "records and its offsets do"
        )


_Extent = tuple[str, int, int]


def _extents(shards: tuple[Shard, ...]) -> list[_Extent]:
    return [(shard.name, shard.first, shard.end) for shard in shards]


def _difference(extents: list[_Extent], others: list[_Extent]) -> str:
    for name, first, end in extents:
        if (name, first, end) not in others:
            return f"{name!r} [{first}, {end})"
    return "nothing else"


def _ends(shard: Shard) -> Iterator[Task]:
    if shard.count <= _MAX_RECORDS:
        yield task_of(shard, shard.first, shard.end)
    else:
        yield task_of(shard, shard.first, shard.first + _MAX_RECORDS)
        yield task_of(shard, shard.end - _MAX_RECORDS, shard.end)


def _part(whole: Task, start: int, end: int) -> Task:
    """Returns the records `start` to `end` of a task, counted from its beginning."""
    return whole.part(whole.start + start, whole.start + end)


def _by_hand(task: Task) -> Task:
    """Returns a task without what spares the reader to look for itself."""
    return dataclasses.replace(task, version="", index=None)


def _pieces(whole: Task) -> list[Task]:
    """Cuts a task into about `_PIECES` tasks of one size, but for the last."""
    size = -(-whole.size // _PIECES)
    return [
        _part(whole, start, min(start + size, whole.size)) for start in range(0, whole.size, size)
    ]


def _check_ranges(reader: DataReader, whole: Task, expected: list[Any]) -> None:
    size, middle = whole.size, whole.size // 2
    _compare(reader, whole, whole, expected, "a second time")
    for start, end in (
        (0, 1),
        (size - 1, size),
        (middle, middle + 1),
        (0, max(middle, 1)),
        (middle, size),
        (size // 3, size // 3 + max(size // 3, 1)),
    ):
        _compare(reader, _part(whole, start, end), whole, expected, "alone")
    for start in (0, middle):
        _read(reader, _part(whole, start, start))


def _check_order_of_tasks(reader: DataReader, expected: list[tuple[Task, list[Any]]]) -> None:
    order = [(piece, whole, records) for whole, records in expected for piece in _pieces(whole)]
    random.Random(0).shuffle(order)
    for piece, whole, records in order:
        _compare(reader, piece, whole, records, "among other tasks")


def _check_single_records(reader: BatchDataReader, whole: Task, expected: list[Any]) -> None:
    name = type(reader).__name__
    for start, end in ((0, whole.size), (whole.size // 2, whole.size)):
        task = _part(whole, start, end)
        try:
            records = list(itertools.islice(reader.read_records(task), task.size + 1))
        except Exception as error:
            raise ContractError(
                f"{name}.read_records raised {type(error).__name__}: {error}, while reading {task}"
            ) from error
        if len(records) != task.size:
            raise ContractError(
                f"{name}.read_records yielded {len(records)} records or more where "
                f"read_record_batches yielded {task.size}: {task}"
            )
        for index, record in enumerate(records):
            if not _same(record, expected[start + index]):
                raise ContractError(
                    f"{name}: record {task.start + index} of shard {task.shard_name!r} is "
                    f"{_shown(record)} from read_records, but {_shown(expected[start + index])} "
                    "from read_record_batches"
                )


def _compare(reader: DataReader, task: Task, whole: Task, expected: list[Any], how: str) -> None:
    """Reads a part of a task, and checks it against what the whole held."""
    offset = task.start - whole.start
    for index, record in enumerate(_read(reader, task)):
        if not _same(record, expected[offset + index]):
            raise ContractError(
                f"{type(reader).__name__} is not deterministic, or mixes up ranges: record "
                f"{task.start + index} of shard {task.shard_name!r} is "
                f"{_shown(expected[offset + index])} when [{whole.start}, {whole.end}) is read, "
                f"but {_shown(record)} when [{task.start}, {task.end}) is read {how}"
            )


def _read(reader: DataReader, task: Task) -> list[Any]:
    records: list[Any] = []
    try:
        for batch in read_task(reader, task):
            records.extend(_records(batch))
    except ElasticdlError as error:
        raise ContractError(str(error)) from error
    return records


def _records(batch: RecordBatch) -> list[Any]:
    return list(zip(*batch.values(), strict=True)) if isinstance(batch, dict) else list(batch)


def _same(left: Any, right: Any) -> bool:
    """Returns whether two records are equal; NaN equals NaN here."""
    if isinstance(left, bytes | str) or isinstance(right, bytes | str):
        return bool(left == right)
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
            and left.keys() == right.keys()
            and all(_same(left[key], right[key]) for key in left)
        )
    if isinstance(left, list | tuple):
        return (
            isinstance(right, list | tuple)
            and len(left) == len(right)
            and all(map(_same, left, right))
        )
    if hasattr(left, "__array__"):
        return _same_array(np.asarray(left), np.asarray(right))
    return bool(left == right or (left != left and right != right))


def _same_array(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    if left.shape != right.shape:
        return False
    # Strings have as many characters in their dtype as the longest of their batch.
    if left.dtype != right.dtype and not left.dtype.kind == right.dtype.kind in "SU":
        return False
    return bool(np.all((left == right) | ((left != left) & (right != right))))


def _shown(record: Any) -> str:
    text = repr(record)
    return text if len(text) <= 80 else text[:77] + "..."
