"""Runs of records that are on their way or here, the newest of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor

from elasticdl_like.data_readers.odps.columns import Columns


class Fetched:
    """Fetches runs of records in threads, each once, and keeps the newest. Thread-safe.

    Args:
        num_threads: how many are fetched at once.
        capacity_bytes: how much is kept.
    """

    def __init__(self, num_threads: int, capacity_bytes: int) -> None:
        self._threads = ThreadPoolExecutor(num_threads, "odps")
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._runs: OrderedDict[Hashable, Future[Columns]] = OrderedDict()
        self._size_bytes = 0

    def get(self, key: Hashable, fetch: Callable[[], Columns]) -> Future[Columns]:
        """Returns the run of this key, which may not be here yet.

        Args:
            key: names the run.
            fetch: returns it; called in a thread. What it raises is raised by the future, and
                the next one to ask has it called again.
        """
        with self._lock:
            run = self._runs.get(key)
            is_new = run is None
            if run is None:
                run = self._runs[key] = self._threads.submit(fetch)
            self._runs.move_to_end(key)
        if is_new:
            # Outside of the lock: called at once if it is done already.
            run.add_done_callback(lambda done: self._settle(key, done))
        return run

    def _settle(self, key: Hashable, run: Future[Columns]) -> None:
        with self._lock:
            if run.cancelled() or run.exception() is not None:
                self._runs.pop(key, None)
                return
            self._size_bytes += _size_bytes(run.result())
            for old_key, old in list(self._runs.items())[:-1]:
                if self._size_bytes <= self._capacity_bytes:
                    break
                if old.done() and old is not run:
                    self._size_bytes -= _size_bytes(old.result())
                    del self._runs[old_key]


_OBJECT_BYTES = 64


def _size_bytes(columns: Columns) -> int:
    return sum(
        column.nbytes + _OBJECT_BYTES * column.size * (column.dtype == object)
        for column in columns.values()
    )
