"""Who trains together, and when that changes: a pure state machine, with the clock passed in.

FORMING waits for workers. RUNNING has a round that trains. STOPPING ends it after a step that its
members agree on, because one joins or leaves; ENDING ends it at once, because it is broken;
FINISHING waits for the others when one member has come to the end of the job. When every member
has reported how it ended, or is lost, the round is over, and the next is formed.

What is decided (`decide`) takes effect when the owner says so (`begin`, `end`): these, and the
workers who come and go, are what the journal has. What agents report they will report again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elasticdl_like.config import WorkersConfig
from elasticdl_like.master.round_agents import Agent, Agents
from elasticdl_like.master.round_breaks import find_break
from elasticdl_like.master.round_decisions import (
    Decision,
    EndRound,
    FormRound,
    RoundState,
    describe_workers,
)
from elasticdl_like.master.round_leaving import dismiss
from elasticdl_like.master.round_record import RoundRecord
from elasticdl_like.master.round_states import can_give_state
from elasticdl_like.rounds import AgentReport, Member, Order, RoundOrder, RoundPlan, StepUse
from elasticdl_like.tasks import StartPoint

_MOST_FAILURES = 3


class Rounds:
    """The rounds of one job.

    Args:
        config: how many workers train together.
    """

    def __init__(self, config: WorkersConfig) -> None:
        self._config = config
        self._record = RoundRecord(config.num_workers)
        # From here on what is not in the journal.
        self._agents = Agents()
        self._state = RoundState.FORMING
        self._since_s = self._began_s = 0.0
        self._why = ""
        self._reasons: dict[int, str] = {}
        self._breaker: int | None = None
        self._breakers: list[int] = []
        self._version = 0

    @property
    def wanted(self) -> int:
        """How many workers should train."""
        return self._record.wanted

    @property
    def number(self) -> int:
        """The number of the round that runs, or of the last one; 0 before the first."""
        return self._record.number

    @property
    def running(self) -> RoundPlan | None:
        """The round that has begun and is not over."""
        return self._record.plan if self._record.is_running else None

    @property
    def members(self) -> list[int]:
        """The workers of the round that runs, by rank, but for those that are gone."""
        return self._record.survivors if self._record.is_running else []

    @property
    def done(self) -> bool:
        """Whether there is no more work."""
        return self._record.is_done

    @property
    def state(self) -> RoundState:
        """What the workers are at."""
        return RoundState.DONE if self._record.is_done else self._state

    @property
    def since_s(self) -> float:
        """When that began."""
        return self._since_s

    @property
    def why(self) -> str:
        """Why the last round was, or is being, ended; "" if it is not."""
        return self._why

    @property
    def version(self) -> int:
        """Another number whenever the order of a worker may be another."""
        return self._version

    def agent(self, worker_id: int) -> Agent | None:
        """Returns what is known of a worker's agent, or None if it is not registered."""
        return self._agents.get(worker_id)

    # What happens.

    def configure(self, config: WorkersConfig) -> None:
        """Goes on with other numbers of workers."""
        if config.num_workers != self._config.num_workers:
            self._record.wanted = config.num_workers
        self._config = config

    def scale(self, num_workers: int) -> None:
        """Changes how many workers should train."""
        self._record.wanted = num_workers

    def register(self, worker_id: int, now_s: float) -> None:
        """Takes in a worker that has registered."""
        self._agents.add(worker_id, now_s)

    def explain(self, worker_id: int, reason: str) -> None:
        """Notes, for people, why a worker is about to be dropped."""
        self._reasons[worker_id] = reason

    def drop(self, worker_id: int) -> None:
        """Lets go a worker that has left or is lost."""
        self._agents.remove(worker_id)
        self._record.drop(worker_id)
        self._version += 1

    def hear(
        self, worker_id: int, report: AgentReport, known: RoundOrder | None, now_s: float
    ) -> None:
        """Takes in the report of a registered worker.

        Args:
            worker_id: the worker.
            report: how it stands.
            known: the order that it has got last.
            now_s: the time, on the clock of every other call.
        """
        self._agents[worker_id].hear(report, known, now_s)

    def begin(self, plan: RoundPlan, now_s: float) -> None:
        """Begins a round."""
        self._record.begin(plan)
        self._reasons.clear()
        self._breaker, self._why = None, ""
        self._began_s = now_s
        self._set_state(RoundState.RUNNING, now_s)

    def end(self, adopted_step: int, now_s: float) -> int | None:
        """Ends the round.

        Args:
            adopted_step: the step that the job goes on from.
            now_s: the time.

        Returns:
            The worker that the next rounds do without for a while, because it has broken several;
            None when there is none.
        """
        plan = self.running
        assert plan is not None
        self._record.end(adopted_step)
        is_broken = self._state is RoundState.ENDING
        self._set_state(RoundState.FORMING, now_s)
        if not is_broken or adopted_step > plan.start.step:
            self._breakers.clear()
        elif not self._record.gone and self._breaker is not None:
            self._breakers.append(self._breaker)
        if len(self._breakers) < _MOST_FAILURES:
            return None
        # Of several that did it equally often the last one.
        worker_id, _ = Counter(reversed(self._breakers)).most_common(1)[0]
        self._breakers.clear()
        agent = self._agents.get(worker_id)
        if agent is None:
            return None
        agent.leave_out(now_s)
        return worker_id

    def adopt(self, step: int) -> None:
        """Goes on from a step: later ones are undone."""
        self._record.adopt(step)

    def finish(self) -> None:
        """Ends the work: every worker may leave."""
        self._record.is_done = True

    def unfinish(self) -> None:
        """Takes `finish` back: there is more work."""
        self._record.is_done = False

    def start_deadlines(self, now_s: float) -> None:
        """Begins with agents that have yet to be heard, as after a restart of the master."""
        self._since_s = self._began_s = now_s
        for agent in self._agents:
            agent.start_deadlines(now_s)

    # What follows.

    def decide(self, now_s: float) -> Decision | None:
        """Returns what is to be done now; to be asked again until that is nothing."""
        since_s = self._since_s
        if dismiss(self._record, self._agents, self._superfluous(now_s), since_s, now_s):
            self._version += 1
        if self._record.is_done:
            return None
        plan = self.running
        if plan is None:
            return self._form(now_s)
        self._look_at(plan, now_s)
        if all(each.is_over(plan.number) for each in self._present()):
            return self._end_of(plan)
        return None

    def order(self, worker_id: int) -> RoundOrder:
        """Returns what a registered worker is to do."""
        agent = self._agents[worker_id]
        plan = self.running
        if plan is not None and worker_id in self.members:
            if self._state is RoundState.STOPPING:
                return RoundOrder(Order.STOP, plan.number)
            if self._state is RoundState.ENDING:
                return RoundOrder(Order.END, plan.number)
            return RoundOrder(Order.TRAIN, plan.number, plan)
        if agent.trains and agent.report is not None:
            return RoundOrder(Order.END, agent.report.round)
        return RoundOrder(Order.LEAVE if agent.dismissed else Order.WAIT)

    def held_steps(self) -> set[int]:
        """Returns the steps whose state an agent holds and could give to others."""
        return {
            each.state[1]
            for each in self._agents
            if each.state is not None and can_give_state(self._record, each, each.state[1])
        }

    def plan(self, members: Sequence[int], start: StartPoint) -> RoundPlan:
        """Returns the next round.

        Args:
            members: the workers by rank, as decided.
            start: where it goes on from; without a checkpoint, from the state of agents, if any
                holds that.
        """
        reports = {each.worker_id: each.report for each in self._agents}
        made = []
        for worker_id in members:
            report = reports[worker_id]
            assert report is not None
            made.append(Member(worker_id, report.agent_address, report.trainer_address))
        others = sorted(reports.keys() - set(members))
        holders = [
            report.agent_address
            for worker_id in (*members, *others)
            if (report := reports[worker_id]) is not None
            and can_give_state(self._record, self._agents[worker_id], start.step)
        ]
        return RoundPlan(
            self.number + 1, tuple(made), start, () if start.checkpoint else tuple(holders)
        )

    def to_plain(self) -> dict[str, Any]:
        """Returns what the journal has, as JSON, but for who is registered."""
        return self._record.to_plain()

    def load_plain(self, plain: Mapping[str, Any], registered: Iterable[int]) -> None:
        """Takes over what `to_plain` returned."""
        self._record = RoundRecord.from_plain(plain)
        self._state = RoundState.RUNNING if self._record.is_running else RoundState.FORMING
        for worker_id in registered:
            self._agents.add(worker_id, 0.0)

    def _present(self) -> list[Agent]:
        return [self._agents[worker_id] for worker_id in self._record.survivors]

    def _set_state(self, state: RoundState, now_s: float, why: str = "") -> None:
        self._state, self._since_s = state, now_s
        self._why = why or self._why
        self._version += 1

    # A round that runs.

    def _look_at(self, plan: RoundPlan, now_s: float) -> None:
        agents = self._present()
        is_undisturbed = self._state in (RoundState.RUNNING, RoundState.STOPPING)
        if is_undisturbed and any(each.is_done(plan.number) for each in agents):
            self._set_state(RoundState.FINISHING, now_s, "the work is done")
        if self._state is not RoundState.ENDING:
            why = self._why_broken(plan, agents, now_s)
            if why:
                self._set_state(RoundState.ENDING, now_s, why)
        if self._state is RoundState.RUNNING:
            changed = self._changed(plan, agents, now_s)
            if changed:
                self._set_state(RoundState.STOPPING, now_s, changed)

    def _why_broken(self, plan: RoundPlan, agents: Sequence[Agent], now_s: float) -> str:
        """Returns why the round cannot go on, or ""."""
        gone = self._record.gone
        if gone and self._state is not RoundState.FINISHING:
            return "; ".join(self._say_gone(each) for each in sorted(gone))
        found = find_break(
            agents,
            plan.number,
            self._state,
            now_s - self._began_s,
            self._config.collective_timeout_s,
        )
        if found is None:
            return ""
        self._breaker = found.worker_id
        return found.why

    def _say_gone(self, worker_id: int) -> str:
        reason = self._reasons.get(worker_id, "")
        return f"worker {worker_id} is gone" + (f": {reason}" if reason else "")

    def _changed(self, plan: RoundPlan, agents: Sequence[Agent], now_s: float) -> str:
        """Returns why another round should take the place of this one, or ""."""
        # One that has not begun would never agree with the others on a step to stop at.
        if not all(each.has_begun(plan.number) and each.trains for each in agents):
            return ""
        leaving = [each.worker_id for each in agents if each.goes]
        if leaving:
            return f"{describe_workers(leaving)} {'leaves' if len(leaving) == 1 else 'leave'}"
        room = self._record.wanted - len(agents)
        if room < 0:
            return f"{self._record.wanted} workers are wanted"
        joining = self._newcomers(now_s)[:room]
        if joining and (
            len(joining) == room or self._agents.have_settled(joining, self._config.settle_s, now_s)
        ):
            return f"{describe_workers(joining)} {'joins' if len(joining) == 1 else 'join'}"
        return ""

    def _newcomers(self, now_s: float) -> list[int]:
        members = self.members
        return [each for each in self._agents.ready(now_s) if each not in members]

    def _end_of(self, plan: RoundPlan) -> EndRound:
        agents = self._present()
        uses: dict[int, StepUse] = {}
        for agent in agents:
            assert agent.report is not None
            if agent.has_begun(plan.number):
                for use in agent.report.uses:
                    known = uses.get(use.step)
                    if known is None or len(use.intervals) > len(known.intervals):
                        uses[use.step] = use
        finished = {
            each.report.step
            for each in agents
            if each.report is not None and each.is_done(plan.number)
        }
        # Somebody who is not a member may be all that is left, with what the round began with.
        return EndRound(
            plan.number,
            sorted(self.held_steps() | finished),
            [uses[step] for step in sorted(uses)],
            sorted(self._record.gone),
            bool(finished),
        )

    # The next round.

    def _form(self, now_s: float) -> FormRound | None:
        survivors = self._record.survivors
        if any(each.report is None for each in self._present()):
            return None  # the master has just started, and does not know yet what they hold
        ready = self._agents.ready(now_s)
        if len(ready) < max(min(self._config.min_workers, self._record.wanted), 1):
            return None
        goes_on = any(worker_id in survivors for worker_id in ready)
        if (
            len(ready) < self._record.wanted
            and not goes_on
            and not self._agents.have_settled(ready, self._config.settle_s, now_s)
        ):
            return None
        members = ready[: self._record.wanted]
        chief = None if self._record.plan is None else self._record.plan.members[0].worker_id
        if chief not in survivors:
            chief = members[0]
        return FormRound(sorted(members, key=lambda each: (each != chief, each)))

    def _superfluous(self, now_s: float) -> set[int]:
        """The workers that are ready and too many."""
        if not self._record.is_running:
            return set(self._agents.ready(now_s)[self._record.wanted :])
        if self._state is RoundState.RUNNING and len(self.members) >= self._record.wanted:
            return set(self._newcomers(now_s))
        return set()
