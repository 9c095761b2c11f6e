"""What an agent does under one registration at the master."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, replace

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import (
    ElasticdlError,
    JobFailedError,
    TrainerCrashedError,
)
from elasticdl_like.process_end import EndKind, describe_end, end_kind
from elasticdl_like.rounds import AgentReport, Order, RoundOrder, RoundPlan
from elasticdl_like.worker import agent_status
from elasticdl_like.worker.agent_status import Action, AgentStatus, TrainerPhase
from elasticdl_like.worker.container_memory import read_container_memory
from elasticdl_like.worker.held_state import HeldState
from elasticdl_like.worker.inbox import Inbox
from elasticdl_like.worker.leave_request import LeaveRequest
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.order_poll import OrderPoll
from elasticdl_like.worker.own_address import ReservedPort
from elasticdl_like.worker.parent import end_orphans
from elasticdl_like.worker.state_client import StateFetch
from elasticdl_like.worker.trainer_factory import TrainerFactory
from elasticdl_like.worker.trainer_handle import TrainerHandle
from elasticdl_like.worker.trainer_link import TrainerEnd, TrainerOutcome, TrainerStart

_logger = logging.getLogger(__name__)

_TICK_S = 0.5


@dataclass(frozen=True)
class _Fetched:
    """The end of a transfer; `file` is None if it failed."""

    fetch: StateFetch
    step: int
    file: int | None
    problem: str = ""


class Participation:
    """Brings a worker, turn by turn, to where the master wants it.

    Args:
        client: has registered the worker.
        job: the job.
        locator: tells where the master is.
        token: the job's token.
        master_timeout_s: how long the master may be silent.
        factory: starts trainers.
        held: the state that the agent keeps and serves; none at first.
        inbox: ends the wait for the next turn.
        leave_request: tells when the worker is to leave the job.
        host: the address of this machine that others reach it at.
        agent_address: where the agent serves the state.
    """

    def __init__(
        self,
        *,
        client: MasterClient,
        job: JobConfig,
        locator: MasterLocator,
        token: str,
        master_timeout_s: float,
        factory: TrainerFactory,
        held: HeldState,
        inbox: Inbox,
        leave_request: LeaveRequest,
        host: str,
        agent_address: str,
    ) -> None:
        self._client = client
        self._job = job
        self._locator = locator
        self._token = token
        self._master_timeout_s = master_timeout_s
        self._factory = factory
        self._held = held
        self._inbox = inbox
        self._leave_request = leave_request
        self._host = host
        self._agent_address = agent_address
        self._port = ReservedPort(host)
        self._trainer: TrainerHandle | None = None
        self._fetch: StateFetch | None = None
        self._memory = read_container_memory()
        self._order = RoundOrder(Order.WAIT)
        self._status = AgentStatus(can_start=factory.ready, leaving=leave_request.asked)

    def run(self) -> bool:
        """Takes part until the master needs the worker no longer.

        Returns:
            Whether the master has said so; False if the worker was asked to leave while the master
            was away.

        Raises:
            ElasticdlError: see `Agent.take_part`.
        """
        # What is left there was for an earlier registration.
        for value in self._inbox.wait((), 0.0):
            if isinstance(value, _Fetched):
                self._take_fetched(value)
        with OrderPoll(self._client, self._report(), self._inbox.put, self._inbox.put) as poll:
            try:
                while self._act():
                    if agent_status.leaves_unheard(self._status, self._client.master_silent_s):
                        _logger.warning("the worker leaves; the master cannot be told")
                        return False
                    poll.tell(self._report())
                    self._wait()
                    self._look()
                return True
            finally:
                self._close()

    def _report(self) -> AgentReport:
        return agent_status.make_report(self._status, self._agent_address, self._port.address)

    def _act(self) -> bool:
        """Does what is next, and returns whether there will be more."""
        while True:
            order, action = self._order, agent_status.next_action(self._order, self._status)
            match action:
                case Action.NOTHING:
                    return True
                case Action.LEAVE:
                    return False
                case Action.START:
                    assert order.plan is not None
                    self._start(order.plan)
                case Action.STOP:
                    assert self._trainer is not None
                    self._status = replace(self._status, trainer=TrainerPhase.STOP)
                    self._trainer.ask_to_stop()
                case Action.END:
                    self._end()

    def _wait(self) -> None:
        files = [self._factory.file]
        if self._trainer is not None:
            files += self._trainer.files
        for value in self._inbox.wait(files, _TICK_S):
            match value:
                case RoundOrder():
                    self._order = value
                    _logger.info("the master says: %s (round %d)", value.order, value.round)
                case _Fetched():
                    self._take_fetched(value)
                case ElasticdlError():
                    raise value

    def _look(self) -> None:
        self._factory.look()
        self._status = replace(
            self._status, can_start=self._factory.ready, leaving=self._leave_request.asked
        )
        trainer = self._trainer
        if trainer is None:
            return
        has_ended = trainer.look()
        if self._held.step is not None and trainer.progress.step > self._held.step:
            # Every member is past its start: nobody needs that state any more.
            self._held.drop()
        self._status = replace(self._status, progress=trainer.progress, held_step=self._held.step)
        if has_ended:
            self._after(trainer)

    def _start(self, plan: RoundPlan) -> None:
        start = TrainerStart(
            self._job,
            self._client.worker_id,
            self._client.incarnation,
            plan,
            self._master_timeout_s,
        )
        self._port.release()
        trainer = self._factory.start(start)
        if trainer is None:
            # The plan has this port: the next try is with the same.
            self._status = replace(self._status, can_start=False)
            return
        _logger.info(
            "trainer process %d starts in round %d, after step %d",
            *(trainer.pid, plan.number, plan.start.step),
        )
        self._trainer = trainer
        own_file = None
        if self._agent_address in plan.holders:
            own_file = self._held.open(plan.start.step)
        if own_file is None:
            self._held.drop()
        else:
            trainer.give_state(own_file)
            os.close(own_file)
        others = [each for each in plan.holders if each != self._agent_address]
        if plan.holders and own_file is None:
            self._begin_fetch(others, plan.start.step)
        status = replace(self._status, held_step=self._held.step)
        self._status = agent_status.started(status, plan)

    def _begin_fetch(self, holders: list[str], step: int) -> None:
        fetch = StateFetch(holders, step, self._token, self._locator.tls)
        self._fetch = fetch

        def run() -> None:
            try:
                fetched = _Fetched(fetch, step, fetch.run())
            except ElasticdlError as error:
                fetched = _Fetched(fetch, step, None, str(error))
            self._inbox.put(fetched)

        threading.Thread(target=run, name="state fetch", daemon=True).start()

    def _take_fetched(self, fetched: _Fetched) -> None:
        if fetched.fetch is not self._fetch:
            if fetched.file is not None:
                os.close(fetched.file)
            return
        self._fetch = None
        assert self._trainer is not None
        if fetched.file is None:
            self._trainer.kill(fetched.problem)
            return
        self._trainer.give_state(fetched.file)
        self._held.keep(fetched.step, fetched.file)
        self._status = replace(self._status, held_step=fetched.step)

    def _end(self) -> None:
        trainer = self._trainer
        assert trainer is not None
        # What it said a moment ago counts: that it has begun.
        trainer.look()
        self._status = replace(self._status, trainer=TrainerPhase.END, progress=trainer.progress)
        if self._status.nothing_to_lose:
            trainer.kill("its round is over")
        else:
            trainer.ask_to_end()

    def _after(self, trainer: TrainerHandle) -> None:
        self._forget_trainer()
        end = trainer.end
        try:
            if end is not None:
                self._note_end(trainer, end)
            else:
                self._note_loss(trainer)
        finally:
            trainer.close()
        self._port = ReservedPort(self._host)

    def _note_end(self, trainer: TrainerHandle, end: TrainerEnd) -> None:
        if end.outcome is TrainerOutcome.FAILED:
            raise JobFailedError(end.problem)
        if end.holds_state:
            self._held.keep(end.step, trainer.take_state())
        status = replace(self._status, held_step=self._held.step)
        self._status = agent_status.ended(status, end)
        _logger.info(
            "trainer process %d has ended after step %d: %s%s",
            *(trainer.pid, end.step, end.outcome, f" ({end.problem})" if end.problem else ""),
        )

    def _note_loss(self, trainer: TrainerHandle) -> None:
        how = describe_end(trainer.exit_code)
        was_told = self._status.trainer is TrainerPhase.END
        by_itself = not was_told and not trainer.killed
        memory, self._memory = self._memory, read_container_memory()
        if (
            by_itself
            and memory is not None
            and self._memory is not None
            and self._memory.num_kills > memory.num_kills
        ):
            # Where that is its own doing, it will come to that again.
            raise TrainerCrashedError(
                f"trainer process {trainer.pid} {how}, after step {trainer.progress.step}: the "
                f"container has used up its memory, {memory.limit_bytes >> 20} MiB"
            )
        if by_itself and end_kind(trainer.exit_code) is EndKind.CRASH:
            raise TrainerCrashedError(
                f"trainer process {trainer.pid} {how}, after step {trainer.progress.step}; the "
                "log above says why"
            )
        problem = trainer.killed or f"its trainer {how}"
        _logger.warning("trainer process %d %s: %s", trainer.pid, how, problem)
        self._status = agent_status.lost(self._status, problem)

    def _forget_trainer(self) -> None:
        self._trainer = None
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None
        end_orphans({self._factory.zygote_pid})

    def _close(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
            self._forget_trainer()
        self._port.release()
