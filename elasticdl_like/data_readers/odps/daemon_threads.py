"""Threads that a process need not wait for when it ends."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

_Queue = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class DaemonThreads:
    """Calls functions in threads, the first to come first.

    A `ThreadPoolExecutor` would hold the end of the process back until the last function returns,
    and one that asks a failing service again and again takes minutes. The threads end when this
    object is forgotten.

    Args:
        num_threads: how many functions run at once.
        name: what the names of the threads begin with.
    """

    def __init__(self, num_threads: int, name: str) -> None:
        self._queue: _Queue = SimpleQueue()
        for number in range(num_threads):
            threading.Thread(
                target=_serve, args=(self._queue,), name=f"{name}_{number}", daemon=True
            ).start()
        weakref.finalize(self, _end, self._queue, num_threads)

    def submit(self, function: Callable[[], Result]) -> Future[Result]:
        """Has a function called; returns what it will return, or raise."""
        future: Future[Result] = Future()
        self._queue.put((future, function))
        return future


def _serve(queue: _Queue) -> None:
    while (asked := queue.get()) is not None:
        future, function = asked
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
                future.set_exception(error)
        # Nothing is to be held while the thread waits for the next one.
        del asked, future, function


def _end(queue: _Queue, num_threads: int) -> None:
    for _ in range(num_threads):
        queue.put(None)
