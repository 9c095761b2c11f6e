"""A master without the wire: what a worker says is answered by a real task queue."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from elasticdl_like.master.task_queue import Plan, TaskQueue
from elasticdl_like.tasks import Commit, EpochKey, LeaseReply, LeaseRequest, Shard
from elasticdl_like.worker.held_leases import HeldLeases

WORKER = 0


def make_queue(
    training: Sequence[Shard],
    records_per_task: int,
    num_epochs: int = 1,
    shuffle_seed: int | None = None,
    validation: Sequence[Shard] | None = None,
) -> TaskQueue:
    """Returns a queue of two data sets, or of one."""
    tables = [training] if validation is None else [training, validation]
    plan = Plan(
        table=0,
        validation_table=None if validation is None else 1,
        records_per_task=records_per_task,
        num_epochs=num_epochs,
        shuffle_seed=shuffle_seed,
    )
    return TaskQueue(tables, plan)


class QueueMaster:
    """As much of `MasterClient` as a task stream needs."""

    def __init__(self, queue: TaskQueue) -> None:
        self.queue = queue
        self.changed = threading.Condition()
        self.requests: list[LeaseRequest] = []
        self.held = HeldLeases()

    def commit_and_lease(
        self,
        key: EpochKey,
        commits: Sequence[Commit],
        max_leases: int,
        returned: Sequence[int] = (),
        loss: float | None = None,
        step: int = 0,
    ) -> LeaseReply:
        with self.changed:
            number = len(self.requests) + 1
            request = LeaseRequest(
                WORKER, "life", number, key, commits, max_leases, returned, loss, step=step
            )
            fenced = [each.step for each in commits if not self.queue.commit(WORKER, key, each)]
            self.queue.give_back(WORKER, returned)
            answer, leases = self.queue.request(request)
            reply = LeaseReply(answer, leases, fenced, self.queue.recalled(WORKER, key))
            self.held.settle(request, reply)
            self.requests.append(request)
            self.changed.notify_all()
            return reply

    def abandon(self, key: EpochKey, tokens: Collection[int] | None = None) -> None:
        with self.changed:
            self.held.abandon(key, tokens)

    @property
    def commits(self) -> list[Commit]:
        """All that it was told, in order."""
        return [commit for request in self.requests for commit in request.commits]
