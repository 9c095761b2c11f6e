"""Why a round cannot go on: a function of what its members report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elasticdl_like.master.round_agents import Agent
from elasticdl_like.master.round_decisions import RoundState

# An agent that is told to train starts a trainer within seconds, unless something is wrong.
_BEGIN_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class RoundBreak:
    """Why a round cannot go on.

    Attributes:
        why: the reason, for people.
        worker_id: the worker that it is put down to.
    """

    why: str
    worker_id: int


def find_break(
    agents: Sequence[Agent],
    number: int,
    state: RoundState,
    running_s: float,
    collective_timeout_s: float,
) -> RoundBreak | None:
    """Returns why a round cannot go on whose members are all still there, or None.

    Args:
        agents: the members by rank.
        number: the round.
        state: what they are at.
        running_s: how long ago it began, in seconds.
        collective_timeout_s: for so long they may wait for each other.
    """
    if state is not RoundState.FINISHING:
        for agent in agents:
            problem = _own_end(agent, number, state)
            if problem:
                why = f"the trainer of worker {agent.worker_id} has ended: {problem}"
                return RoundBreak(why, agent.worker_id)
    left = [each for each in agents if not each.is_over(number)]
    if left and all(each.is_stuck(number, collective_timeout_s) for each in left):
        why = f"its members have waited for each other for {collective_timeout_s:.0f} s"
        # Any of them may be the cause; the chief is the one that others can least do without.
        return RoundBreak(why, left[-1].worker_id)
    if running_s > _BEGIN_TIMEOUT_S:
        for agent in left:
            if not agent.has_begun(number):
                why = f"worker {agent.worker_id} has not begun for {_BEGIN_TIMEOUT_S:.0f} s"
                return RoundBreak(why, agent.worker_id)
    return None


def _own_end(agent: Agent, number: int, state: RoundState) -> str:
    """Returns how a trainer ended without having been told to, or ""."""
    if agent.report is None or not agent.is_over(number):
        return ""
    problem = agent.report.problem
    if state is RoundState.STOPPING and agent.has_begun(number):
        return problem
    return problem or "it does not say why"
