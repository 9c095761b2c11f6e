"""Agents that come, go, crash and obey or not: what must hold whatever happens.

`Company` checks, each time that a round begins, that its members are there and ready, that its
number is new, that no other runs, and that each holder has the very state that the job goes on
from (not another one of the same step, that was undone).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from round_parts import Company, StandInAgent

from elasticdl_like.master.round_decisions import RoundState
from elasticdl_like.rounds import AgentPhase, Order


class RoundsMachine(RuleBasedStateMachine):
    @initialize(
        num_agents=st.integers(0, 4), wanted=st.integers(1, 4), min_workers=st.integers(1, 2)
    )
    def start(self, num_agents: int, wanted: int, min_workers: int) -> None:
        self.company = Company(
            num_agents, num_workers=max(wanted, min_workers), min_workers=min_workers
        )
        self.next_id = num_agents

    def draw_agent(self, data: st.DataObject) -> StandInAgent:
        return self.company.agents[data.draw(st.sampled_from(sorted(self.company.agents)))]

    def trainers(self) -> list[StandInAgent]:
        return [each for each in self.company.agents.values() if each.trains]

    @rule(ready=st.booleans(), again=st.booleans())
    def join(self, ready: bool, again: bool) -> None:
        free = [each for each in range(self.next_id) if each not in self.company.agents]
        if again and free:
            self.company.join(free[0], ready=ready)
        elif len(self.company.agents) < 6:
            self.company.join(self.next_id, ready=ready)
            self.next_id += 1

    @precondition(lambda self: self.company.agents)
    @rule(data=st.data())
    def poll(self, data: st.DataObject) -> None:
        agent = self.draw_agent(data)
        if agent.report.phase is AgentPhase.STARTING:
            agent.become_ready()
        self.company.poll(agent.worker_id)

    @rule(times=st.integers(1, 4))
    def poll_all(self, times: int) -> None:
        self.company.poll_all(times)

    @precondition(lambda self: self.company.agents)
    @rule(data=st.data())
    def lose_an_answer(self, data: st.DataObject) -> None:
        self.company.tell(self.draw_agent(data).worker_id)

    @precondition(lambda self: self.company.agents)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.company.lose(self.draw_agent(data).worker_id)

    @precondition(lambda self: self.trainers())
    @rule(data=st.data(), with_state=st.booleans())
    def end_of_a_trainer(self, data: st.DataObject, with_state: bool) -> None:
        agent = data.draw(st.sampled_from(self.trainers()))
        agent.end("UnavailableError", with_state=with_state)

    @precondition(lambda self: self.company.agents)
    @rule(data=st.data())
    def cannot_start(self, data: st.DataObject) -> None:
        agent = self.draw_agent(data)
        order = self.company.tell(agent.worker_id)
        if order.order is Order.TRAIN and not agent.trains and agent.report.round != order.round:
            agent.known = order
            agent.report = replace(agent.report, round=order.round, step=0)
            agent.end("the port is in use", with_state=False)

    @precondition(lambda self: self.company.rounds.members)
    @rule(steps=st.integers(1, 3), data=st.data())
    def train(self, steps: int, data: st.DataObject) -> None:
        company = self.company
        agents = [company.agents[each] for each in company.rounds.members]
        number = company.rounds.number
        # A step is finished by all, but that the last may be finished by some.
        if not all(each.trains and each.report.round == number for each in agents):
            return
        last = max(each.report.step for each in agents)
        for agent in agents:
            while agent.report.step < last:
                agent.finish_step()
        company.train(steps)
        if data.draw(st.booleans()):
            company.train(without=data.draw(st.sampled_from(company.rounds.members)))

    @rule()
    def save_checkpoint(self) -> None:
        if self.company.rounds.running is None:
            self.company.checkpoint = self.company.history

    @rule()
    def have_no_marks(self) -> None:
        self.company.has_no_marks = True

    @precondition(lambda self: self.company.agents)
    @rule(data=st.data(), leaving=st.booleans())
    def want_to_leave(self, data: st.DataObject, leaving: bool) -> None:
        agent = self.draw_agent(data)
        agent.report = replace(agent.report, leaving=leaving)

    @rule(num_workers=st.integers(1, 4))
    def scale(self, num_workers: int) -> None:
        self.company.rounds.scale(max(num_workers, self.company.config.min_workers))
        self.company.advance()

    @rule(seconds=st.sampled_from([0.1, 1.1, 11.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.company.wait(seconds)

    @rule()
    def be_stuck(self) -> None:
        for agent in self.trainers():
            agent.report = replace(agent.report, exchanging_s=31.0)

    @rule()
    def restart(self) -> None:
        self.company.restart()

    @invariant()
    def a_round_has_members_that_are_there(self) -> None:
        rounds = self.company.rounds
        assert set(rounds.members) <= self.company.agents.keys()
        assert (rounds.running is None) == (rounds.state in (RoundState.FORMING, RoundState.DONE))

    @invariant()
    def only_members_are_told_to_train(self) -> None:
        rounds = self.company.rounds
        for worker_id in self.company.agents:
            order = rounds.order(worker_id)
            if order.order in (Order.TRAIN, Order.STOP):
                assert worker_id in rounds.members
                assert order.round == rounds.number

    def teardown(self) -> None:
        """When everybody obeys, the job goes on, and comes to an end."""
        company = self.company
        for agent in list(company.agents.values()):
            agent.report = replace(agent.report, leaving=False, exchanging_s=0.0)
            if agent.report.phase is AgentPhase.STARTING:
                agent.become_ready()
        for _ in range(3):
            company.poll_all()
            while len(company.agents) < company.rounds.wanted:
                company.join(self.next_id)
                self.next_id += 1
        for _ in range(20):  # long enough for whoever is left out
            company.wait(100)
            company.poll_all()
            if len(company.rounds.members) == company.rounds.wanted:
                break
        rounds = company.rounds
        assert rounds.state is RoundState.RUNNING
        assert len(rounds.members) == rounds.wanted
        assert len(company.agents) == rounds.wanted
        company.train(2)
        for agent in company.agents.values():
            assert agent.trains
            agent.report = replace(agent.report, phase=AgentPhase.DONE)
        company.poll_all()
        assert rounds.state is RoundState.DONE
        assert company.agents == {}


RoundsMachine.TestCase.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=300,
    stateful_step_count=40,
    database=None,
    phases=[Phase.generate],
)
TestRounds: Any = RoundsMachine.TestCase
