"""Who calls the master."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A process of a worker.

    Attributes:
        worker_id: the worker's number.
        incarnation: which of its processes.
        round: the round that it trains in; 0 where it works alone.
    """

    worker_id: int
    incarnation: str
    round: int = 0
