"""The reader contract: what a data source must be able to do.

A reader is deterministic: the same version of the source gives the same shards in the master
and in every worker, and a range of a shard always holds the same records in the same order. It is
constructed once for each data set and process, and used by one thread at a time, which need not be
the one that constructed it. It never yields
fewer or more records than asked for in silence; empty records are records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import Task
from elasticdl_like.time_spent import TimeSpent

RecordBatch = Sequence[Any] | dict[str, NDArray[Any]]
"""Records in their order: a list of records, or a dict of equally long columns."""


@dataclass(frozen=True)
class Metadata:
    """What a reader knows of its columns; handed to `feed` and `feed_batch`."""

    column_names: tuple[str, ...] = ()
    column_dtypes: Mapping[str, np.dtype[Any]] = field(default_factory=dict)


class AbstractDataReader(ABC):
    """Base class of a data reader; the two abstract methods are all that a user must write.

    A reader is called as `Reader(data_origin=…, records_per_task=…, **params)` with just those of
    the arguments that its signature names (all of them when it takes `**kwargs`); `params` are
    those of `--custom_data_reader_params`.

    Attributes:
        kwargs: what the constructor was given.
        time_spent: measures what reading takes; a reader may measure `Activity.DECODING` with it.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.time_spent = TimeSpent()

    @abstractmethod
    def create_shards(self) -> Mapping[str, tuple[int, int]]:
        """Returns `{shard name: (index of its first record, number of its records)}`.

        `{name: number of records}` and a list of `(name, first, number)` are understood as well.
        Called once a job, in the master.
        """

    @abstractmethod
    def read_records(self, task: Task) -> Iterator[Any]:
        """Yields the records `task.start` to `task.end` (exclusive) of shard `task.shard_name`.

        Called in the workers, any number of times, in any order of tasks.
        """

    def version(self, shard_name: str) -> str:
        """Returns what tells this version of a shard's records from any other, or "".

        The size and time of a file, say. Called in the master, after `create_shards`, as the next
        three are. Workers get it as `task.version`, and a job that goes on compares it.
        """
        return ""

    def locator(self, shard_name: str) -> bytes:
        """Returns what workers need to find the records of a shard, which get it as `task.locator`.

        A session id, say. It travels with every lease, so it should not be long.
        """
        return b""

    def natural_splits(self, shard_name: str) -> Sequence[int]:
        """Returns the indices, ascending, at which a shard is cut into groups of records.

        Groups that can only be read as a whole, say. No task has parts of two groups; tasks of one
        group are leased one after the other, and shuffling stays inside it.
        """
        return ()

    def sparse_index(self, shard_name: str) -> SparseIndex | None:
        """Returns where the records of a shard are in a file; a worker gets the part it needs."""
        return None

    @property
    def output_signature(self) -> Any:
        """The type of one record: a dtype, or a tuple or dict of them.

        A dtype is a NumPy or TensorFlow dtype, its name, or a `tf.TensorSpec`. An older name of
        this property, `records_output_types`, is understood as well.
        """
        return "string"

    @property
    def metadata(self) -> Metadata:
        """What is known of the columns."""
        return Metadata()


class BatchDataReader(AbstractDataReader):
    """Base class of a reader that yields batches.

    One Python call for each record is two orders of magnitude slower than one for each batch, so
    the built-in readers are of this kind.

    Attributes:
        reads_in_parallel: whether several threads may read at once, each another task.
    """

    reads_in_parallel = False

    @abstractmethod
    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        """Yields the records of the task, in their order, in batches of any size."""

    def read_records(self, task: Task) -> Iterator[Any]:
        """Yields the records one by one; one of a batch of columns is a tuple in column order."""
        for batch in self.read_record_batches(task):
            if isinstance(batch, dict):
                yield from zip(*batch.values(), strict=True)
            else:
                yield from batch
