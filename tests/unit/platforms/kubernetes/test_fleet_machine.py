"""A fleet in a cluster where anything happens in any order, and at last nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulated_cluster import GRACE_S, Life, SimulatedCluster, SimulatedPod

from elasticdl_like.platforms.kubernetes.fleet import FleetLimits, PodFleet
from stand_in_job import StandInJob

_MANY = 10_000
_INSTANT_S = 1e-6
_LONGEST_REFUSAL_PAUSE_S = 10.0
_LONGER_THAN_ANY_PAUSE_S = 70.0


class JobWithMembers(StandInJob):
    """Knows which process takes part under which number.

    Args:
        workers_wanted: how many workers there should be.
        may_be_lost: whether the process with this number and name is no longer there.
    """

    def __init__(self, workers_wanted: int, may_be_lost: Callable[[str], bool]) -> None:
        super().__init__(workers_wanted)
        self.members: dict[int, str] = {}
        self.gone: set[str] = set()
        self._may_be_lost = may_be_lost

    def registered_incarnation(self, worker_id: int) -> str | None:
        return self.members.get(worker_id)

    def hung_workers(self) -> list[tuple[int, str]]:
        return [(number, why) for number, why in self.hung if number in self.members]

    def register(self, worker_id: int, incarnation: str) -> None:
        assert self.members.get(worker_id, incarnation) == incarnation, "the number is taken"
        self.members[worker_id] = incarnation
        self.taking_part = set(self.members)

    def leave(self, worker_id: int) -> None:
        self.gone.add(self.members.pop(worker_id))
        self.taking_part = set(self.members)
        self.hung = [each for each in self.hung if each[0] != worker_id]

    def lose(self, worker_id: int, reason: str) -> None:
        incarnation = self.members[worker_id]
        assert self._may_be_lost(incarnation), f"worker {worker_id} lives: {reason}"
        self.losses.append(reason)
        self.leave(worker_id)


class FleetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.num_incarnations = 0
        self.cluster = SimulatedCluster(self._clock)
        self.job = JobWithMembers(2, self._may_be_lost)
        self.most_pods = 0
        # Pods whose deletion was ordered, which the cluster did not carry out.
        self.not_deleted: set[str] = set()

    @initialize(wanted=st.integers(0, 3), most_pods=st.sampled_from([0, 3]))
    def begin(self, wanted: int, most_pods: int) -> None:
        self.job.workers_wanted, self.most_pods = wanted, most_pods
        self._begin_master()

    def _begin_master(self) -> None:
        self.cluster.orders.clear()
        self.cluster.answers.clear()
        self.cluster.break_watch()
        self.fleet = PodFleet(
            self.job,
            self.cluster,
            FleetLimits(_MANY, self.most_pods),
            self._clock,
            self._new_incarnation,
        )

    def _clock(self) -> float:
        self.now_s += _INSTANT_S
        return self.now_s

    def _new_incarnation(self) -> str:
        self.num_incarnations += 1
        return str(self.num_incarnations)

    # The master.

    @rule(after_s=st.sampled_from([0.0, 0.1, 1.0, 6.0, GRACE_S + 6.0]))
    def tick(self, after_s: float) -> None:
        self.now_s += after_s
        self.fleet.watch()

    @precondition(lambda self: self.cluster.answers)
    @rule()
    def hear_an_answer(self) -> None:
        self.fleet.note(self.cluster.answers.popleft())

    @precondition(lambda self: self.cluster.news)
    @rule()
    def hear_some_news(self) -> None:
        assert self.cluster.news is not None
        self.fleet.note(self.cluster.news.popleft())

    @rule()
    def end_the_master(self) -> None:
        ordered = {order.name for order in self.cluster.orders if order.create is None}
        self.not_deleted |= ordered
        self._begin_master()

    @rule()
    def go_well_for_a_while(self) -> None:
        self.fleet.watch()
        self._let_all_happen()
        self.now_s += _LONGEST_REFUSAL_PAUSE_S
        self.fleet.watch()
        self._let_all_happen()

    @rule(wanted=st.integers(0, 3), goes_well=st.booleans())
    def scale(self, wanted: int, goes_well: bool) -> None:
        self.job.workers_wanted = wanted
        if goes_well:
            self.go_well_for_a_while()

    # The API server.

    @precondition(lambda self: self.cluster.orders)
    @rule(how=st.sampled_from(["works", "works", "refused", "no answer", "lost"]))
    def carry_out(self, how: str) -> None:
        works = how in ("works", "no answer")
        order = self.cluster.orders[0]
        if order.create is None and not works:
            self.not_deleted.add(order.name)
        self.cluster.carry_out(works, answers=how in ("works", "refused"))

    @rule()
    def break_the_watch(self) -> None:
        self.cluster.break_watch()

    @precondition(lambda self: self.cluster.news is None)
    @rule()
    def answer_the_list(self) -> None:
        self.cluster.answer_list()

    # Pods and nodes.

    def _pods(self, life: Life, being_deleted: bool | None = None) -> list[SimulatedPod]:
        return [
            pod
            for pod in self.cluster.pods.values()
            if pod.life is life and not pod.node_lost and being_deleted in (None, pod.being_deleted)
        ]

    @precondition(lambda self: self._pods(Life.PENDING))
    @rule(number=st.integers(0, 9))
    def start_a_pod(self, number: int) -> None:
        self._start(_one_of(self._pods(Life.PENDING), number))

    def _start(self, pod: SimulatedPod) -> None:
        pod.life = Life.RUNNING
        self.cluster.tell(pod.name)

    @precondition(lambda self: self._pods(Life.RUNNING))
    @rule(number=st.integers(0, 9))
    def register(self, number: int) -> None:
        self._register(_one_of(self._pods(Life.RUNNING), number))

    def _register(self, pod: SimulatedPod) -> None:
        if pod.incarnation in self.job.gone:
            # Such as one that was created again, under the same name, after an answer was lost.
            self._end(pod, 1)
        else:
            self.job.register(pod.worker_id, pod.incarnation)

    @precondition(lambda self: self._pods(Life.RUNNING, being_deleted=False))
    @rule(number=st.integers(0, 9), exit_code=st.sampled_from([0, 1, 137, None]))
    def end_a_pod(self, number: int, exit_code: int | None) -> None:
        pod = _one_of(self._pods(Life.RUNNING, being_deleted=False), number)
        if exit_code == 0:
            self._say_goodbye(pod)
        self._end(pod, exit_code)

    def _end(self, pod: SimulatedPod, exit_code: int | None) -> None:
        pod.life, pod.exit_code = Life.ENDED, exit_code
        self.cluster.tell(pod.name)

    @precondition(lambda self: self._pods(Life.RUNNING, being_deleted=True))
    @rule(number=st.integers(0, 9), exit_code=st.sampled_from([0, 137]), says=st.booleans())
    def end_a_pod_that_was_asked_to(self, number: int, exit_code: int, says: bool) -> None:
        pod = _one_of(self._pods(Life.RUNNING, being_deleted=True), number)
        if says:
            self._say_goodbye(pod)
        self._end_asked(pod, exit_code)

    def _end_asked(self, pod: SimulatedPod, exit_code: int) -> None:
        pod.life, pod.exit_code = Life.ENDED, exit_code
        self.cluster.remove(pod.name)

    def _say_goodbye(self, pod: SimulatedPod) -> None:
        if self.job.members.get(pod.worker_id) == pod.incarnation:
            self.job.leave(pod.worker_id)

    @precondition(lambda self: self.cluster.pods)
    @rule(number=st.integers(0, 9))
    def delete_a_pod(self, number: int) -> None:
        self.cluster.ask_to_end(_one_of(list(self.cluster.pods.values()), number).name)

    @precondition(lambda self: self._pods(Life.RUNNING))
    @rule(number=st.integers(0, 9))
    def lose_a_node(self, number: int) -> None:
        pod = _one_of(self._pods(Life.RUNNING), number)
        pod.node_lost = True
        if self.job.members.get(pod.worker_id) == pod.incarnation:
            self.job.hung.append((pod.worker_id, "it was silent for 60 s"))

    # What is always true.

    def _is_ordered_to_end(self, pod: SimulatedPod) -> bool:
        ordered = any(
            order.name == pod.name and order.create is None for order in self.cluster.orders
        )
        return ordered or pod.being_deleted or pod.name in self.not_deleted

    def _may_be_lost(self, incarnation: str) -> bool:
        pods = [pod for pod in self.cluster.pods.values() if pod.incarnation == incarnation]
        return all(pod.life is Life.ENDED or self._is_ordered_to_end(pod) for pod in pods)

    def _live(self) -> list[SimulatedPod]:
        return [
            pod
            for pod in self.cluster.pods.values()
            if pod.life is not Life.ENDED and not self._is_ordered_to_end(pod)
        ]

    @invariant()
    def no_number_has_two_pods(self) -> None:
        numbers = [pod.worker_id for pod in self._live()]
        assert len(numbers) == len(set(numbers))

    @invariant()
    def there_are_not_too_many_pods(self) -> None:
        assert not self.most_pods or len(self._live()) <= self.most_pods

    def teardown(self) -> None:
        """Nothing more happens, and everything is answered."""
        if not hasattr(self, "fleet"):
            return
        self.cluster.break_watch()
        self._let_time_pass()
        # Those that have nothing left to do are not replaced as long as others work.
        for pod in self._pods(Life.RUNNING):
            self._say_goodbye(pod)
            self._end(pod, 0)
        self._let_time_pass()
        pods = self.cluster.pods.values()
        # What is being deleted on a node that is gone is Kubernetes's own affair.
        live = {pod.name for pod in pods if pod.life is not Life.ENDED and not pod.being_deleted}
        assert len(live) == self.job.workers_wanted
        assert live == set(self.fleet.pods)
        assert set(self.job.members.values()) == {
            pod.incarnation for pod in pods if pod.name in live
        }
        ended = [pod.worker_id for pod in pods if pod.life is Life.ENDED]
        assert len(ended) == len(set(ended)), "more than the last pod of a worker is kept"

    def _let_time_pass(self) -> None:
        for _ in range(4):
            self._let_all_happen()
            self.now_s += _LONGER_THAN_ANY_PAUSE_S
            self.fleet.watch()
        self._let_all_happen()

    def _let_all_happen(self) -> None:
        for _ in range(4):
            while self.cluster.orders:
                self.cluster.carry_out()
            if self.cluster.news is None:
                self.cluster.answer_list()
            for pod in list(self.cluster.pods.values()):
                if pod.node_lost:
                    self.cluster.ask_to_end(pod.name)
            for pod in self._pods(Life.PENDING):
                self._start(pod)
            for pod in self._pods(Life.RUNNING, being_deleted=True):
                self._say_goodbye(pod)
                self._end_asked(pod, 0)
            while self.cluster.answers:
                self.hear_an_answer()
            while self.cluster.news:
                self.hear_some_news()
            for pod in self._pods(Life.RUNNING, being_deleted=False):
                self._register(pod)


def _one_of(pods: Sequence[SimulatedPod], number: int) -> SimulatedPod:
    return pods[number % len(pods)]


TestFleet = FleetMachine.TestCase
TestFleet.settings = settings(max_examples=200, stateful_step_count=80, deadline=None)
