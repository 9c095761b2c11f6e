"""`elasticdl data bench`."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.data.quantity import format_count
from elasticdl_like.cli.data.source import RECORDS_PER_TASK, Source, source_of
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.flag_groups import reader_options

if TYPE_CHECKING:
    from elasticdl_like.data_readers.lease_reader import LeaseReader
    from elasticdl_like.master.shard_table import ShardTable
    from elasticdl_like.tasks import Lease

_MAX_THREADS = 8
_MOSTLY = 0.75
_NOTABLE_GAIN = 1.1
_WIDTHS = (12, 7, 14, 10, 10, 9)


@dataclass(frozen=True)
class _Measured:
    """What reading for some seconds came to.

    Attributes:
        num_records: that were read.
        num_bytes: that they take up.
        wall_s: how long it took.
        cpu_s: of the process, all its threads.
        queued_s: that the threads which read waited for a processor.
        decoding_s: what the reader says it spent on decoding, all threads together; 0 if it does
            not say.
        num_threads: that read.
    """

    num_records: int
    num_bytes: int
    wall_s: float
    cpu_s: float
    queued_s: float
    decoding_s: float
    num_threads: int

    @property
    def records_per_s(self) -> float:
        """The rate, of all threads together."""
        return self.num_records / self.wall_s

    @property
    def busy(self) -> float:
        """How much of the time each thread was on a processor."""
        return self.cpu_s / self.wall_s / self.num_threads

    @property
    def queued(self) -> float:
        """How much of the time each thread waited for a processor."""
        return self.queued_s / self.wall_s / self.num_threads

    @property
    def decoding(self) -> float:
        """How much of the time each thread decoded."""
        return self.decoding_s / self.wall_s / self.num_threads


@click.command()
@click.argument("source")
@option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    help="How long each measurement takes.",
)
@option(
    "--records_per_task",
    type=click.IntRange(min=1),
    default=RECORDS_PER_TASK,
    help="Records in one task: --minibatch_size times --num_minibatches_per_task of a job.",
)
@option(
    "--read_threads",
    type=click.IntRange(min=0),
    default=0,
    help="Tasks that are read at once in the last measurement, if the data reader can; 0 for as "
    "many as there are processors, up to 8.",
)
@reader_options
def bench(
    source: str, seconds: float, records_per_task: int, read_threads: int, **flags: Any
) -> None:
    """Measures how fast SOURCE can be read on this machine.

    Tasks are read as a worker reads them, in order and shuffled, but nothing is done with the
    records. A training that is slower than this has its limit elsewhere. Data that was read before
    may come from memory, not from the disk.
    """
    from elasticdl_like.data_readers.reading import list_shards
    from elasticdl_like.master.shard_table import ShardTable

    data = source_of(source, flags)
    reader = data.make_reader()
    start_s = time.monotonic()
    table = ShardTable(list_shards(reader), records_per_task)
    listing_s = time.monotonic() - start_s
    click.echo(
        f"{format_count(len(table.shards), 'shard')}, {format_count(table.num_records, 'record')}, "
        f"{format_count(table.num_tasks, 'task')}, read by {type(reader).__name__}; "
        f"shards listed in {listing_s:.2f} s\n"
    )
    click.echo(_row("order", "threads", "records/s", "MB/s", "processor", "decoding"))
    _show("in order", _measure(data, _leases(table, None), seconds, 1))
    alone = _measure(data, _leases(table, 0), seconds, 1)
    _show("shuffled", alone)
    threads = read_threads or min(len(os.sched_getaffinity(0)), _MAX_THREADS)
    together = None
    if threads > 1 and getattr(reader, "reads_in_parallel", False):
        together = _measure(data, _leases(table, 0), seconds, threads)
        _show("shuffled", together)
    click.echo(f"\nLimit: {_limit(alone, together)}")


def _leases(table: ShardTable, order_key: int | None) -> Iterator[list[Lease]]:
    """Yields the leases of each task of one epoch after the other, without end.

    An empty list comes before each epoch.
    """
    from elasticdl_like.data_readers.places import task_of
    from elasticdl_like.master.task_order import Piece, TaskOrder
    from elasticdl_like.tasks import Lease

    for epoch in itertools.count():
        yield []
        order = TaskOrder(table, None if order_key is None else order_key + epoch)
        for number in range(table.num_tasks):
            found = order.task_range(number)
            task = task_of(found.shard, found.start, found.end)
            step = table.part_size(task.size)
            pieces = (
                Piece(number, start, min(start + step, task.size), order_key is None)
                for start in range(0, task.size, step)
            )
            yield [
                Lease(0, task, piece.start, piece.end, order.position_key(piece))
                for piece in pieces
            ]


class _Reading:
    """Threads that read one task after the other, until the time is over.

    Each epoch is read by a new reader, because one that keeps what it decoded would have nothing
    left to do in a small data set.
    """

    def __init__(self, data: Source, tasks: Iterator[list[Lease]], end_s: float) -> None:
        self._data = data
        self._tasks = tasks
        self._end_s = end_s
        self._lock = threading.Lock()
        self._readers: list[LeaseReader] = []

    def read(self) -> tuple[int, int, float]:
        """Reads in this thread; returns the records, the bytes, and the seconds in the queue."""
        from elasticdl_like.data_readers.reading import batch_bytes, batch_size

        num_records = num_bytes = 0
        queued_before_s = _queued_s()
        while True:
            reader, leases = self._next()
            for lease in leases:
                for batch in reader.read(lease):
                    num_records += batch_size(batch)
                    num_bytes += batch_bytes(batch)
                    if time.monotonic() >= self._end_s:
                        return num_records, num_bytes, _queued_s() - queued_before_s

    def decoding_s(self) -> float:
        """Returns the seconds that the readers say they spent on decoding."""
        from elasticdl_like.time_spent import Activity, time_spent_of

        return sum(time_spent_of(each.reader).totals()[Activity.DECODING] for each in self._readers)

    def _next(self) -> tuple[LeaseReader, list[Lease]]:
        from elasticdl_like.data_readers.lease_reader import LeaseReader

        with self._lock:
            leases = next(self._tasks)
            if not leases:
                self._readers.append(LeaseReader(self._data.make_reader()))
                leases = next(self._tasks)
            return self._readers[-1], leases


def _measure(
    data: Source, tasks: Iterator[list[Lease]], seconds: float, num_threads: int
) -> _Measured:
    start_s, cpu_start_s = time.monotonic(), time.process_time()
    reading = _Reading(data, tasks, start_s + seconds)
    with ThreadPoolExecutor(num_threads) as pool:
        started = [pool.submit(reading.read) for _ in range(num_threads)]
        counts = [each.result() for each in started]
    return _Measured(
        sum(num_records for num_records, _, _ in counts),
        sum(num_bytes for _, num_bytes, _ in counts),
        time.monotonic() - start_s,
        time.process_time() - cpu_start_s,
        sum(queued_s for _, _, queued_s in counts),
        reading.decoding_s(),
        num_threads,
    )


def _show(order: str, measured: _Measured) -> None:
    click.echo(
        _row(
            order,
            str(measured.num_threads),
            f"{measured.records_per_s:,.0f}",
            f"{measured.num_bytes / measured.wall_s / 1e6:,.1f}",
            f"{measured.busy:.0%}",
            f"{measured.decoding:.0%}" if measured.decoding_s else "",
        )
    )


def _row(*cells: str) -> str:
    first, *others = (
        cell.ljust(width) if number == 0 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "".join([first, *others]).rstrip()


def _limit(alone: _Measured, together: _Measured | None) -> str:
    """Returns, in a sentence, what is in the way of reading faster.

    Args:
        alone: what one thread did.
        together: what several did, if the reader can be read by several.
    """
    gain = together.records_per_s / alone.records_per_s if together else 1.0
    more = ""
    if together is not None:
        faster = f"{gain:.1f} times as fast" if gain > _NOTABLE_GAIN else "no faster"
        more = f"; {together.num_threads} threads read {faster}"
    if alone.queued > 1 - _MOSTLY:
        return (
            f"other programs: {alone.queued:.0%} of the time they had the processor, so that these "
            "figures are too low"
        )
    if alone.busy + alone.queued < _MOSTLY:
        return f"waiting for the disk or the network, {1 - alone.busy:.0%} of the time{more}"
    if alone.decoding > 1 / 2:
        return f"the processor, for decoding; another compressor or format may take less{more}"
    return (
        "the processor, for the data reader's Python code and the order of the records; larger "
        f"batches, and columns in place of single records, take less{more}"
    )


def _queued_s() -> float:
    """Returns how long this thread has waited for a processor so far; 0 where that is not told."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
