"""A thread that takes predictions while the next ones are made."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.worker.blocks import Piece


@dataclass(frozen=True)
class Predicted:
    """What was predicted for the records of a batch.

    Attributes:
        pieces: the records.
        predictions: what the model returned; None when the records cannot be used.
        records: the records as they were read, if they are kept.
        problem: why the records cannot be used, or "".
        weight: how much it counts for in what may wait, in the unit of the output.
    """

    pieces: Sequence[Piece]
    predictions: Any
    records: RecordBatch | None = None
    problem: str = ""
    weight: int = 1


class Output(Protocol):
    """Where predictions go; its methods are called by one thread."""

    def take(self, predicted: Predicted) -> None:
        """Takes the predictions of a batch, or that there are none; commits them, now or later."""

    def flush(self) -> None:
        """Commits everything that was taken."""


class OutputThread:
    """Gives predictions to an output in their order, from a thread of its own.

    Used as a context manager; leaving it waits until the output has taken everything, unless it is
    left by an error: what waits then is dropped.

    Args:
        output: takes them.
        most_waiting: of what weight the predictions are that may wait, all together; one batch may
            wait in any case.
    """

    def __init__(self, output: Output, most_waiting: int) -> None:
        self._output = output
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._waiting: deque[Predicted] = deque()
        self._weight = 0
        self._flushing = False
        self._flushed = True  # nothing was put since
        self._ending = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)

    def __enter__(self) -> OutputThread:
        self._thread.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc_info: object) -> None:
        with self._changed:
            if exc_type is not None:
                self._waiting.clear()
                self._flushed = True
            self._flushing = self._ending = True
            self._changed.notify_all()
        self._thread.join()
        if exc_type is None and self._error is not None:
            raise self._error

    def put(self, predicted: Predicted) -> None:
        """Has the output take predictions; waits while too many do so already.

        Raises:
            Exception: what the output raised.
        """
        with self._changed:
            while self._waiting and self._weight + predicted.weight > self._most_waiting:
                self._raise_error()
                self._changed.wait()
            self._raise_error()
            self._waiting.append(predicted)
            self._weight += predicted.weight
            self._flushed = self._flushing = False
            self._changed.notify_all()

    def flush(self) -> None:
        """Has the output commit everything that was put so far; does not wait for that.

        Raises:
            Exception: what the output raised.
        """
        with self._changed:
            self._raise_error()
            self._flushing = True
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._waiting and (self._flushed or not self._flushing):
                        if self._ending:
                            return
                        self._changed.wait()
                    predicted = self._waiting.popleft() if self._waiting else None
                    if predicted is None:
                        self._flushed = True
                if predicted is None:
                    self._output.flush()
                    continue
                self._output.take(predicted)
                with self._changed:
                    self._weight -= predicted.weight
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that predicts
            with self._changed:
                self._error = error
                self._changed.notify_all()
