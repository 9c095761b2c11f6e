"""Reads leases before their records are asked for, and several at once when reading is slow."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.lease_reader import LeaseReader
from elasticdl_like.data_readers.reading import DataReader, batch_bytes
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Lease
from elasticdl_like.time_spent import Activity, time_spent_of
from elasticdl_like.worker.task_stream import Signal, TaskStream

# Below this a thread of its own costs more than it saves: what takes so short comes from memory.
# On average, because small leases of a large group are slow once, and then come from memory.
_SLOW_READ_S = 1e-3
_READS_IN_AVERAGE = 32
_MOST_THREADS = 8
# A large lease is read in parts of about this much, so that its records are still in a cache of
# the processor when they are handed on.
_PART_BYTES = 1 << 21
DEFAULT_PREFETCH_BYTES = 1 << 27


@dataclass(frozen=True)
class ReadLease:
    """The records of a lease.

    Attributes:
        lease: the lease.
        batches: its records in the order of its positions; none when they cannot be read.
        problem: why they cannot be read, or "".
    """

    lease: Lease
    batches: Sequence[RecordBatch]
    problem: str = ""


def parts(lease: Lease) -> list[Lease]:
    """Cuts a large lease where the index of its file has entries; together they are the lease.

    One in random order stays whole: its records come from all over its task.
    """
    index = lease.task.index
    if index is None or lease.order_key is not None:
        return [lease]
    begin, end = lease.task.start + lease.start_position, lease.task.start + lease.end_position
    cuts: list[int] = []
    due_bytes = None
    for stretch in index.covering(begin, end).stretches():
        if due_bytes is not None and stretch.start_byte >= due_bytes:
            cuts.append(stretch.start - lease.task.start)
            due_bytes = None
        if due_bytes is None:
            due_bytes = stretch.start_byte + _PART_BYTES
    edges = [lease.start_position, *cuts, lease.end_position]
    return [
        replace(lease, start_position=start, end_position=stop)
        for start, stop in itertools.pairwise(edges)
    ]


class ReadAhead:
    """Reads what a stream leases, and gives it on in the order of the leases.

    Args:
        reader: reads the records.
        max_threads: how many leases are read at once at most, if the reader can do that; 0 for as
            many as there are processors, or 8 if that is less.
        max_bytes: no lease is begun when the records that wait, and those that are being read,
            are about that much; at least one lease is read in any case.
        in_parts: whether a large lease may be given on as several smaller ones, of the same token.
    """

    def __init__(
        self,
        reader: DataReader,
        max_threads: int = 0,
        max_bytes: int = DEFAULT_PREFETCH_BYTES,
        in_parts: bool = False,
    ) -> None:
        self._in_parts = in_parts
        self.reader = reader
        self._leases = LeaseReader(reader)
        self.time_spent = time_spent_of(reader)
        self._max_threads = 1
        if getattr(reader, "reads_in_parallel", False):
            self._max_threads = max_threads or min(os.cpu_count() or 1, _MOST_THREADS)
        self._max_bytes = max_bytes
        self._record_bytes = 0.0
        self._read_s = 0.0  # a moving average
        self._threads: ThreadPoolExecutor | None = None
        self._stream: TaskStream | None = None
        self._pending: deque[Future[ReadLease] | Signal] = deque()
        self._pending_records = 0
        self._unread: deque[Lease] = deque()  # parts of the newest lease

    def would_wait(self, stream: TaskStream) -> bool:
        """Returns whether `events` has nothing at hand to go on with."""
        if self._pending:
            first = self._pending[0]
            return isinstance(first, Future) and not first.done()
        return not self._unread and stream.would_wait

    def events(self, stream: TaskStream) -> Iterator[ReadLease | Signal]:
        """Yields what a stream gives, leases with their records, up to and with its end.

        A lease, or a part of one, is read to its end before any of it is given on: a read that
        comes short at its end may have left out a record in the middle, and then every one after
        that is another than its position. May be left before the end, and called again for the
        rest.

        Raises:
            PermanentError: whatever the stream raises.
        """
        if stream is not self._stream:
            self._forget()
            self._stream = stream
        while True:
            while self._pending and (not self._is_slow or stream.would_wait or self._is_full()):
                event = self._first_pending()
                yield event
                if event is Signal.END:
                    return
            if not self._unread:
                with self.time_spent.measure(Activity.WAITING_FOR_MASTER):
                    leased = stream.next()
                if isinstance(leased, Signal):
                    self._pending.append(leased)
                    continue
                self._unread.extend(parts(leased) if self._in_parts else [leased])
            lease = self._unread.popleft()
            if self._is_slow or self._pending:
                if self._threads is None:
                    self._threads = ThreadPoolExecutor(self._max_threads, "reader")
                self._pending.append(self._threads.submit(self._read, lease))
                self._pending_records += lease.size
            else:
                yield self._read(lease)

    def close(self) -> None:
        """Has each thread end when it has read what it is reading."""
        self._forget()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def _forget(self) -> None:
        for event in self._pending:
            if isinstance(event, Future):
                event.cancel()
        self._pending.clear()
        self._unread.clear()
        self._pending_records = 0

    def _first_pending(self) -> ReadLease | Signal:
        event = self._pending.popleft()
        if isinstance(event, Signal):
            return event
        read = event.result()
        self._pending_records -= read.lease.size
        return read

    @property
    def _is_slow(self) -> bool:
        return self._read_s > _SLOW_READ_S

    def _is_full(self) -> bool:
        return (
            len(self._pending) >= 2 * self._max_threads
            or self._pending_records * self._record_bytes >= self._max_bytes
        )

    def _read(self, lease: Lease) -> ReadLease:
        start_s = time.monotonic()
        try:
            with self.time_spent.measure(Activity.READING):
                batches = list(self._leases.read(lease))
        except DataError as error:
            return ReadLease(lease, (), str(error))
        if self._max_threads > 1:
            self._record_bytes = sum(map(batch_bytes, batches)) / lease.size
            self._read_s += (time.monotonic() - start_s - self._read_s) / _READS_IN_AVERAGE
        return ReadLease(lease, batches)
