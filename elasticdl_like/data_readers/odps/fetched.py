"""Runs of records that are on their way or here, the newest of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import NamedTuple

from elasticdl_like.data_readers.odps.columns import Columns
from elasticdl_like.data_readers.odps.daemon_threads import DaemonThreads


class Run(NamedTuple):
    """Records that follow one another.

    Attributes:
        columns: the records.
        size_bytes: about how much memory they take up.
    """

    columns: Columns
    size_bytes: int


class Fetched:
    """Fetches runs of records in threads, each once, and keeps the newest. Thread-safe.

    Args:
        num_threads: how many are fetched at once.
        capacity_bytes: how much is kept; the run that was asked for last is, in any case.
    """

    def __init__(self, num_threads: int, capacity_bytes: int) -> None:
        self._threads = DaemonThreads(num_threads, "odps")
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._runs: OrderedDict[Hashable, Future[Run]] = OrderedDict()
        # Of those that are here.
        self._sizes: dict[Hashable, int] = {}

    def get(self, key: Hashable, fetch: Callable[[], Run]) -> Future[Run]:
        """Returns the run of this key, which may not be here yet.

        Args:
            key: names the run.
            fetch: returns it; called in a thread. What it raises is raised by the future, and
                the next one to ask has it called again.
        """
        with self._lock:
            run = self._runs.get(key)
            if run is not None and not _has_failed(run):
                self._runs.move_to_end(key)
                return run
            run = self._runs[key] = self._threads.submit(fetch)
            self._runs.move_to_end(key)
        # Outside of the lock: it is called at once if the run is here by now.
        run.add_done_callback(lambda done: self._note(key, done))
        return run

    def _note(self, key: Hashable, run: Future[Run]) -> None:
        with self._lock:
            if self._runs.get(key) is not run:
                return
            if _has_failed(run):
                del self._runs[key]
                return
            self._sizes[key] = run.result().size_bytes
            size_bytes = sum(self._sizes.values())
            for old in list(self._runs)[:-1]:
                if size_bytes <= self._capacity_bytes:
                    break
                if old in self._sizes:
                    size_bytes -= self._sizes.pop(old)
                    del self._runs[old]


def _has_failed(run: Future[Run]) -> bool:
    return run.done() and (run.cancelled() or run.exception() is not None)
