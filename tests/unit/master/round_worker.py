"""A worker of a job that trains in rounds: its agent and its trainer, for the tests of the job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from job_parts import KEY

from elasticdl_like.master.job import Job
from elasticdl_like.rounds import AgentPhase, AgentReport, Order, RoundOrder, RoundPlan, StepUse
from elasticdl_like.tasks import Commit, EpochKey, Interval, Lease, LeaseReply, LeaseRequest


class RoundWorker:
    """An agent that does what it is told, and a trainer that does what the test says.

    Attributes:
        report: how the worker stands.
        known: the last order.
        plan: the round that it trains in, or trained in last.
        uses: what its trainer knows that steps have used.
        left: whether it has left the job.
    """

    def __init__(self, job: Job, name: str, requested_id: int | None = None) -> None:
        self.job, self.name = job, name
        self.worker_id, _ = job.register(name, requested_id, f"host {name}")
        address = f"host-{name}"
        self.report = AgentReport(AgentPhase.IDLE, f"{address}:1", f"{address}:2")
        self.known: RoundOrder | None = None
        self.plan: RoundPlan | None = None
        self.uses: list[StepUse] = []
        self.sequence = 0
        self.left = False

    @property
    def trains(self) -> bool:
        return self.report.phase is AgentPhase.TRAINING

    def tell(self) -> RoundOrder:
        return self.job.orders.rendezvous(self.worker_id, self.name, self.report, self.known)

    def poll(self) -> RoundOrder:
        order = self.tell()
        self.known = order
        match order.order:
            case Order.TRAIN if self.report.round != order.round:
                assert order.plan is not None
                self.plan, self.sequence, self.uses = order.plan, 0, []
                self.report = replace(
                    self.report,
                    phase=AgentPhase.TRAINING,
                    round=order.round,
                    step=order.plan.start.step,
                    holds_state=True,
                    uses=(),
                    problem="",
                )
            case Order.STOP | Order.END if self.trains:
                self.end()
            case Order.LEAVE:
                self.left = True
                self.job.leave(self.worker_id, self.name, "")
        return order

    def end(
        self,
        problem: str = "",
        phase: AgentPhase = AgentPhase.IDLE,
        *,
        with_state: bool = True,
    ) -> None:
        """The trainer ends."""
        self.report = replace(
            self.report,
            phase=phase,
            problem=problem,
            holds_state=with_state,
            uses=tuple(self.uses) if with_state else (),
        )

    def finish(self, step: int, uses: Iterable[Sequence[Lease]]) -> None:
        """Finishes a step that has used all of some leases, each of a member."""
        intervals = [
            Interval(each.token, each.start_position, each.end_position)
            for leases in uses
            for each in leases
        ]
        self.uses.append(StepUse(step, intervals))
        self.report = replace(self.report, step=step)

    def call(
        self, commits: Sequence[Commit] = (), max_leases: int = 1, key: EpochKey = KEY
    ) -> LeaseReply:
        self.sequence += 1
        return self.repeat(commits, max_leases, key)

    def repeat(
        self, commits: Sequence[Commit] = (), max_leases: int = 1, key: EpochKey = KEY
    ) -> LeaseReply:
        return self.job.commit_and_lease(
            LeaseRequest(
                self.worker_id,
                self.name,
                self.sequence,
                key,
                list(commits),
                max_leases,
                round=self.report.round,
                step=self.report.step,
            )
        )
