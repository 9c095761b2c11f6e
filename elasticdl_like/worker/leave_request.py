"""Somebody's wish, by a signal, that a worker leaves its job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class LeaveRequest:
    """Carries the wish from the signal's handler to the agent; both run in the main thread.

    Attributes:
        asked: whether there is such a wish.
    """

    def __init__(self) -> None:
        self.asked = False
        self._listener: Callable[[], None] | None = None

    @contextmanager
    def heard(self, listener: Callable[[], None]) -> Iterator[None]:
        """Has a function called at once when the wish comes, as long as the context lasts."""
        self._listener = listener
        try:
            yield
        finally:
            self._listener = None

    def ask(self) -> bool:
        """Asks the worker to leave.

        Returns:
            Whether it will; not if nobody listens, or if it was asked before.
        """
        if self.asked or self._listener is None:
            return False
        self.asked = True
        self._listener()
        return True
