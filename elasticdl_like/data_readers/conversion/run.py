"""Writes the parts of a conversion, each in one process, several at once."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from elasticdl_like.data_readers.base import BatchDataReader
from elasticdl_like.data_readers.conversion.output_format import WriteBatch
from elasticdl_like.data_readers.conversion.rows import column_names_of
from elasticdl_like.data_readers.reading import DataReader, batch_size, read_task
from elasticdl_like.errors import DataError, ElasticdlError
from elasticdl_like.tasks import Task

# A reader that yields single records may hold a whole task in memory; one of batches does not.
_RECORDS_PER_TASK = 4096
_RECORDS_PER_TASK_OF_BATCHES = 1 << 16
_REPORT_INTERVAL_S = 0.2

OnProgress = Callable[[int, int], None]
"""Called with how many records have been written, and how many there are."""


@dataclass(frozen=True)
class PlannedPart:
    """A file, or a block of a table, that is to be written; can be pickled.

    Attributes:
        name: for messages.
        open: begins it; it is written when the `with` block ends well.
        tasks: what it holds.
    """

    name: str
    open: Callable[[], AbstractContextManager[WriteBatch]]
    tasks: tuple[Task, ...]


def write_parts(
    make_reader: Callable[[], DataReader],
    parts: Sequence[PlannedPart],
    num_processes: int,
    on_progress: OnProgress,
) -> None:
    """Writes files or blocks, each whole or not at all.

    Args:
        make_reader: constructs the reader of the source, once in each process; can be pickled.
        parts: which.
        num_processes: how many write at once; 1 for this process alone.
        on_progress: called now and then with how many records have been written, and how many
            there are.

    Raises:
        ElasticdlError: the source cannot be read, or a part cannot be written. Parts that are
            whole by then stay.
    """
    total = sum(task.size for part in parts for task in part.tasks)
    if min(num_processes, len(parts)) > 1:
        _write_in_processes(
            make_reader, parts, num_processes, lambda written: on_progress(written, total)
        )
    elif parts:
        reader = make_reader()
        written = 0

        def count(records: int) -> None:
            nonlocal written
            written += records
            on_progress(written, total)

        for part in parts:
            _write_part(reader, part, count)


def _write_part(reader: DataReader, part: PlannedPart, on_records: Callable[[int], None]) -> None:
    column_names = column_names_of(reader)
    is_of_batches = isinstance(reader, BatchDataReader)
    size = _RECORDS_PER_TASK_OF_BATCHES if is_of_batches else _RECORDS_PER_TASK
    try:
        with part.open() as write:
            for task in _pieces(part.tasks, size):
                for batch in read_task(reader, task):
                    write(batch, column_names)
                    on_records(batch_size(batch))
    except OSError as error:
        raise DataError(
            f"{part.name} cannot be written: {error.strerror or error}; the same command goes on "
            "with what is missing"
        ) from error


def _pieces(tasks: Sequence[Task], size: int) -> Iterator[Task]:
    for task in tasks:
        for start in range(task.start, task.end, size):
            yield task.part(start, min(start + size, task.end))


def _write_in_processes(
    make_reader: Callable[[], DataReader],
    parts: Sequence[PlannedPart],
    num_processes: int,
    on_written: Callable[[int], None],
) -> None:
    # Not forked: a reader may have threads and connections, and a model file TensorFlow.
    context = multiprocessing.get_context("spawn")
    written = context.Value("q", 0)
    stopping = context.Event()
    with ProcessPoolExecutor(
        min(num_processes, len(parts)),
        mp_context=context,
        initializer=_begin_process,
        initargs=(make_reader, written, stopping),
    ) as pool:
        try:
            with _terminal_signals_put_off():
                waiting = {pool.submit(_write_in_this_process, part) for part in parts}
            while waiting:
                done, waiting = wait(waiting, _REPORT_INTERVAL_S, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                on_written(written.value)
        except BaseException as error:
            stopping.set()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise DataError(
                    "a process of the conversion was killed, perhaps for want of memory; the same "
                    "command goes on with what is missing, with a smaller --num_workers in less "
                    "memory"
                ) from error
            raise


@contextmanager
def _terminal_signals_put_off() -> Iterator[None]:
    """Puts off, to the end of the block, what a terminal sends to all of its processes at once.

    Processes that are started in the block never get it; the first one tells them to stop.
    """
    signals = (signal.SIGINT, signal.SIGHUP)
    # Processes inherit the mask of this thread. Another thread may still get the signal for it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    received: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for each in signals:
            handlers[each] = signal.signal(each, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in received:
            signal.raise_signal(number)


class _StoppedError(Exception):
    """Another process failed, so that this one is to end."""


@dataclass
class _ThisProcess:
    make_reader: Callable[[], DataReader]
    written: Any
    stopping: Any

    @functools.cached_property
    def reader(self) -> DataReader:
        return self.make_reader()

    def count(self, records: int) -> None:
        if self.stopping.is_set():
            raise _StoppedError
        with self.written.get_lock():
            self.written.value += records


_this_process: _ThisProcess


def _begin_process(make_reader: Callable[[], DataReader], written: Any, stopping: Any) -> None:
    global _this_process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _this_process = _ThisProcess(make_reader, written, stopping)


def _end_with_parent() -> None:
    # A process of a pool waits for work for ever when the one that has it is killed.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_in_this_process(part: PlannedPart) -> None:
    process = _this_process
    try:
        _write_part(process.reader, part, process.count)
    except ElasticdlError as error:
        # Not every error can be pickled; the message is what counts.
        raise DataError(str(error)) from None
