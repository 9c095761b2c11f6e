"""Reads leases: the records at their positions, in the order of the positions."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.equal_records import EqualRecords
from elasticdl_like.data_readers.reading import DataReader, join_batches, read_task
from elasticdl_like.ordering import position_order
from elasticdl_like.tasks import Lease, Task

# A task that is leased in parts is followed by the next one; a part of the former may come back.
_TASKS_KEPT = 2

# (shard, start, end, version)
_TaskName = tuple[str, int, int, str]


class LeaseReader:
    """Reads the leases of one data set.

    A task in random order that is larger than a lease comes in parts, one after the other, each
    with records from all over it. Its records are kept, so that they are read once for all parts.

    May be used by several threads at once if the reader may.

    Args:
        reader: reads the records.
    """

    def __init__(self, reader: DataReader) -> None:
        self.reader = reader
        self._lock = threading.Lock()
        self._kept: OrderedDict[_TaskName, Future[RecordBatch]] = OrderedDict()

    def read(self, lease: Lease) -> Iterator[RecordBatch]:
        """Yields the records at the positions of a lease, in the order of the positions.

        In random order all records of its task are in memory at once: a task is small, or what the
        reader reads as a whole anyway.

        Raises:
            DataError: as `read_task`.
        """
        task = lease.task
        if lease.order_key is None:
            start = task.start
            part = task.part(start + lease.start_position, start + lease.end_position)
            yield from read_task(self.reader, part)
            return
        if lease.size == task.size:
            records, order = self._records(task), position_order
        else:
            records, order = self._kept_records(task), _kept_position_order
        offsets = order(task.size, lease.order_key)[lease.start_position : lease.end_position]
        if isinstance(records, dict):
            yield {name: column[offsets] for name, column in records.items()}
        elif isinstance(records, EqualRecords):
            yield records.take(offsets)
        else:
            yield [records[offset] for offset in offsets.tolist()]

    def _records(self, task: Task) -> RecordBatch:
        return join_batches(list(read_task(self.reader, task)))

    def _kept_records(self, task: Task) -> RecordBatch:
        name = (task.shard_name, task.start, task.end, task.version)
        with self._lock:
            read = self._kept.get(name)
            is_first = read is None
            if read is None:
                read = self._kept[name] = Future()
                while len(self._kept) > _TASKS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(name)
        if is_first:
            try:
                read.set_result(self._records(task))
            except BaseException as error:  # noqa: BLE001 - raised below, and in those who wait
                with self._lock:
                    self._kept.pop(name, None)
                read.set_exception(error)
        return read.result()


_kept_position_order = functools.lru_cache(_TASKS_KEPT)(position_order)
