"""One trip over one data set: what is leased, what came back, what is committed.

Below the frontier (the number of tasks leased so far, in the order of the epoch), every position
is leased, returned or committed. So the frontier, the live leases and the returned intervals are
the whole state, however many tasks there are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.ordering import derive_key, permuted
from elasticdl_like.tasks import Commit, EpochKey, Lease, Task, TaskType


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The account of one epoch, in records and in leases.

    `committed + leased + quarantined + waiting` is always `records`.

    Attributes:
        key: which epoch of which data set.
        records: the size of the data set.
        committed: used by a finished step.
        tentative: the part of `committed` that is undone if a worker is lost.
        leased: handed out and not yet committed.
        quarantined: set aside because they cannot be read or used.
        ended: whether every record is committed or quarantined.
        leases_granted: hand-outs, second ones included.
        leases_lost: leases taken back from lost workers.
        reports_fenced: commits refused because a lease was no longer the worker's.
    """

    key: EpochKey
    records: int
    committed: int
    tentative: int
    leased: int
    quarantined: int
    ended: bool
    leases_granted: int
    leases_lost: int
    reports_fenced: int

    @property
    def missing(self) -> int | None:
        """What an ended epoch never used; None as long as it has not ended."""
        return self.records - self.committed - self.quarantined if self.ended else None

    def to_plain(self) -> dict[str, Any]:
        """Returns the account as it stands in the ledger's JSON."""
        plain: dict[str, Any] = {"type": str(self.key.type), "epoch": self.key.epoch}
        if self.key.type is not TaskType.TRAINING:
            plain["step"] = self.key.step
        return plain | {
            "records": self.records,
            "committed": self.committed,
            "tentative": self.tentative,
            "leased": self.leased,
            "quarantined": self.quarantined,
            "missing": self.missing,
            "ended": self.ended,
            "leases_granted": self.leases_granted,
            "leases_lost": self.leases_lost,
            "reports_fenced": self.reports_fenced,
        }


@dataclass(slots=True)
class _LiveLease:
    worker_id: int
    task_number: int
    next_position: int
    end_position: int


class Epoch:
    """Hands out the positions of one epoch and keeps the account of them.

    Args:
        key: which epoch of which data set.
        table: the data set's tasks.
        shuffle_seed: decides the order of tasks and positions, or None for their natural order.
    """

    def __init__(self, key: EpochKey, table: ShardTable, shuffle_seed: int | None) -> None:
        self.key = key
        self._table = table
        self._order_key = None if shuffle_seed is None else derive_key(shuffle_seed, key.epoch)
        self._frontier = 0
        self._returned: deque[tuple[int, int, int]] = deque()
        self._leases: dict[int, _LiveLease] = {}
        self._committed = 0
        self._leased = 0
        self._leases_granted = 0
        self._leases_lost = 0
        self._reports_fenced = 0

    @property
    def ended(self) -> bool:
        """Whether every position is committed."""
        return self._committed == self._table.num_records

    def lease(self, worker_id: int, token: int) -> Lease | None:
        """Hands out one interval under a new token; None when nothing is waiting."""
        if self._returned:
            task_number, start, end = self._returned.popleft()
            task = self._task(task_number)
        elif self._frontier < self._table.num_tasks:
            task_number = self._frontier
            self._frontier += 1
            task = self._task(task_number)
            start, end = 0, task.size
        else:
            return None
        self._leases[token] = _LiveLease(worker_id, task_number, start, end)
        self._leased += end - start
        self._leases_granted += 1
        order_key = None if self._order_key is None else derive_key(self._order_key, task_number)
        return Lease(token, task, start, end, order_key)

    def commit(self, worker_id: int, commit: Commit) -> bool:
        """Counts the intervals of a commit, all of them or none.

        Returns:
            Whether it was counted. It is not when one of its leases is no longer the worker's.

        Raises:
            InvalidRequestError: an interval does not begin where the last commit of its lease
                ended, is empty, or goes beyond the lease. Nothing is counted.
        """
        # A commit may hold several intervals of one lease, so that all are checked as one run.
        next_positions: dict[int, int] = {}
        for interval in commit.intervals:
            lease = self._leases.get(interval.token)
            if lease is None or lease.worker_id != worker_id:
                self._reports_fenced += 1
                return False
            expected = next_positions.get(interval.token, lease.next_position)
            start, end = interval.start_position, interval.end_position
            if start != expected or not start < end <= lease.end_position:
                raise InvalidRequestError(
                    f"worker {worker_id} commits positions [{start}, {end}) of lease "
                    f"{interval.token} in {self.key}, whose next positions are "
                    f"[{expected}, {lease.end_position})"
                )
            next_positions[interval.token] = end
        for token, position in next_positions.items():
            lease = self._leases[token]
            self._count(position - lease.next_position)
            lease.next_position = position
            if position == lease.end_position:
                del self._leases[token]
        return True

    def take_back(self, worker_id: int, lost: bool) -> None:
        """Takes back what a worker has not committed, and counts its leases if it was lost."""
        tokens = [token for token, lease in self._leases.items() if lease.worker_id == worker_id]
        for token in tokens:
            lease = self._leases.pop(token)
            self._returned.append((lease.task_number, lease.next_position, lease.end_position))
            self._leased -= lease.end_position - lease.next_position
        if lost:
            self._leases_lost += len(tokens)

    def ledger(self) -> LedgerEntry:
        """Returns the account of this epoch."""
        return LedgerEntry(
            key=self.key,
            records=self._table.num_records,
            committed=self._committed,
            tentative=0,
            leased=self._leased,
            quarantined=0,
            ended=self.ended,
            leases_granted=self._leases_granted,
            leases_lost=self._leases_lost,
            reports_fenced=self._reports_fenced,
        )

    def _count(self, positions: int) -> None:
        self._committed += positions
        self._leased -= positions

    def _task(self, task_number: int) -> Task:
        place = task_number
        if self._order_key is not None:
            place = permuted(task_number, self._table.num_tasks, self._order_key)
        name, start, end = self._table.task_range(place)
        return Task(name, start, end, self.key.epoch, self.key.type)
