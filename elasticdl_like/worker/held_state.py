"""The state of a model that an agent keeps for the next round."""

from __future__ import annotations

import os
import threading


class HeldState:
    """At most one state, of one step; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._step: int | None = None
        self._file = -1

    @property
    def step(self) -> int | None:
        """The step that the state is of; None when there is none."""
        return self._step

    def keep(self, step: int, file: int) -> None:
        """Keeps a state in place of another.

        Args:
            step: the step that it is of.
            file: its memory; closed here when it is no longer needed.
        """
        with self._lock:
            self._drop()
            self._step, self._file = step, file

    def drop(self) -> None:
        """Keeps no state; who is reading it reads on."""
        with self._lock:
            self._drop()

    def open(self, step: int) -> int | None:
        """Returns the memory of the state, for the caller to close; None if it is of another step.

        Args:
            step: the step that is wanted.
        """
        with self._lock:
            return os.dup(self._file) if step == self._step else None

    def _drop(self) -> None:
        if self._step is not None:
            os.close(self._file)
        self._step, self._file = None, -1
