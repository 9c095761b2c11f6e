"""Reads tasks through any reader, built in or a user's, and checks what comes out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.base import BatchDataReader, RecordBatch
from elasticdl_like.data_readers.equal_records import join_records
from elasticdl_like.data_readers.shard_details import describe_shards
from elasticdl_like.data_readers.shards import normalise_shards
from elasticdl_like.errors import ElasticdlError, ReaderError, RecordCountError
from elasticdl_like.tasks import Shard, Task

_RECORDS_PER_BATCH = 2048
_ASSUMED_RECORD_BYTES = 256
_SAMPLED_RECORDS = 64


class DataReader(Protocol):
    """What is needed of a reader; its class need not be derived from `AbstractDataReader`.

    It may have the other methods of that class as well.
    """

    def create_shards(self) -> Any:
        """Returns the table of shards."""

    def read_records(self, task: Task) -> Iterator[Any]:
        """Yields the records of a task."""


def batch_size(batch: RecordBatch) -> int:
    """Returns the number of records in a batch."""
    if isinstance(batch, dict):
        return len(next(iter(batch.values()), ()))
    return len(batch)


def batch_bytes(batch: RecordBatch) -> int:
    """Returns about how many bytes the records of a batch take up, from a sample of them."""
    if isinstance(batch, dict):
        return sum(
            _sum_of_lengths(column) if column.dtype.hasobject else column.nbytes
            for column in batch.values()
        )
    return _sum_of_lengths(batch)


def _sum_of_lengths(values: Sequence[Any] | NDArray[Any]) -> int:
    # Adding up thousands of lengths would take a good part of the time of decoding them.
    sample = values[:: len(values) // _SAMPLED_RECORDS + 1]
    try:
        return sum(map(len, sample)) * len(values) // max(len(sample), 1)
    except TypeError:
        return _ASSUMED_RECORD_BYTES * len(values)


def slice_batch(batch: RecordBatch, start: int, end: int) -> RecordBatch:
    """Returns the records `start` to `end` (exclusive) of a batch."""
    if isinstance(batch, dict):
        return {name: column[start:end] for name, column in batch.items()}
    return batch[start:end]


def join_batches(batches: Sequence[RecordBatch]) -> RecordBatch:
    """Returns one batch of all records; all batches are of one kind, and there is at least one."""
    first = batches[0]
    if len(batches) == 1:
        return first
    if isinstance(first, dict):
        return {
            name: np.concatenate([batch[name] for batch in batches])  # type: ignore[call-overload]
            for name in first
        }
    return join_records(batches)  # type: ignore[arg-type]


def list_shards(reader: DataReader) -> tuple[Shard, ...]:
    """Returns the shards of a reader's data set, normalised and sorted.

    Raises:
        ShardTableError: `create_shards` did not return a table of shards.
        ReaderError: it raised an exception.
        DataError: a built-in reader could not find or read the data.
    """
    name = type(reader).__name__
    try:
        table = reader.create_shards()
    except ElasticdlError:
        raise
    except Exception as error:
        raise ReaderError(
            f"{name}.create_shards() raised {type(error).__name__}: {error}"
        ) from error
    return describe_shards(reader, normalise_shards(table, name))


def read_task(reader: DataReader, task: Task) -> Iterator[RecordBatch]:
    """Yields the records of a task in batches, exactly `task.size` of them.

    Raises:
        RecordCountError: the reader yielded too few or too many.
        ReaderError: the reader raised an exception, or a batch has columns of several lengths.
        DataError: a built-in reader could not read the data.
    """
    delivered = 0
    for batch in _guarded_batches(reader, task):
        size = _checked_size(batch, reader, task)
        delivered += size
        if delivered > task.size:
            raise RecordCountError(
                f"{type(reader).__name__} yielded more than the {task.size} records it was asked "
                f"for: {task}"
            )
        if size:
            yield batch
    if delivered < task.size:
        raise RecordCountError(
            f"{type(reader).__name__} yielded {delivered} records instead of {task.size}: {task}"
        )


def _checked_size(batch: RecordBatch, reader: DataReader, task: Task) -> int:
    if isinstance(batch, dict):
        lengths = {name: len(column) for name, column in batch.items()}
        if len(set(lengths.values())) != 1:
            raise ReaderError(
                f"{type(reader).__name__} yielded a batch whose columns differ in length, "
                f"{lengths}, while reading {task}"
            )
    return batch_size(batch)


def _batches(reader: DataReader, task: Task) -> Iterator[RecordBatch]:
    if isinstance(reader, BatchDataReader):
        return reader.read_record_batches(task)
    records = iter(reader.read_records(task))
    # One record more than asked for is enough to see that there are too many.
    bounded = itertools.islice(records, task.size + 1)
    return iter(lambda: list(itertools.islice(bounded, _RECORDS_PER_BATCH)), [])


def _guarded_batches(reader: DataReader, task: Task) -> Iterator[RecordBatch]:
    try:
        yield from _batches(reader, task)
    except ElasticdlError:
        raise
    except Exception as error:
        raise ReaderError(
            f"{type(reader).__name__} raised {type(error).__name__}: {error}, while reading {task}"
        ) from error
