"""What threads have for a loop that waits for open files."""

from __future__ import annotations

import os
import queue
import select
from collections.abc import Iterable
from typing import Any


class Inbox:
    """A queue that can be waited for together with files; any thread may put something in."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._event_file = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def put(self, value: Any) -> None:
        """Adds a value, and ends the wait."""
        self._queue.put(value)
        self.wake()

    def wake(self) -> None:
        """Ends the wait, also from the handler of a signal."""
        os.eventfd_write(self._event_file, 1)

    def wait(self, files: Iterable[int], timeout_s: float) -> list[Any]:
        """Waits for a value, or for something to read; returns the values.

        Args:
            files: file descriptors that end the wait when they can be read from.
            timeout_s: ends the wait in any case.
        """
        poll = select.poll()
        for file in (self._event_file, *files):
            poll.register(file, select.POLLIN)
        if any(file == self._event_file for file, _ in poll.poll(1000 * timeout_s)):
            os.eventfd_read(self._event_file)
        values = []
        while not self._queue.empty():
            values.append(self._queue.get())
        return values
