"""Who takes part in a job: a pure table of workers, with the clock passed in.

A request is known by (incarnation, sequence number). A worker has one request in flight, so one
remembered reply for each worker is enough to answer a repeated request without acting again. An
incarnation that left or was lost never comes back: a late copy of its registration is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from elasticdl_like.errors import InvalidRequestError, UnknownWorkerError
from elasticdl_like.master.progress import RateMeter
from elasticdl_like.master.worker_time import WorkerTime
from elasticdl_like.starvation import StarvationWatch
from elasticdl_like.tasks import LeaseReply

# A worker that its platform watches is reported when it ends. Silence for this much longer than
# another worker's time-out means that it hangs.
_HANGING_FACTOR = 6


@dataclass(slots=True)
class Worker:
    """One registered worker.

    Attributes:
        worker_id: its number, from 0.
        incarnation: a random name of the process; a restarted process has another.
        description: host and process id, for people.
        supervised: whether a platform watches the process and reports its end.
        heard_s: when it was last heard from.
        last_sequence: the number of its last request.
        last_reply: what that request was answered.
        time: where its time went so far, and how often it had to ask a service again that failed or
            was busy.
        starvation: watches the time.
        num_records: how many records it has reported as used; not kept in the journal.
        rate: how fast these grow.
    """

    worker_id: int
    incarnation: str
    description: str
    supervised: bool
    heard_s: float
    last_sequence: int = 0
    last_reply: LeaseReply | None = None
    time: WorkerTime = field(default_factory=WorkerTime)
    starvation: StarvationWatch = field(default_factory=StarvationWatch)
    num_records: int = 0
    rate: RateMeter = field(default_factory=RateMeter)


class Membership:
    """The workers of a job.

    Args:
        timeout_s: a worker that nobody watches is lost when it is silent for longer.
        hanging_factor: how many times as long one that a platform watches may be silent.
    """

    def __init__(self, timeout_s: float, hanging_factor: int = _HANGING_FACTOR) -> None:
        self._timeout_s = timeout_s
        self._hanging_factor = hanging_factor
        self._workers: dict[int, Worker] = {}
        self._retired: set[str] = set()
        self._next_id = 0
        self._checked_s: float | None = None

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    def __len__(self) -> int:
        return len(self._workers)

    def get(self, worker_id: int) -> Worker | None:
        """Returns a worker, or None when it is not there."""
        return self._workers.get(worker_id)

    def find(self, incarnation: str) -> Worker | None:
        """Returns the worker of an incarnation, or None when it is not there."""
        for worker in self._workers.values():
            if worker.incarnation == incarnation:
                return worker
        return None

    def check_registration(self, incarnation: str, requested_id: int | None) -> None:
        """Raises what `register` would raise.

        Raises:
            UnknownWorkerError: this incarnation has left, or was given up for lost.
            InvalidRequestError: the number is taken by a live worker.
        """
        if incarnation in self._retired:
            raise UnknownWorkerError(
                "this worker has left the job, or was given up for lost; start it again"
            )
        if requested_id is None or self.find(incarnation) is not None:
            return
        worker = self._workers.get(requested_id)
        if worker is not None:
            raise InvalidRequestError(
                f"worker {requested_id} is registered already, by {worker.description}; "
                "leave --worker_id out to get a free one"
            )

    def register(
        self,
        incarnation: str,
        requested_id: int | None,
        description: str,
        supervised: bool,
        now_s: float,
    ) -> Worker:
        """Adds a worker, or finds it again when it repeats its registration.

        Args:
            incarnation: the name of the process.
            requested_id: the number that its platform gave it, or None for the next free one.
            description: host and process id.
            supervised: whether a platform watches the process.
            now_s: the time, on the clock of every other call.

        Raises:
            UnknownWorkerError: this incarnation has left, or was given up for lost.
            InvalidRequestError: the number is taken by a live worker.
        """
        self.check_registration(incarnation, requested_id)
        known = self.find(incarnation)
        if known is not None:
            known.heard_s = now_s
            return known
        worker_id = self._next_id if requested_id is None else requested_id
        self._next_id = max(self._next_id, worker_id + 1)
        worker = Worker(worker_id, incarnation, description, supervised, now_s)
        self._workers[worker_id] = worker
        return worker

    def hear(self, worker_id: int, incarnation: str, now_s: float) -> Worker:
        """Notes that a worker is alive, and returns it.

        Raises:
            UnknownWorkerError: it never registered, or was given up for lost.
        """
        worker = self.known(worker_id, incarnation)
        worker.heard_s = now_s
        return worker

    def known(self, worker_id: int, incarnation: str) -> Worker:
        """Returns a worker that takes part.

        Raises:
            UnknownWorkerError: it never registered, or was given up for lost.
        """
        worker = self._workers.get(worker_id)
        if worker is None or worker.incarnation != incarnation:
            raise UnknownWorkerError(
                f"worker {worker_id} is not part of this job: it never registered, or was given "
                "up for lost; start it again"
            )
        return worker

    def has_gone(self, incarnation: str) -> bool:
        """Returns whether an incarnation took part, and has left or was given up for lost."""
        return incarnation in self._retired

    def remove(self, worker_id: int) -> None:
        """Forgets a worker that left or is lost; its number may be used again."""
        worker = self._workers.pop(worker_id, None)
        if worker is not None:
            self._retired.add(worker.incarnation)

    def silent(self, now_s: float) -> list[Worker]:
        """Returns the workers that were not heard from for too long; to be asked all the time.

        When it was not asked for a while, this process did not run: nobody could be heard then,
        and that time is not held against anybody.
        """
        if self._checked_s is not None and now_s - self._checked_s > self._timeout_s / 4:
            for worker in self._workers.values():
                worker.heard_s = min(worker.heard_s + now_s - self._checked_s, now_s)
        self._checked_s = now_s
        return [
            worker
            for worker in self._workers.values()
            if now_s - worker.heard_s
            > self._timeout_s * (self._hanging_factor if worker.supervised else 1)
        ]

    def start_deadlines(self, now_s: float) -> None:
        """Takes every worker for heard from now, and for one that no platform watches yet."""
        for worker in self._workers.values():
            worker.heard_s = now_s
            worker.supervised = False

    def to_plain(self) -> dict[str, Any]:
        """Returns the table as JSON, without times and replies."""
        return {
            "next_id": self._next_id,
            "retired": sorted(self._retired),
            "workers": [
                [each.worker_id, each.incarnation, each.description, each.supervised]
                for each in self._workers.values()
            ],
        }

    def load_plain(self, plain: Mapping[str, Any]) -> None:
        """Takes over what `to_plain` returned."""
        self._next_id = plain["next_id"]
        self._retired = set(plain["retired"])
        self._workers = {
            worker_id: Worker(worker_id, incarnation, description, supervised, heard_s=0.0)
            for worker_id, incarnation, description, supervised in plain["workers"]
        }
