"""The conversation of an agent with its master."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from fake_master import TOKEN, failure
from round_master import RoundMaster

from elasticdl_command import eventually
from elasticdl_like.errors import JobFailedError, RoundOverError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.rounds import AgentPhase, AgentReport, Order, RoundOrder
from elasticdl_like.tasks import EpochKey, TaskType
from elasticdl_like.worker.connection import Interrupt
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.order_poll import OrderPoll

_IDLE = AgentReport(AgentPhase.IDLE, "a:1", "a:2")


@pytest.fixture
def master() -> Iterator[RoundMaster]:
    master = RoundMaster()
    yield master
    master.stop()


@pytest.fixture
def client(master: RoundMaster) -> Iterator[MasterClient]:
    client = MasterClient(MasterLocator.at(master.address, TOKEN), 20.0, "x", worker_id=3, round=5)
    yield client
    client.close()


def test_a_trainer_calls_with_the_name_of_its_agent_and_its_round(
    master: RoundMaster, client: MasterClient
) -> None:
    client.commit_and_lease(EpochKey(TaskType.TRAINING, 0, 0), (), 1, step=12)
    client.heartbeat()
    request, heartbeat = master.calls
    assert (request.sequence, request.step) == (1, 12)
    for caller in (request.caller, heartbeat.caller):
        assert (caller.worker_id, caller.incarnation, caller.round) == (3, "x", 5)


def test_a_trainer_is_told_that_its_round_is_over(
    master: RoundMaster, client: MasterClient
) -> None:
    master.answers.append(failure(grpc.StatusCode.OUT_OF_RANGE, "round 6 runs"))
    with pytest.raises(RoundOverError, match="round 6 runs"):
        client.commit_and_lease(EpochKey(TaskType.TRAINING, 0, 0), (), 1)


def test_what_an_agent_knows_is_told(master: RoundMaster, client: MasterClient) -> None:
    report = replace(_IDLE, round=2, step=7, holds_state=True, problem="reset")
    order = client.rendezvous(report, None, Interrupt())
    assert order == RoundOrder(Order.WAIT)
    assert client.rendezvous(report, order, Interrupt()) == order
    assert master.reports[3] == [report, report]
    first, second = (each for each in master.calls if isinstance(each, pb.RendezvousRequest))
    assert (first.HasField("known"), second.HasField("known")) == (False, True)


def test_an_interrupted_call_ends_and_so_does_one_that_begins_later(
    master: RoundMaster, client: MasterClient
) -> None:
    interrupt = Interrupt()
    interrupt.set()
    assert client.rendezvous(_IDLE, RoundOrder(Order.WAIT), interrupt) is None


def test_news_end_the_call_that_is_waiting(master: RoundMaster, client: MasterClient) -> None:
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with OrderPoll(client, _IDLE, orders.put, orders.put) as poll:
        assert orders.get(timeout=20) == RoundOrder(Order.WAIT)
        for number in range(20):
            news = replace(_IDLE, round=number)
            poll.tell(news)
            eventually(lambda news=news: master.last(3) == news, 20)
        master.order(Order.LEAVE, worker_id=3)
        assert orders.get(timeout=20) == RoundOrder(Order.LEAVE)
    rounds = [report.round for report in master.reports[3]]
    assert rounds == sorted(rounds)
    assert orders.empty()


def test_an_error_ends_the_conversation(master: RoundMaster, client: MasterClient) -> None:
    values: queue.SimpleQueue[Any] = queue.SimpleQueue()
    master.answers.append(failure(grpc.StatusCode.ABORTED, "out of data"))
    with OrderPoll(client, _IDLE, values.put, values.put):
        error = values.get(timeout=20)
    assert isinstance(error, JobFailedError)
    assert str(error) == "out of data"
    assert values.empty()
