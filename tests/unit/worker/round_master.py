"""A master that orders what a test says, and notes what agents report."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
from fake_master import FakeMaster

from elasticdl_command import eventually
from elasticdl_like.config import DataConfig, DistributionStrategy, JobConfig, ModelConfig
from elasticdl_like.errors import UnknownWorkerError
from elasticdl_like.proto import convert
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto.status_codes import status_code
from elasticdl_like.rounds import AgentPhase, AgentReport, Member, Order, RoundOrder, RoundPlan
from elasticdl_like.tasks import StartPoint

_ANSWER_S = 0.3


class RoundMaster(FakeMaster):
    """Answers polls when the order for the caller is another than the one it knows."""

    def __init__(self, **behaviour: Any) -> None:
        self.job = JobConfig(
            "job",
            DataConfig("data"),
            ModelConfig("/zoo", "model.make", params=behaviour),
            distribution_strategy=DistributionStrategy.ALL_REDUCE,
        )
        self.reports: dict[int, list[AgentReport]] = {}
        self.registered: list[Any] = []
        self.left: list[Any] = []
        self.unknown: set[str] = set()
        self._orders: dict[int, RoundOrder] = {}
        self._changed = threading.Condition()
        super().__init__()

    def Register(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.registered.append(request)
        start = convert.start_point_to_proto(StartPoint(0, 0, ""))
        reply = pb.RegisterReply(
            worker_id=request.worker_id, job_config_json=self.job.to_json(), start=start
        )
        return self._answer(request, context, reply)

    def Leave(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.left.append(request)
        return super().Leave(request, context)

    def Rendezvous(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if request.caller.incarnation in self.unknown:
            context.abort(status_code(UnknownWorkerError()), "who is that?")
        worker_id = request.caller.worker_id
        known = convert.round_order_from_proto(request.known) if request.HasField("known") else None
        deadline_s = time.monotonic() + _ANSWER_S
        with self._changed:
            report = convert.agent_report_from_proto(request.report)
            self.reports.setdefault(worker_id, []).append(report)
            while True:
                order = self._orders.get(worker_id, RoundOrder(Order.WAIT))
                left_s = deadline_s - time.monotonic()
                if order != known or left_s <= 0 or not context.is_active():
                    break
                self._changed.wait(min(left_s, 0.02))
        return self._answer(
            request, context, pb.RendezvousReply(order=convert.round_order_to_proto(order))
        )

    def order(self, order: Order, round_number: int = 0, worker_id: int = 0) -> None:
        self._give(worker_id, RoundOrder(order, round_number))

    def train(
        self,
        number: int,
        step: int = 0,
        holders: tuple[str, ...] = (),
        worker_id: int = 0,
        others: tuple[Member, ...] = (),
    ) -> None:
        """Orders a round of one member, and of others that nobody tells."""
        report = self.last(worker_id)
        member = Member(worker_id, report.agent_address, report.trainer_address)
        plan = RoundPlan(number, (member, *others), StartPoint(0, step, ""), holders)
        self._give(worker_id, RoundOrder(Order.TRAIN, number, plan))

    def last(self, worker_id: int = 0) -> AgentReport:
        return self.reports[worker_id][-1]

    def when(
        self,
        holds: Callable[[AgentReport], bool],
        worker_id: int = 0,
        timeout: float = 30.0,
        command: Any = None,
    ) -> AgentReport:
        """Waits for a report, and returns it."""

        def look() -> AgentReport | None:
            reports = self.reports.get(worker_id)
            return reports[-1] if reports and holds(reports[-1]) else None

        return eventually(look, timeout, command)

    def when_idle(
        self, round_number: int, worker_id: int = 0, timeout: float = 30.0, command: Any = None
    ) -> AgentReport:
        """Waits until there is no trainer, that of a round being the last."""
        return self.when(
            lambda report: report.phase is AgentPhase.IDLE and report.round == round_number,
            *(worker_id, timeout, command),
        )

    def when_trained(
        self, round_number: int, step: int, worker_id: int = 0, command: Any = None
    ) -> AgentReport:
        """Waits until the trainer of a round has finished a step."""
        return self.when(
            lambda report: report.round == round_number and report.step >= step,
            *(worker_id, 30.0, command),
        )

    def _give(self, worker_id: int, order: RoundOrder) -> None:
        with self._changed:
            self._orders[worker_id] = order
            self._changed.notify_all()


def with_behaviour(master: RoundMaster, **behaviour: Any) -> None:
    """Has workers that register from now on train in another way."""
    assert master.job.model is not None
    model = dataclasses.replace(master.job.model, params=behaviour)
    master.job = dataclasses.replace(master.job, model=model)
