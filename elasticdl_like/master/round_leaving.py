"""Who may leave a job that trains in rounds: nobody takes the only state of the model along."""

from __future__ import annotations

from collections.abc import Collection

from elasticdl_like.master.round_agents import Agent, Agents
from elasticdl_like.master.round_record import RoundRecord
from elasticdl_like.master.round_states import holds_state

# For so long somebody may come and take the only state from a worker that wants to leave.
_HANDOVER_S = 20.0


def dismiss(
    record: RoundRecord,
    agents: Agents,
    superfluous: Collection[int],
    since_s: float,
    now_s: float,
) -> bool:
    """Dismisses the agents that may leave and want to, or are too many.

    Args:
        record: the rounds.
        agents: the registered agents.
        superfluous: the workers that are ready and too many.
        since_s: when the rounds came into the state that they are in.
        now_s: the time, on the same clock.

    Returns:
        Whether there was one.
    """
    num_dismissed = 0
    for agent in agents:
        if not agent.dismissed and _may_go(record, agents, agent, superfluous, since_s, now_s):
            agent.dismissed = True
            num_dismissed += 1
    return num_dismissed > 0


def _may_go(
    record: RoundRecord,
    agents: Agents,
    agent: Agent,
    superfluous: Collection[int],
    since_s: float,
    now_s: float,
) -> bool:
    is_member = record.is_running and agent.worker_id in record.survivors
    if agent.report is None or agent.trains or is_member:
        return False
    if record.is_done:
        return True
    if agent.leaving_since_s is not None:
        alone_s = now_s - max(agent.leaving_since_s, since_s)
        if not record.is_running and alone_s >= _HANDOVER_S:
            return True
    elif agent.worker_id not in superfluous:
        return False
    if not holds_state(record, agent):
        return True
    return any(
        holds_state(record, other) and not other.goes and other.worker_id not in superfluous
        for other in agents
        if other is not agent
    )
