"""The agents of a job, as their last reports show them: a pure table, with the clock passed in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from elasticdl_like.rounds import AgentPhase, AgentReport, Order, RoundOrder

# For so long after it has registered, or its zygote has died, an agent may be about to be ready.
_SOON_READY_S = 10.0
_LEFT_OUT_S = 30.0
_LONGEST_LEFT_OUT_S = 600.0


@dataclass(slots=True)
class Agent:
    """One registered agent.

    Attributes:
        worker_id: its number.
        since_s: since when it does what it does.
        report: its last report; None before the first.
        known: the order that it had when it sent the report.
        state: the round and the step of the state that it has, or its trainer; None without one.
        trained_in: the last round that it was seen to have a trainer in.
        dismissed: whether it was told to leave.
        leaving_since_s: since when it wants to leave; None if it does not.
        left_out_until_s: until when no round has it as a member.
        num_left_out: how often it was left out.
    """

    worker_id: int
    since_s: float
    report: AgentReport | None = None
    known: RoundOrder | None = None
    state: tuple[int, int] | None = None
    trained_in: int = 0
    dismissed: bool = False
    leaving_since_s: float | None = None
    left_out_until_s: float = float("-inf")
    num_left_out: int = 0

    def hear(self, report: AgentReport, known: RoundOrder | None, now_s: float) -> None:
        """Takes in a report."""
        if self.report is None or self.report.phase is not report.phase:
            self.since_s = now_s
        if not report.leaving:
            self.leaving_since_s = None
        elif self.leaving_since_s is None:
            self.leaving_since_s = now_s
        self.report, self.known = report, known
        if self.trains:
            self.trained_in = report.round
        if not report.holds_state:
            self.state = None
        elif self.state is None or self.state[1] != report.step or self.trained_in == report.round:
            self.state = (report.round, report.step)
        # Otherwise a round has passed it by, and its state is still that of an earlier one.

    def start_deadlines(self, now_s: float) -> None:
        """Forgets what was heard, and when."""
        self.report = self.known = self.leaving_since_s = self.state = None
        self.since_s = now_s

    def leave_out(self, now_s: float) -> float:
        """Has rounds do without it, longer each time; returns for how many seconds."""
        pause_s = min(_LEFT_OUT_S * 2.0**self.num_left_out, _LONGEST_LEFT_OUT_S)
        self.num_left_out += 1
        self.left_out_until_s = now_s + pause_s
        return pause_s

    @property
    def goes(self) -> bool:
        """Whether it leaves the job."""
        return self.dismissed or self.leaving_since_s is not None

    @property
    def trains(self) -> bool:
        """Whether it has a trainer, of whichever round."""
        return self.report is not None and self.report.phase is AgentPhase.TRAINING

    def is_ready(self, now_s: float) -> bool:
        """Whether a round that is formed now can have it as a member."""
        return (
            self.report is not None
            and self.report.phase in (AgentPhase.IDLE, AgentPhase.DONE)
            and not self.goes
            and now_s >= self.left_out_until_s
        )

    def is_soon_ready(self, now_s: float) -> bool:
        """Whether it is worth waiting for it to become ready."""
        is_starting = self.report is None or self.report.phase is AgentPhase.STARTING
        return is_starting and not self.goes and now_s - self.since_s < _SOON_READY_S

    def has_begun(self, number: int) -> bool:
        """Whether it has had a trainer in a round."""
        return self.report is not None and self.report.round == number

    def is_over(self, number: int) -> bool:
        """Whether it has no trainer in a round any more, and will not have one."""
        if self.report is None or self.trains:
            return False
        if self.report.round == number:
            return True
        # It was told to end before it had begun.
        known = self.known
        return known is not None and known.round == number and known.order is not Order.TRAIN

    def is_done(self, number: int) -> bool:
        """Whether its trainer has come to the end of the job in a round."""
        return self.has_begun(number) and self._phase is AgentPhase.DONE

    def is_stuck(self, number: int, timeout_s: float) -> bool:
        """Whether its trainer has waited in a collective of a round for too long."""
        return (
            self.report is not None
            and self.trains
            and self.report.round == number
            and self.report.exchanging_s > timeout_s
        )

    @property
    def _phase(self) -> AgentPhase | None:
        return None if self.report is None else self.report.phase


class Agents:
    """The registered agents, by worker."""

    def __init__(self) -> None:
        self._agents: dict[int, Agent] = {}

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._agents.values())

    def __contains__(self, worker_id: int) -> bool:
        return worker_id in self._agents

    def __getitem__(self, worker_id: int) -> Agent:
        return self._agents[worker_id]

    def get(self, worker_id: int) -> Agent | None:
        """Returns the agent of a worker, or None when there is none."""
        return self._agents.get(worker_id)

    def add(self, worker_id: int, now_s: float) -> None:
        """Adds the agent of a worker that has registered."""
        self._agents[worker_id] = Agent(worker_id, now_s)

    def remove(self, worker_id: int) -> None:
        """Removes the agent of a worker that is gone."""
        self._agents.pop(worker_id, None)

    def ready(self, now_s: float) -> list[int]:
        """Returns the workers that could train in a round at once, the oldest first."""
        return sorted(each.worker_id for each in self if each.is_ready(now_s))

    def have_settled(self, joining: Collection[int], settle_s: float, now_s: float) -> bool:
        """Returns whether nobody is to be expected who would join together with others."""
        return all(
            now_s - self._agents[worker_id].since_s >= settle_s for worker_id in joining
        ) and not any(each.is_soon_ready(now_s) for each in self)
