"""Keeps one worker of a job in a pod, one after the other, until it is no longer wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

from elasticdl_like.job_directory import JobState
from elasticdl_like.platforms.kubernetes.containers import others_run
from elasticdl_like.platforms.kubernetes.pod_orders import Explained, PodOrders, Refused
from elasticdl_like.platforms.kubernetes.pod_state import Pod, PodPhase, PodState, pod_state
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.platforms.succession import Succession, SupervisedJob
from elasticdl_like.process_end import EndKind

_logger = logging.getLogger(__name__)

# A pod that does not start says why by itself, but for this.
_ASK_AFTER_S = 5.0
_ASK_AGAIN_S = 30.0
_FIRST_REFUSAL_PAUSE_S = 1.0
_LONGEST_REFUSAL_PAUSE_S = 10.0
# How long after its own time a pod that is deleted may still be there.
_OVERTIME_S = 5.0
_DEFAULT_GRACE_S = 30


@dataclass
class _Held:
    """The pod that a worker has, or that was ordered for it."""

    name: str
    incarnation: str
    exists: bool = False
    # A list that is asked for after that has it.
    created_s: float = float("-inf")
    order_again_s: float = float("inf")
    last: Pod | None = None
    said: str = ""
    ask_at_s: float = 0.0
    delete_by_s: float | None = None

    @property
    def state(self) -> PodState:
        return PodState(PodPhase.PENDING) if self.last is None else pod_state(self.last)


class PodSupervisor:
    """Orders and watches the pods of one worker, of which there is one at a time.

    A pod that somebody deletes is left alone until it has ended; another worker takes its place.

    Args:
        job: the job that the worker takes part in.
        worker_id: the worker's number.
        orders: takes orders.
        policy: when the next pod is ordered.
        clock: monotonic time in seconds.
        new_incarnation: makes a random name.
        kept: of each worker the last pod that has ended, which is kept for its log.
        due_s: the first pod is not ordered before.
    """

    def __init__(
        self,
        job: SupervisedJob,
        worker_id: int,
        orders: PodOrders,
        policy: RestartPolicy,
        clock: Callable[[], float],
        new_incarnation: Callable[[], str],
        kept: MutableMapping[int, str],
        due_s: float = float("-inf"),
    ) -> None:
        self._job = job
        self._worker_id = worker_id
        self._orders = orders
        self._succession = Succession(job, worker_id, policy, clock, due_s)
        self._clock = clock
        self._new_incarnation = new_incarnation
        self._held: _Held | None = None
        self._kept = kept
        self._refusal = ""
        self._refusal_pause_s = _FIRST_REFUSAL_PAUSE_S
        self._retiring = False
        self._being_deleted = False
        job.supervise(worker_id)

    @property
    def pod(self) -> str:
        """The name of the pod, or "" while there is none."""
        return "" if self._held is None else self._held.name

    @property
    def created_s(self) -> float | None:
        """When the pod was created at the latest, or None if it is not known to exist."""
        held = self._held
        return held.created_s if held is not None and held.exists else None

    @property
    def due_s(self) -> float:
        """The next pod is not ordered before."""
        return self._succession.due_s

    @property
    def leaving(self) -> bool:
        """Whether this pod is the last one, and about to end."""
        return self._retiring or self._being_deleted

    def adopt(self, pod: Pod) -> None:
        """Takes over the pod of an earlier master."""
        self._held = _Held(pod["metadata"]["name"], "", exists=True)
        self._succession.started()
        self.see(pod)

    def created(self, created_s: float) -> None:
        """Notes that the pod that was ordered exists.

        Args:
            created_s: since when, at the latest.
        """
        held = self._held
        if held is None or held.exists:
            return
        held.exists, held.created_s = True, created_s
        held.ask_at_s = self._clock() + _ASK_AFTER_S
        self._refusal, self._refusal_pause_s = "", _FIRST_REFUSAL_PAUSE_S
        self._succession.started()
        _logger.info("worker %d gets pod %s", self._worker_id, held.name)
        if self._retiring:
            self._ask_to_leave(held)

    def refused(self, refusal: Refused) -> None:
        """Notes that the pod that was ordered does not exist; it is ordered again later."""
        held = self._held
        if held is None or held.exists:
            return
        if refusal.is_final:
            self._job.fail(f"worker {self._worker_id} cannot get a pod: {refusal.reason}")
            return
        if refusal.reason != self._refusal:
            self._refusal = refusal.reason
            _logger.warning(
                "worker %d has no pod yet, which is tried again: %s",
                self._worker_id,
                refusal.reason,
            )
        held.order_again_s = self._clock() + self._refusal_pause_s
        self._refusal_pause_s = min(2 * self._refusal_pause_s, _LONGEST_REFUSAL_PAUSE_S)
        if self._retiring:
            self._withdraw(held)

    def see(self, pod: Pod) -> None:
        """Notes how the pod is now."""
        held = self._held
        assert held is not None
        # A list that is told of after this news was asked for after it.
        self.created(float("-inf"))
        held.last, held.created_s = pod, float("-inf")
        state = held.state
        if state.has_ended:
            self._ended(state)
            return
        if state.being_deleted and not self.leaving:
            self._begin_to_leave(held, pod)
        self._say(held, state)

    def explained(self, explanation: Explained) -> None:
        """Notes what is known of a pod that does not start."""
        held = self._held
        if held is not None and held.last is not None:
            self._say(held, pod_state(held.last, explanation.events))

    def gone(self) -> None:
        """Notes that the pod is no longer there."""
        self._ended(PodState(PodPhase.LOST, "was deleted", being_deleted=True))

    def watch(self) -> None:
        """Does what is due; to be called a few times a second while the job runs."""
        now_s = self._clock()
        held = self._held
        if held is None:
            if not self.leaving and self._succession.next_is_needed():
                self._order()
            return
        if not held.exists:
            if now_s >= held.order_again_s:
                held.order_again_s = float("inf")
                self._orders.create(self._worker_id, held.incarnation)
            return
        if held.delete_by_s is not None and now_s >= held.delete_by_s:
            self.kill("it was not gone when it should have been")
        elif held.ask_at_s <= now_s and held.state.phase is PodPhase.PENDING and not held.said:
            held.ask_at_s = now_s + _ASK_AGAIN_S
            self._orders.explain(held.name)

    def kill(self, reason: str) -> None:
        """Gives up a pod that has hung; the worker is lost, and replaced.

        Args:
            reason: how that is known, as "it was silent for 60 s".
        """
        held = self._held
        if held is None:
            self._succession.lose(reason)
            return
        # A node that does not answer does not end it either: it is not waited for.
        self._orders.delete(held.name, 0)
        self._end_of(EndKind.LOSS, f"{reason}, and was deleted")

    def retire(self) -> None:
        """Asks the worker to leave the job, with what it has finished; there will be no other."""
        self._retiring = True
        held = self._held
        if held is None:
            return
        if held.exists:
            self._ask_to_leave(held)
        elif held.order_again_s < float("inf"):
            self._withdraw(held)

    def _withdraw(self, held: _Held) -> None:
        """Gives up a pod that was refused; a try may have been carried out without an answer."""
        self._orders.delete(held.name)
        self._forget_pod()

    def dismiss(self) -> None:
        """Orders the end of a pod that does not run yet; there will be no other."""
        held = self._held
        if held is not None and held.state.phase is PodPhase.PENDING:
            self._orders.delete(held.name)
            self._held = None

    def _ask_to_leave(self, held: _Held) -> None:
        _logger.info("worker %d is no longer wanted; it is asked to leave", self._worker_id)
        self._orders.delete(held.name)
        held.delete_by_s = self._clock() + _grace_s(held.last) + _OVERTIME_S

    def _begin_to_leave(self, held: _Held, pod: Pod) -> None:
        self._being_deleted = True
        held.delete_by_s = self._clock() + _grace_s(pod) + _OVERTIME_S
        _logger.warning(
            "worker %d leaves: its pod %s is being deleted; another takes its place",
            self._worker_id,
            held.name,
        )

    def _order(self) -> None:
        incarnation = self._new_incarnation()
        name = self._orders.create(self._worker_id, incarnation)
        self._held = _Held(name, incarnation)
        self._refusal = ""

    def _say(self, held: _Held, state: PodState) -> None:
        if state.phase is not PodPhase.PENDING or not state.why:
            return
        # Details of one cause may change with each try.
        cause = state.why.partition("(")[0].partition(":")[0]
        if cause != held.said:
            held.said = cause
            _logger.warning("worker %d waits in pod %s: %s", self._worker_id, held.name, state.why)

    def _ended(self, state: PodState) -> None:
        held = self._held
        if held is None or self._job.state is not JobState.RUNNING:
            self._held = None
            return
        if held.last is not None and others_run(held.last) and not state.being_deleted:
            self._orders.delete(held.name)
        if self._retiring:
            _logger.info("worker %d has left", self._worker_id)
            self._forget_pod()
            self._succession.lose("it was no longer wanted")
            return
        if state.phase is PodPhase.DONE and not self._succession.takes_part:
            self._forget_pod()
            if not self._being_deleted:
                self._succession.let_go()
            return
        is_loss = state.phase is PodPhase.LOST or state.being_deleted
        kind = EndKind.LOSS if is_loss else EndKind.CRASH
        self._end_of(kind, f"it {state.why}")

    def _end_of(self, kind: EndKind, description: str) -> None:
        name = self.pod
        self._forget_pod()
        loss = self._succession.ended(kind, description)
        if loss is None:
            self._job.fail(
                f"{self._succession.times_crashed}: worker {self._worker_id}: {description}; "
                f"its log: kubectl logs {name}"
            )
            return
        if self.leaving:
            _logger.info("worker %d has left: %s", self._worker_id, loss.description)
            return
        _logger.warning(
            "worker %d is lost: %s; another pod is ordered %s; its log: kubectl logs %s",
            self._worker_id,
            loss.description,
            loss.successor_starts,
            name,
        )

    def _forget_pod(self) -> None:
        """The last pod that has ended is kept, for its log, and the one before is not."""
        if self._held is not None and self._held.exists:
            if self._worker_id in self._kept:
                self._orders.delete(self._kept[self._worker_id])
            self._kept[self._worker_id] = self._held.name
        self._held = None


def _grace_s(pod: Pod | None) -> float:
    if pod is None:
        return _DEFAULT_GRACE_S
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    if asked is None:
        asked = pod["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S)
    return float(asked)
