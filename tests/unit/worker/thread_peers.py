"""Members of a round as threads of one process, in the place of `Peers`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from elasticdl_like.worker.peers import PeersLostError


class ThreadPeers:
    """One member; all of them share a `Meeting`."""

    exchanging_s = 0.0

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self._meeting = meeting
        self.rank = rank
        self.size = meeting.size
        self.is_chief = rank == 0

    def all_reduce(self, tensors: Any) -> list[Any]:
        # Threads would wait for each other inside of TensorFlow's own few: it is done afterwards.
        return list(tensors)

    def exchange(self, function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any], Any]:
        first, others, beside = function(*args)
        summed = self._meeting.sums(self.rank, [each.numpy() for each in (first, *others)])
        return summed[0], summed[1:], beside

    def sum_integers(self, values: Any) -> Any:
        return self._meeting.sums(self.rank, [values])[0]

    def broadcast(self, data: bytes) -> bytes:
        return self._meeting.of_chief(self.rank, data)


class Meeting:
    """Where the members meet for each collective.

    Args:
        size: how many there are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size)
        self._given: list[Any] = [None] * size

    def leave(self) -> None:
        """Breaks every collective from now on, as the death of a member does."""
        self._barrier.abort()

    def sums(self, rank: int, values: Any) -> list[Any]:
        return [
            np.sum(of_all, axis=0) for of_all in zip(*self._gathered(rank, values), strict=True)
        ]

    def of_chief(self, rank: int, value: bytes) -> bytes:
        data: bytes = self._gathered(rank, value)[0]
        return data

    def _gathered(self, rank: int, value: Any) -> list[Any]:
        try:
            self._given[rank] = value
            self._barrier.wait()
            gathered = list(self._given)
            self._barrier.wait()
        except threading.BrokenBarrierError:
            raise PeersLostError("a member has left") from None
        return gathered


def run_members(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Runs each member in a thread of its own; returns their results, or raises what one raised."""
    with ThreadPoolExecutor(len(functions)) as threads:
        return [each.result(60) for each in [threads.submit(each) for each in functions]]
