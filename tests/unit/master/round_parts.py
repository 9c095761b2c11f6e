"""A stand-in for agents and for the owner of `Rounds`, for the tests of rounds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from elasticdl_like.config import WorkersConfig
from elasticdl_like.master.round_decisions import EndRound, FormRound
from elasticdl_like.master.rounds import Rounds
from elasticdl_like.rounds import AgentPhase, AgentReport, Order, RoundOrder, RoundPlan
from elasticdl_like.tasks import StartPoint

History = tuple[int, ...]


@dataclass
class StandInAgent:
    """An agent that obeys.

    Attributes:
        history: the round in which each step of the state that it holds was made: the state.
    """

    worker_id: int
    report: AgentReport = field(init=False)
    known: RoundOrder | None = None
    history: History | None = None
    left: bool = False

    def __post_init__(self) -> None:
        self.report = AgentReport(
            AgentPhase.STARTING, f"agent:{self.worker_id}", f"trainer:{self.worker_id}"
        )

    @property
    def trains(self) -> bool:
        return self.report.phase is AgentPhase.TRAINING

    def become_ready(self) -> None:
        self.report = replace(self.report, phase=AgentPhase.IDLE)

    def obey(self, order: RoundOrder, start: History | None) -> None:
        """Does what it is told; a trainer that starts has the state that is given."""
        self.known = order
        if order.order is Order.TRAIN and self.report.round != order.round:
            if self.report.phase is AgentPhase.STARTING:
                return
            assert order.plan is not None
            self.history = start
            self.report = replace(
                self.report,
                phase=AgentPhase.TRAINING,
                round=order.round,
                step=order.plan.start.step,
                holds_state=True,
                problem="",
                exchanging_s=0.0,
            )
        elif order.order in (Order.STOP, Order.END) and self.trains:
            if self.report.round == order.round:
                self.end()
        elif order.order in (Order.STOP, Order.END) and order.round > self.report.round:
            # The round is over before it has begun here; the state is that of an earlier one.
            self.report = replace(self.report, round=order.round, problem="")
        elif order.order is Order.LEAVE:
            self.left = True

    def end(self, problem: str = "", *, with_state: bool = True) -> None:
        """Its trainer ends."""
        self.history = self.history if with_state else None
        self.report = replace(
            self.report,
            phase=AgentPhase.IDLE,
            problem=problem,
            holds_state=with_state,
            exchanging_s=0.0,
        )

    def finish_step(self) -> None:
        assert self.history is not None
        self.history = (*self.history, self.report.round)
        self.report = replace(self.report, step=len(self.history))


class Company:
    """Agents, and a master that has nothing but rounds.

    Attributes:
        history: what the job goes on from.
        checkpoint: the newest one.
        plans: every round that was begun.
        ends: every end of a round.
        has_no_marks: whether, at the next end of a round, the ledger cannot go back to a step that
            is held.
    """

    def __init__(self, num_agents: int = 0, **workers: float) -> None:
        self.config = WorkersConfig(
            **{"num_workers": max(num_agents, 1), "min_workers": 1} | workers  # type: ignore[arg-type]
        )
        self.rounds = Rounds(self.config)
        self.agents: dict[int, StandInAgent] = {}
        self.now_s = 1000.0
        self.history: History = ()
        self.checkpoint: History = ()
        self.plans: list[RoundPlan] = []
        self.ends: list[EndRound] = []
        self.has_no_marks = False
        for worker_id in range(num_agents):
            self.join(worker_id)

    def join(self, worker_id: int, *, ready: bool = True) -> StandInAgent:
        agent = self.agents[worker_id] = StandInAgent(worker_id)
        self.rounds.register(worker_id, self.now_s)
        if ready:
            agent.become_ready()
        return agent

    def lose(self, worker_id: int, reason: str = "it was killed") -> None:
        del self.agents[worker_id]
        self.rounds.explain(worker_id, reason)
        self.rounds.drop(worker_id)
        self.advance()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.advance()

    def tell(self, worker_id: int) -> RoundOrder:
        """An agent reports; it is not said what it makes of the answer."""
        agent = self.agents[worker_id]
        self.rounds.hear(worker_id, agent.report, agent.known, self.now_s)
        self.advance()
        return self.rounds.order(worker_id)

    def poll(self, worker_id: int) -> RoundOrder:
        """An agent reports, and obeys."""
        order = self.tell(worker_id)
        agent = self.agents[worker_id]
        start = None
        if order.plan is not None:
            assert order.plan.start.step == len(self.history)
            start = self.history
        agent.obey(order, start)
        if agent.left:
            del self.agents[worker_id]
            self.rounds.drop(worker_id)
            self.advance()
        return order

    def poll_all(self, times: int = 3) -> None:
        for _ in range(times):
            for worker_id in list(self.agents):
                self.poll(worker_id)

    def train(self, steps: int = 1, *, without: int | None = None) -> None:
        """The members of the round finish steps, one of them perhaps not."""
        for worker_id in self.rounds.members:
            if worker_id != without and self.agents[worker_id].trains:
                for _ in range(steps):
                    self.agents[worker_id].finish_step()

    def restart(self) -> None:
        """The master starts again, with what is in the journal."""
        plain = json.loads(json.dumps(self.rounds.to_plain()))
        registered = [each.worker_id for each in self.agents.values()]
        self.rounds = Rounds(self.config)
        self.rounds.load_plain(plain, registered)
        assert json.loads(json.dumps(self.rounds.to_plain())) == plain
        self.rounds.start_deadlines(self.now_s)

    def advance(self) -> None:
        while (decision := self.rounds.decide(self.now_s)) is not None:
            if isinstance(decision, EndRound):
                self._end(decision)
            else:
                self._begin(decision)

    def held(self, step: int) -> list[History]:
        """Returns the states of a step that agents hold and the master relies on."""
        return [
            each.history
            for each in self.agents.values()
            if each.history is not None
            and len(each.history) == step
            and not each.trains
            and each.report.holds_state
        ]

    def _end(self, decision: EndRound) -> None:
        plan = self.rounds.running
        assert plan is not None
        assert plan.number == decision.round
        self.ends.append(decision)
        if decision.done or (decision.steps and not self.has_no_marks):
            step = max(decision.steps)
            # Which of several states of this step it is: those of this round, or its start.
            made = (plan.number,) * (step - plan.start.step)
            self._go_to((*self.history[:step], *made))
            if not decision.done:
                assert self.history in self.held(step)
        else:
            self._go_to(self.checkpoint)
        self.has_no_marks = False
        self.rounds.end(len(self.history), self.now_s)
        if decision.done:
            self.rounds.finish()

    def _begin(self, decision: FormRound) -> None:
        assert self.rounds.running is None
        step = len(self.history)
        held = self.rounds.held_steps()
        for each in held:
            assert self.history[:each] in self.held(each)
        if step not in held and self.history != self.checkpoint:
            step = max(each for each in (*held, len(self.checkpoint)) if each <= step)
            self._go_to(self.history[:step])
            self.rounds.adopt(step)
        is_held = step in held
        if not is_held:
            assert self.history == self.checkpoint
        start = StartPoint(0, step, "" if is_held else f"checkpoint-{step}")
        plan = self.rounds.plan(decision.members, start)
        assert bool(plan.holders) == is_held
        assert plan.number == len(self.plans) + 1
        for address in plan.holders:
            holder = self.agents[int(address.partition(":")[2])]
            assert holder.history == self.history
        for member in plan.members:
            report = self.agents[member.worker_id].report
            assert report.phase in (AgentPhase.IDLE, AgentPhase.DONE)
        self.plans.append(plan)
        self.rounds.begin(plan, self.now_s)

    def _go_to(self, history: History) -> None:
        self.history = history
        if self.checkpoint != history[: len(self.checkpoint)]:
            self.checkpoint = ()
