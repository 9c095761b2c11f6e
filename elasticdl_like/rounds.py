"""The values of a round: one membership of workers that train one model together.

The master says what should be (`RoundOrder`), an agent says what is (`AgentReport`), each time
whole: whoever was away, or is new, needs to know nothing of what was said before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from elasticdl_like.tasks import Interval, StartPoint


@dataclass(frozen=True, slots=True)
class Member:
    """A worker in a round.

    Attributes:
        worker_id: its number.
        agent_address: HOST:PORT where its agent serves the state of the model.
        trainer_address: HOST:PORT where its trainer takes part in the collectives.
    """

    worker_id: int
    agent_address: str
    trainer_address: str


@dataclass(frozen=True)
class RoundPlan:
    """A round, as it is begun.

    Attributes:
        number: from 1, in the order of the job's rounds.
        members: by rank; the first is the chief.
        start: where the round goes on from. Its checkpoint is empty when agents hold the state.
        holders: the addresses of the agents that hold the state of the step that the round goes on
            from, the one to ask first being the first; empty when that is a checkpoint's state, or
            that of a new model.
    """

    number: int
    members: Sequence[Member]
    start: StartPoint
    holders: Sequence[str] = ()

    def rank(self, worker_id: int) -> int:
        """Returns the rank of a member.

        Raises:
            ValueError: the worker is none.
        """
        return [member.worker_id for member in self.members].index(worker_id)


@dataclass(frozen=True, slots=True)
class StepUse:
    """The positions that a step has used, those of all members of its round."""

    step: int
    intervals: Sequence[Interval]


class AgentPhase(StrEnum):
    """What an agent's trainer does."""

    STARTING = "starting"  # there is no trainer yet, and none could be started
    IDLE = "idle"  # there is no trainer; one could be started at once
    TRAINING = "training"  # there is one
    DONE = "done"  # the last one has come to the end of the job


@dataclass(frozen=True)
class AgentReport:
    """How a worker stands.

    Attributes:
        phase: what its trainer does.
        agent_address: HOST:PORT where the agent serves the state that it holds.
        trainer_address: HOST:PORT where its next trainer could take part in collectives.
        round: the round of the trainer that runs, or of the last one; 0 before the first.
        step: the last step that this trainer is known to have finished.
        holds_state: whether the agent has the state of that step; while a trainer runs, the trainer
            has it.
        uses: what the steps of that round have used, up to `step`, but for those that the master is
            known to have counted; empty while the trainer runs.
        problem: why the trainer ended without being told to; "" otherwise.
        exchanging_s: for how long the trainer has been waiting in a collective; 0.0 if it is not.
        leaving: whether the worker wants to leave the job.
    """

    phase: AgentPhase
    agent_address: str
    trainer_address: str
    round: int = 0
    step: int = 0
    holds_state: bool = False
    uses: Sequence[StepUse] = field(default_factory=tuple)
    problem: str = ""
    exchanging_s: float = 0.0
    leaving: bool = False


class Order(StrEnum):
    """What the master wants of an agent."""

    WAIT = "wait"  # no trainer has to run
    TRAIN = "train"  # the trainer of a round has to run
    STOP = "stop"  # it has to end after a step that its round agrees on
    END = "end"  # it has to end at once, keeping the state of the last finished step
    LEAVE = "leave"  # the worker is no longer needed


@dataclass(frozen=True)
class RoundOrder:
    """What the master wants of an agent now.

    Attributes:
        order: what.
        round: the round that TRAIN, STOP and END are about; 0 otherwise.
        plan: the round to train in, for TRAIN; None otherwise.
    """

    order: Order
    round: int = 0
    plan: RoundPlan | None = None
