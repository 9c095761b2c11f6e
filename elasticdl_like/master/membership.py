"""Who takes part in a job: a pure table of workers, with the clock passed in.

A request is known by (incarnation, sequence number). A worker has one request in flight, so one
remembered reply for each worker is enough to answer a repeated request without acting again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from elasticdl_like.errors import InvalidRequestError, UnknownWorkerError

Reply = TypeVar("Reply")


@dataclass(slots=True)
class Worker(Generic[Reply]):
    """One registered worker.

    Attributes:
        worker_id: its number, from 0.
        incarnation: a random name of the process; a restarted process has another.
        description: host and process id, for people.
        supervised: whether a platform watches the process and reports its end; if so, silence
            alone does not make it lost.
        heard_s: when it was last heard from.
        last_sequence: the number of its last request.
        last_reply: what that request was answered.
    """

    worker_id: int
    incarnation: str
    description: str
    supervised: bool
    heard_s: float
    last_sequence: int = 0
    last_reply: Reply | None = None


class Membership(Generic[Reply]):
    """The workers of a job.

    Args:
        timeout_s: an unsupervised worker that is silent for longer is lost.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._workers: dict[int, Worker[Reply]] = {}
        self._next_id = 0

    def __iter__(self) -> Iterator[Worker[Reply]]:
        return iter(self._workers.values())

    def register(
        self,
        incarnation: str,
        requested_id: int | None,
        description: str,
        supervised: bool,
        now_s: float,
    ) -> Worker[Reply]:
        """Adds a worker, or finds it again when it repeats its registration.

        Args:
            incarnation: the name of the process.
            requested_id: the number that its platform gave it, or None for the next free one.
            description: host and process id.
            supervised: whether a platform watches the process.
            now_s: the time, on the clock of every other call.

        Raises:
            InvalidRequestError: the number is taken by a live worker.
        """
        for worker in self._workers.values():
            if worker.incarnation == incarnation:
                worker.heard_s = now_s
                return worker
        worker_id = self._next_id if requested_id is None else requested_id
        if worker_id in self._workers:
            raise InvalidRequestError(
                f"worker {worker_id} is registered already, by "
                f"{self._workers[worker_id].description}; leave --worker_id out to get a free one"
            )
        self._next_id = max(self._next_id, worker_id + 1)
        worker = Worker[Reply](worker_id, incarnation, description, supervised, now_s)
        self._workers[worker_id] = worker
        return worker

    def hear(self, worker_id: int, incarnation: str, now_s: float) -> Worker[Reply]:
        """Notes that a worker is alive, and returns it.

        Raises:
            UnknownWorkerError: it never registered, or was given up for lost.
        """
        worker = self._workers.get(worker_id)
        if worker is None or worker.incarnation != incarnation:
            raise UnknownWorkerError(
                f"worker {worker_id} is not part of this job: it never registered, or was given "
                "up for lost; start it again"
            )
        worker.heard_s = now_s
        return worker

    def remove(self, worker_id: int) -> None:
        """Forgets a worker that left or is lost; its number may be used again."""
        self._workers.pop(worker_id, None)

    def silent(self, now_s: float) -> list[Worker[Reply]]:
        """Returns the unsupervised workers that were not heard from for too long."""
        return [
            worker
            for worker in self._workers.values()
            if not worker.supervised and now_s - worker.heard_s > self._timeout_s
        ]
