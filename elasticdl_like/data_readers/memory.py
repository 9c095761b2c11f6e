"""Data readers for what is in memory, or made by a function: for tests and for small data.

They take Python objects, so they are made in a model definition file:

    def custom_data_reader(data_origin):
        with np.load(data_origin) as arrays:
            return ArrayDataReader({"x": arrays["x"], "y": arrays["y"]})
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.base import BatchDataReader, Metadata, RecordBatch
from elasticdl_like.errors import ConfigError
from elasticdl_like.tasks import Task

_RECORDS_PER_BATCH = 2048


class ArrayDataReader(BatchDataReader):
    """Reads arrays, or a list of records.

    Args:
        records: columns of equal length, `{name: array}`; one array, of which each row is a record;
            or a list of bytes.
        shard_size: the records are cut into shards of so many, the last may be smaller; by default
            there is one.

    Raises:
        ConfigError: the columns differ in length, or `shard_size` is below 1.
    """

    reads_in_parallel = True

    def __init__(
        self,
        records: Mapping[str, Any] | NDArray[Any] | Sequence[bytes],
        shard_size: int | None = None,
    ) -> None:
        super().__init__()
        self._records: dict[str, NDArray[Any]] | NDArray[Any] | Sequence[bytes]
        if isinstance(records, Mapping):
            self._records = {name: np.asarray(column) for name, column in records.items()}
            lengths = {name: len(column) for name, column in self._records.items()}
            if len(set(lengths.values())) != 1:
                raise ConfigError(f"the columns must be of one length, at least one; got {lengths}")
            self._count = next(iter(lengths.values()))
        else:
            self._records = records
            self._count = len(records)
        self._shards = _shards(self._count, shard_size)

    @property
    def output_signature(self) -> Any:
        """The types of the columns, or of the rows."""
        if isinstance(self._records, dict):
            return {name: _type_of_row(column) for name, column in self._records.items()}
        if isinstance(self._records, np.ndarray):
            return _type_of_row(self._records)
        return "string"

    @property
    def metadata(self) -> Metadata:
        """The columns, if there are any."""
        if not isinstance(self._records, dict):
            return Metadata()
        dtypes = {name: column.dtype for name, column in self._records.items()}
        return Metadata(tuple(dtypes), dtypes)

    def create_shards(self) -> dict[str, tuple[int, int]]:
        """Returns the shards `records-0`, `records-1`, …, through which record numbers go on."""
        return self._shards

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        """Yields the records of the task as one batch, which shares the memory of the arrays."""
        if isinstance(self._records, dict):
            yield {name: column[task.start : task.end] for name, column in self._records.items()}
        else:
            yield list(self._records[task.start : task.end])


class GeneratorDataReader(BatchDataReader):
    """Reads what a function makes, synthetic data for instance.

    Args:
        make_records: called with `start` and `end`, returns the records `[start, end)` in their
            order, one by one. The same numbers must give the same records each time, in every
            process.
        count: the number of records.
        output_signature: the type of a record, as that of any reader.
        shard_size: the records are cut into shards of so many, the last may be smaller; by default
            there is one.

    Raises:
        ConfigError: `count` or `shard_size` is below 1.
    """

    def __init__(
        self,
        make_records: Callable[[int, int], Iterable[Any]],
        count: int,
        output_signature: Any = "string",
        shard_size: int | None = None,
    ) -> None:
        super().__init__()
        if count < 1:
            raise ConfigError(f"count={count}: give the number of records, at least 1")
        self._make_records = make_records
        self._output_signature = output_signature
        self._shards = _shards(count, shard_size)

    @property
    def output_signature(self) -> Any:
        """What the constructor was given."""
        return self._output_signature

    def create_shards(self) -> dict[str, tuple[int, int]]:
        """Returns the shards `records-0`, `records-1`, …, through which record numbers go on."""
        return self._shards

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        """Yields the records of the task in batches of at most 2048."""
        records = iter(self._make_records(task.start, task.end))
        while batch := list(itertools.islice(records, _RECORDS_PER_BATCH)):
            yield batch


def _shards(count: int, shard_size: int | None) -> dict[str, tuple[int, int]]:
    if shard_size is None:
        shard_size = max(count, 1)
    if shard_size < 1:
        raise ConfigError(f"shard_size={shard_size}: no record fits; give a number of at least 1")
    starts = range(0, count, shard_size)
    # As many digits in each, so that their order is that of the records.
    digits = len(str(len(starts) - 1))
    return {
        f"records-{number:0{digits}}": (start, min(shard_size, count - start))
        for number, start in enumerate(starts)
    }


def _type_of_row(column: NDArray[Any]) -> Any:
    dtype = np.dtype(object) if column.dtype.kind in "SU" else column.dtype
    return np.dtype((dtype, column.shape[1:]))
