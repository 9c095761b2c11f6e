"""Agents that ask the master what to do, over real connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from job_parts import JobInDirectory, evaluation

from elasticdl_command import eventually
from elasticdl_like.config import TlsConfig, WorkersConfig
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.server import serve
from elasticdl_like.proto import convert, elasticdl_pb2_grpc
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto.channel import open_channel
from elasticdl_like.rounds import AgentPhase, AgentReport, Order, RoundOrder

TOKEN = "the-token"


def soon(condition: Callable[[], bool]) -> None:
    eventually(condition, 20)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[JobInDirectory]:
    made = JobInDirectory(
        tmp_path, time.monotonic, workers=WorkersConfig(2, max_workers=3, settle_s=0.2)
    )
    yield made
    made.close()


@pytest.fixture
def address(one: JobInDirectory) -> Iterator[str]:
    with serve(one.job, "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address:
        yield address


class Agent:
    """Asks in a thread of its own, and does what it is told."""

    def __init__(self, address: str, name: str) -> None:
        self._channel = open_channel(address, TOKEN, TlsConfig())
        self.stub = elasticdl_pb2_grpc.MasterStub(self._channel)  # type: ignore[no-untyped-call]
        reply = self.stub.Register(pb.RegisterRequest(incarnation=name), timeout=20)
        self.caller = pb.Caller(worker_id=reply.worker_id, incarnation=name)
        self.orders: list[RoundOrder] = []
        self.report = AgentReport(AgentPhase.IDLE, f"{name}:1", f"{name}:2")
        self.error: Any = None
        self._closing = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def last(self) -> tuple[str, int]:
        return (self.orders[-1].order, self.orders[-1].round) if self.orders else ("", 0)

    def request(self, known: RoundOrder | None) -> pb.RendezvousRequest:
        request = pb.RendezvousRequest(
            caller=self.caller, report=convert.agent_report_to_proto(self.report)
        )
        if known is not None:
            request.known.CopyFrom(convert.round_order_to_proto(known))
        return request

    def close(self) -> None:
        self._closing = True
        self._channel.close()
        self._thread.join(20)

    def _run(self) -> None:
        known = None
        while not self._closing:
            try:
                reply = self.stub.Rendezvous(self.request(known), timeout=20)
            except (grpc.RpcError, ValueError) as error:
                self.error = error
                return
            order = convert.round_order_from_proto(reply.order)
            if known is None or (order.order, order.round) != (known.order, known.round):
                self.orders.append(order)
            known = order
            phase, number, step = self.report.phase, self.report.round, self.report.step
            if order.plan is not None and number != order.round:
                phase, number, step = AgentPhase.TRAINING, order.round, order.plan.start.step
            elif order.order in (Order.STOP, Order.END):
                phase = AgentPhase.IDLE
            self.report = AgentReport(
                phase,
                self.report.agent_address,
                self.report.trainer_address,
                number,
                step,
                holds_state=number > 0,
            )


@pytest.fixture
def agents(address: str) -> Iterator[list[Agent]]:
    made = [Agent(address, name) for name in ("a", "b")]
    yield made
    for each in made:
        each.close()


def test_agents_are_told_at_once_and_otherwise_left_in_peace(
    one: JobInDirectory, agents: list[Agent]
) -> None:
    soon(lambda: [each.last for each in agents] == [("train", 1)] * 2)
    plan = agents[0].orders[-1].plan
    assert plan is not None
    assert agents[1].orders[-1].plan == plan
    assert [each.worker_id for each in plan.members] == [0, 1]
    # From another thread than the server's.
    one.job.lose(1, "it was killed")
    soon(lambda: agents[0].last == ("train", 2))
    soon(lambda: agents[1].error is not None)
    assert agents[1].error.code() is grpc.StatusCode.NOT_FOUND
    assert [each.order for each in agents[0].orders][-3:] == [Order.TRAIN, Order.END, Order.TRAIN]


def test_what_is_told_is_in_the_journal(one: JobInDirectory, agents: list[Agent]) -> None:
    soon(lambda: agents[0].last == ("train", 1))
    one.restart()
    assert one.core.rounds is not None
    assert one.core.rounds.members == [0, 1]


def test_scaling(one: JobInDirectory, address: str, agents: list[Agent]) -> None:
    soon(lambda: [each.last for each in agents] == [("train", 1)] * 2)
    agents[0].stub.Scale(pb.ScaleRequest(num_workers=3), timeout=20)
    assert one.job.workers_wanted == 3
    agents.append(Agent(address, "c"))
    soon(lambda: [each.last for each in agents] == [("train", 2)] * 3)
    with pytest.raises(grpc.RpcError) as caught:
        agents[0].stub.Scale(pb.ScaleRequest(num_workers=4), timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    agents[0].stub.Scale(pb.ScaleRequest(num_workers=2), timeout=20)
    soon(lambda: agents[2].last == ("leave", 0))
    soon(lambda: [each.last for each in agents[:2]] == [("train", 3)] * 2)


def test_a_job_that_fails_tells_who_waits(one: JobInDirectory, agents: list[Agent]) -> None:
    soon(lambda: [each.last for each in agents] == [("train", 1)] * 2)
    one.job.fail("the data has changed")
    soon(lambda: all(each.error is not None for each in agents))
    assert {each.error.code() for each in agents} == {grpc.StatusCode.ABORTED}


def test_an_agent_that_knows_its_order_is_answered_later(
    one: JobInDirectory, agents: list[Agent]
) -> None:
    soon(lambda: [each.last for each in agents] == [("train", 1)] * 2)
    # A metric that is no number is not equal to itself, and travels with each plan.
    one.job.finishing.report_evaluation(Caller(0, "a", 1), evaluation(0), {"loss": float("nan")})
    one.job.lose(1, "gone")
    soon(lambda: agents[0].last == ("train", 2))
    soon(lambda: agents[0].report.phase is AgentPhase.TRAINING)
    request = agents[0].request(agents[0].orders[-1])
    waiting = agents[0].stub.Rendezvous.future(request, timeout=20)
    with pytest.raises(grpc.FutureTimeoutError):
        waiting.result(0.5)
    agents[0].stub.Status(pb.StatusRequest(), timeout=20)  # others are not held up
    assert convert.round_order_from_proto(waiting.result(20).order).round == 2


def test_a_job_without_rounds_says_so(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    one = JobInDirectory(tmp_path / "local", time.monotonic)
    with serve(one.job, "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address:
        channel = open_channel(address, TOKEN, TlsConfig())
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as caught:
            stub.Scale(pb.ScaleRequest(num_workers=2), timeout=20)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "--distribution_strategy AllReduce" in (caught.value.details() or "")
        channel.close()
    one.close()
