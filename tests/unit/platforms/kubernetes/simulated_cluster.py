"""A cluster in memory, whose answers and news come late, in another order, or not at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.pod_orders import Answer, Created, Refused
from elasticdl_like.platforms.kubernetes.watch import Deleted, Listed, PodChange, Seen

GRACE_S = 30.0


class Life(StrEnum):
    """Where a pod is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"


@dataclass
class SimulatedPod:
    """A pod as the cluster has it.

    Attributes:
        name: its name.
        worker_id: its worker.
        incarnation: the process in it.
        life: where it is in its life.
        exit_code: of one that has ended; None for one that its node has evicted.
        being_deleted: whether somebody has asked for its end.
        node_lost: whether nobody carries out what it is asked.
    """

    name: str
    worker_id: int
    incarnation: str
    life: Life = Life.PENDING
    exit_code: int | None = None
    being_deleted: bool = False
    node_lost: bool = False

    def to_plain(self) -> dict[str, Any]:
        """As the API server describes it."""
        metadata: dict[str, Any] = {
            "name": self.name,
            "labels": {places.WORKER_LABEL: str(self.worker_id)},
            "annotations": {places.INCARNATION_ANNOTATION: self.incarnation},
            "creationTimestamp": "2026-11-21T14:30:32Z",
        }
        if self.being_deleted:
            metadata |= {"deletionTimestamp": "now", "deletionGracePeriodSeconds": GRACE_S}
        return {"metadata": metadata, "spec": {"containers": [{}]}, "status": self._status()}

    def _status(self) -> dict[str, Any]:
        if self.life is Life.PENDING:
            return {"phase": "Pending"}
        if self.life is Life.RUNNING:
            return _status("Running", {"running": {}})
        if self.exit_code is None:
            return {"phase": "Failed", "reason": "Evicted"}
        phase = "Failed" if self.exit_code else "Succeeded"
        return _status(phase, {"terminated": {"exitCode": self.exit_code, "reason": "…"}})


def _status(phase: str, state: dict[str, Any]) -> dict[str, Any]:
    return {
        "phase": phase,
        "containerStatuses": [{"name": places.CONTAINER, "state": state}],
    }


@dataclass(frozen=True)
class Order:
    """What a fleet has asked for.

    Attributes:
        name: the pod.
        create: its worker and incarnation; None for an order to delete it.
        grace_s: within which time it is to be deleted; None for its own.
    """

    name: str
    create: tuple[int, str] | None = None
    grace_s: int | None = None


@dataclass
class SimulatedCluster:
    """Pods, the orders that wait to be carried out, and what is on its way to the fleet.

    Attributes:
        clock: monotonic time in seconds.
        pods: the pods that there are, by name.
        orders: orders that were not carried out yet.
        answers: answers to orders.
        news: what the watch has to tell; None while there is none, and a list is asked for.
        list_asked_s: when that was.
    """

    clock: Callable[[], float]
    pods: dict[str, SimulatedPod] = field(default_factory=dict)
    orders: deque[Order] = field(default_factory=deque)
    answers: deque[Answer] = field(default_factory=deque)
    news: deque[PodChange] | None = None
    list_asked_s: float = 0.0

    # What a fleet orders.

    def create(self, worker_id: int, incarnation: str) -> str:
        name = f"w{worker_id}-{incarnation}"
        self.orders.append(Order(name, (worker_id, incarnation)))
        return name

    def delete(self, name: str, grace_s: int | None = None) -> None:
        self.orders.append(Order(name, grace_s=grace_s))

    def explain(self, name: str) -> None:
        """No more is known."""

    # What becomes of it.

    def carry_out(self, works: bool = True, answers: bool = True) -> None:
        """Carries out the next order, or not; and says so, or the answer is lost."""
        order = self.orders.popleft()
        if order.create is None:
            if works:
                self._delete(order.name, order.grace_s)
            return
        worker_id, incarnation = order.create
        if works and order.name not in self.pods:
            self.pods[order.name] = SimulatedPod(order.name, worker_id, incarnation)
            self.tell(order.name)
        if works and answers:
            self.answers.append(Created(worker_id, order.name, self.clock()))
        else:
            reason = "no answer" if not answers else "exceeded quota"
            self.answers.append(Refused(worker_id, order.name, reason))

    def ask_to_end(self, name: str) -> None:
        """Somebody deletes a pod, in order."""
        self._delete(name, None)

    def _delete(self, name: str, grace_s: int | None) -> None:
        pod = self.pods.get(name)
        if pod is None:
            return
        if grace_s == 0 or pod.life is not Life.RUNNING:
            pod.being_deleted = True
            self.remove(name)
        elif not pod.being_deleted:
            pod.being_deleted = True
            self.tell(name)

    def remove(self, name: str) -> None:
        """A pod is gone for good."""
        pod = self.pods.pop(name)
        if self.news is not None:
            self.news.append(Deleted(pod.to_plain()))

    def tell(self, name: str) -> None:
        """A pod has changed."""
        if self.news is not None:
            self.news.append(Seen(self.pods[name].to_plain()))

    def break_watch(self) -> None:
        """What is under way is lost, and a list is asked for."""
        self.news = None
        self.list_asked_s = self.clock()

    def answer_list(self) -> None:
        pods = [pod.to_plain() for pod in self.pods.values()]
        self.news = deque([Listed(pods, self.list_asked_s)])
