"""The workers of a job in pods: as many as the job wants, one supervisor each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from elasticdl_like.platforms.fleet_policy import JobOfFleet, fleet_change, kill_hung_workers
from elasticdl_like.platforms.kubernetes.places import INCARNATION_ANNOTATION, WORKER_LABEL
from elasticdl_like.platforms.kubernetes.pod_orders import (
    Answer,
    Created,
    Explained,
    PodOrders,
    Refused,
)
from elasticdl_like.platforms.kubernetes.pod_state import Pod, pod_state
from elasticdl_like.platforms.kubernetes.pod_supervisor import PodSupervisor
from elasticdl_like.platforms.kubernetes.watch import Deleted, Listed, NotAllowed, PodChange, Seen
from elasticdl_like.platforms.restart_policy import RestartPolicy

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FleetLimits:
    """What a fleet may do.

    Attributes:
        max_crashes: how many crashes of a worker are forgiven.
        most_pods: how many workers there may be, those that leave included; 0 for no limit.
    """

    max_crashes: int
    most_pods: int = 0


class PodFleet:
    """Orders, watches, retires and ends the pods of a job's workers.

    It does nothing before it knows which pods there are, and takes over those that an earlier
    master has left.

    Args:
        job: the job.
        orders: takes orders.
        limits: what the fleet may do.
        clock: monotonic time in seconds.
        new_incarnation: makes a random name.
    """

    def __init__(
        self,
        job: JobOfFleet,
        orders: PodOrders,
        limits: FleetLimits,
        clock: Callable[[], float],
        new_incarnation: Callable[[], str],
    ) -> None:
        self._job = job
        self._orders = orders
        self._limits = limits
        self._clock = clock
        self._new_incarnation = new_incarnation
        self._supervisors: dict[int, PodSupervisor] = {}
        self._policies: dict[int, RestartPolicy] = {}
        self._due_s: dict[int, float] = {}
        self._kept: dict[int, str] = {}
        self._begun = False

    @property
    def pods(self) -> list[str]:
        """The pods that have not ended, or were ordered."""
        return [each.pod for each in self._supervisors.values() if each.pod]

    def note(self, news: PodChange | Answer) -> None:
        """Takes in what has happened to pods."""
        match news:
            case Listed():
                self._note_all(news)
            case Seen(pod):
                self._see(pod)
            case Deleted(pod):
                self._see(pod)
                supervisor = self._of_pod(pod["metadata"]["name"])
                if supervisor is not None:
                    supervisor.gone()
            case NotAllowed(reason):
                self._job.fail(f"{reason}; the master needs the permissions of manifests/rbac.yaml")
            case Created(worker_id, name, created_s):
                supervisor = self._of_pod(name)
                if supervisor is not None:
                    supervisor.created(created_s)
                else:
                    _logger.debug("pod %s of worker %d is not wanted any more", name, worker_id)
                    self._orders.delete(name)
            case Refused(_, name):
                supervisor = self._of_pod(name)
                if supervisor is not None:
                    supervisor.refused(news)
            case Explained(name):
                supervisor = self._of_pod(name)
                if supervisor is not None:
                    supervisor.explained(news)

    def watch(self) -> None:
        """Does what is due; to be called a few times a second while the job runs."""
        if not self._begun:
            return
        kill_hung_workers(self._job, self._supervisors)
        self._follow(self._job.workers_wanted)
        for worker_id, supervisor in list(self._supervisors.items()):
            supervisor.watch()
            if supervisor.leaving and not supervisor.pod:
                self._due_s[worker_id] = supervisor.due_s
                del self._supervisors[worker_id]

    def dismiss(self) -> None:
        """Orders the end of the pods that do not run yet, as there is nothing left to do."""
        for supervisor in self._supervisors.values():
            supervisor.dismiss()

    def end(self) -> None:
        """Orders the end of all pods that have not ended."""
        for name in self.pods:
            self._orders.delete(name)

    def _note_all(self, listed: Listed) -> None:
        if not self._begun:
            self._begun = True
            self._begin(listed.pods)
            return
        names = set()
        for pod in listed.pods:
            names.add(pod["metadata"]["name"])
            self._see(pod)
        for supervisor in self._supervisors.values():
            created_s = supervisor.created_s
            # One that was created while the list was made may be missing in it.
            should_be_listed = created_s is not None and created_s < listed.asked_s
            if should_be_listed and supervisor.pod not in names:
                supervisor.gone()

    def _begin(self, pods: Sequence[Pod]) -> None:
        """Takes over what an earlier master has left."""
        adopted = {}
        for pod in sorted(pods, key=self._worth, reverse=True):
            worker_id, name = _worker_of(pod), pod["metadata"]["name"]
            if worker_id is None:
                continue
            if pod_state(pod).has_ended:
                if self._kept.setdefault(worker_id, name) != name:
                    self._orders.delete(name)
                continue
            if worker_id in self._supervisors:
                self._orders.delete(name)
                continue
            _logger.info("worker %d is taken over, in pod %s", worker_id, name)
            self._supervise(worker_id).adopt(pod)
            adopted[worker_id] = _incarnation_of(pod)
        for worker in self._job.status().workers:
            registered = self._job.registered_incarnation(worker.worker_id)
            # One that has not registered yet cannot as long as its predecessor takes part.
            if registered == adopted.get(worker.worker_id):
                continue
            ends = [
                f"it {state.why}"
                for pod in pods
                if _worker_of(pod) == worker.worker_id and (state := pod_state(pod)).has_ended
            ]
            reason = next(iter(ends), "its pod is gone")
            _logger.warning(
                "worker %d was lost while there was no master: %s", worker.worker_id, reason
            )
            self._job.lose(worker.worker_id, reason)

    def _worth(self, pod: Pod) -> tuple[bool, bool, str]:
        """Orders the pods of one worker: the one that is worth most is taken over."""
        metadata = pod["metadata"]
        worker_id = _worker_of(pod)
        return (
            "deletionTimestamp" not in metadata,
            worker_id is not None
            and self._job.registered_incarnation(worker_id) == _incarnation_of(pod),
            metadata.get("creationTimestamp") or "",
        )

    def _see(self, pod: Pod) -> None:
        supervisor = self._of_pod(pod["metadata"]["name"])
        if supervisor is not None:
            supervisor.see(pod)
            return
        state = pod_state(pod)
        if self._begun and not state.has_ended and not state.being_deleted:
            # Given up because it hangs, and the order to delete it was lost.
            self._orders.delete(pod["metadata"]["name"], 0)

    def _of_pod(self, name: str) -> PodSupervisor | None:
        return next((each for each in self._supervisors.values() if each.pod == name), None)

    def _follow(self, wanted: int) -> None:
        active = [number for number, each in self._supervisors.items() if not each.leaving]
        change = fleet_change(active, wanted, self._is_taken)
        room = self._limits.most_pods - len(self._supervisors)
        start = change.start[: max(room, 0)] if self._limits.most_pods else change.start
        for worker_id in start:
            self._supervise(worker_id)
        for worker_id in change.retire:
            self._supervisors[worker_id].retire()

    def _supervise(self, worker_id: int) -> PodSupervisor:
        policy = self._policies.setdefault(worker_id, RestartPolicy(self._limits.max_crashes))
        supervisor = PodSupervisor(
            self._job,
            worker_id,
            self._orders,
            policy,
            self._clock,
            self._new_incarnation,
            self._kept,
            self._due_s.get(worker_id, float("-inf")),
        )
        self._supervisors[worker_id] = supervisor
        return supervisor

    def _is_taken(self, number: int) -> bool:
        """Whether the number is that of a worker that leaves, or was started by hand."""
        return number in self._supervisors or self._job.registered_incarnation(number) is not None


def _worker_of(pod: Pod) -> int | None:
    number = (pod["metadata"].get("labels") or {}).get(WORKER_LABEL, "")
    return int(number) if number.isdecimal() else None


def _incarnation_of(pod: Pod) -> str | None:
    annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    return annotations.get(INCARNATION_ANNOTATION)
