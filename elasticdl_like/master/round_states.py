"""Who has the state of the model that the job goes on from: functions of what agents report."""

from __future__ import annotations

from elasticdl_like.master.round_agents import Agent
from elasticdl_like.master.round_record import RoundRecord


def holds_state(record: RoundRecord, agent: Agent) -> bool:
    """Returns whether an agent, or its trainer, has the state that the job goes on from."""
    return _has_valid_state(record, agent, at_least=record.adopted_step)


def can_give_state(record: RoundRecord, agent: Agent, step: int) -> bool:
    """Returns whether an agent can give the state of a step to others."""
    return (
        _has_valid_state(record, agent, at_least=step)
        and agent.state is not None
        and agent.state[1] == step
        and not agent.trains
        and not agent.dismissed
    )


def _has_valid_state(record: RoundRecord, agent: Agent, at_least: int) -> bool:
    """Whether an agent has a state of this history, of a step or of a later one."""
    if agent.state is None:
        return False
    round_number, step = agent.state
    return step >= at_least and record.has_state(round_number, step)
