"""What a fleet asks of the cluster; answers come later, among the changes of pods."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.client import CONFLICT, PodCluster
from elasticdl_like.platforms.kubernetes.pod_state import Pod

_logger = logging.getLogger(__name__)

_DELETE_TRIES = 5
_PAUSE_S = 1.0
_BAD_REQUESTS = (400, 422)


@dataclass(frozen=True)
class Created:
    """A pod was created, or had been already.

    Attributes:
        worker_id: its worker.
        name: its name.
        created_s: when, at the latest, in monotonic seconds.
    """

    worker_id: int
    name: str
    created_s: float


@dataclass(frozen=True)
class Refused:
    """A pod was not created.

    Attributes:
        worker_id: its worker.
        name: its name.
        reason: why.
        is_final: whether the same request will never be accepted.
    """

    worker_id: int
    name: str
    reason: str
    is_final: bool = False


@dataclass(frozen=True)
class Explained:
    """What has been noted about a pod.

    Attributes:
        name: the pod.
        events: the notes, oldest first.
    """

    name: str
    events: Sequence[Mapping[str, Any]]


Answer = Created | Refused | Explained


class PodOrders(Protocol):
    """Takes orders, and waits for nothing."""

    def create(self, worker_id: int, incarnation: str) -> str:
        """Orders a pod, and returns its name; `Created` or `Refused` follows."""

    def delete(self, name: str, grace_s: int | None = None) -> None:
        """Orders the end of a pod, within its own time or another."""

    def explain(self, name: str) -> None:
        """Asks what has been noted about a pod; `Explained` follows, if there is an answer."""


class ClusterOrders:
    """Carries orders out, one after the other, in a thread of its own; a context manager.

    Args:
        cluster: where.
        make_pod: makes a pod from worker and incarnation.
        report: called with each answer, in the thread.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        cluster: PodCluster,
        make_pod: Callable[[int, str], Pod],
        report: Callable[[Answer], None],
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._make_pod = make_pod
        self._report = report
        self._clock = clock
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pod orders", daemon=True)

    def __enter__(self) -> ClusterOrders:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._orders.put(None)
        self._ending.set()
        self._thread.join(_DELETE_TRIES * _PAUSE_S)

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def create(self, worker_id: int, incarnation: str) -> str:
        """Orders a pod, and returns its name."""
        pod = self._make_pod(worker_id, incarnation)
        name: str = pod["metadata"]["name"]
        self._orders.put(lambda: self._create(worker_id, name, pod))
        return name

    def delete(self, name: str, grace_s: int | None = None) -> None:
        """Orders the end of a pod."""
        self._orders.put(lambda: self._delete(name, grace_s))

    def explain(self, name: str) -> None:
        """Asks what has been noted about a pod."""
        self._orders.put(lambda: self._explain(name))

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            order()

    def _create(self, worker_id: int, name: str, pod: Pod) -> None:
        try:
            self._cluster.create(pod)
        except ClusterUnavailableError as error:
            self._report(Refused(worker_id, name, str(error)))
        except ClusterError as error:
            if error.code != CONFLICT:
                is_final = error.code in _BAD_REQUESTS
                self._report(Refused(worker_id, name, str(error), is_final))
                return
            # An earlier try that got no answer.
            self._report(Created(worker_id, name, self._clock()))
        else:
            self._report(Created(worker_id, name, self._clock()))

    def _delete(self, name: str, grace_s: int | None) -> None:
        for _ in range(_DELETE_TRIES):
            try:
                self._cluster.delete_pod(name, grace_s)
            except ClusterUnavailableError:
                self._ending.wait(_PAUSE_S)
            except ClusterError as error:
                _logger.warning("%s", error)
                return
            else:
                return
        _logger.warning("pod %s could not be deleted: the API server does not answer", name)

    def _explain(self, name: str) -> None:
        try:
            events = self._cluster.pod_events(name)
        except (ClusterError, ClusterUnavailableError) as error:
            _logger.debug("%s", error)
        else:
            self._report(Explained(name, events))
