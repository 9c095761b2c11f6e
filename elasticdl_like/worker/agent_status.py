"""How a worker stands, and what its agent does next; no I/O.

A status and an order are both whole: what to do follows from the two alone, whatever was said
before, by this master or by the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from elasticdl_like.rounds import AgentPhase, AgentReport, Order, RoundOrder, RoundPlan, StepUse
from elasticdl_like.worker.trainer_link import Progress, TrainerEnd, TrainerOutcome

# For so long a worker that is to leave tries to tell a master that does not answer: nobody but the
# master has to know, unless the state that the job goes on from would be lost.
_PATIENCE_S = 1.0
_PATIENCE_WITH_ONLY_STATE_S = 10.0


class TrainerPhase(StrEnum):
    """What a trainer was told."""

    NONE = "none"  # there is no trainer
    TRAIN = "train"
    STOP = "stop"
    END = "end"


@dataclass(frozen=True)
class AgentStatus:
    """How a worker stands.

    Attributes:
        can_start: whether a trainer could be started at once.
        trainer: what the trainer was told.
        round: the round of the trainer that runs, or of the last one; 0 before the first.
        progress: how the trainer that runs gets on.
        step: the last step that the trainer that ran last has finished.
        held_step: the step whose state the agent has; None when it has none.
        uses: what the steps of the last round have used.
        problem: why the last trainer has ended by itself; "" otherwise.
        done: whether the last trainer has come to the end of the job.
        leaving: whether the worker wants to leave the job.
        was_alone: whether nobody else was in the round of the last trainer.
    """

    can_start: bool = False
    trainer: TrainerPhase = TrainerPhase.NONE
    round: int = 0
    progress: Progress = field(default_factory=Progress)
    step: int = 0
    held_step: int | None = None
    uses: Sequence[StepUse] = ()
    problem: str = ""
    done: bool = False
    leaving: bool = False
    was_alone: bool = False

    @property
    def runs(self) -> bool:
        """Whether there is a trainer."""
        return self.trainer is not TrainerPhase.NONE

    @property
    def nothing_to_lose(self) -> bool:
        """Whether the trainer that runs has finished no step whose state is only there."""
        return not self.progress.watched

    @property
    def has_only_state(self) -> bool:
        """Whether nobody else may have the state that this worker has."""
        return self.was_alone and (self.held_step is not None or not self.nothing_to_lose)


class Action(StrEnum):
    """What an agent does."""

    NOTHING = "nothing"
    START = "start"  # the trainer of the order's plan
    STOP = "stop"  # tell the trainer to end after a step that its round agrees on
    END = "end"  # tell the trainer to end at once
    LEAVE = "leave"


def next_action(order: RoundOrder, status: AgentStatus) -> Action:
    """Returns what brings the worker nearer to what the master wants."""
    if status.runs:
        return _with_trainer(order, status)
    match order.order:
        case Order.LEAVE:
            return Action.LEAVE
        case Order.TRAIN if order.round > status.round and status.can_start:
            return Action.START
    return Action.NOTHING


def _with_trainer(order: RoundOrder, status: AgentStatus) -> Action:
    if status.trainer is TrainerPhase.END:
        return Action.NOTHING
    if order.round == status.round:
        if order.order is Order.TRAIN:
            return Action.NOTHING
        if order.order is Order.STOP:
            return Action.STOP if status.trainer is TrainerPhase.TRAIN else Action.NOTHING
    # Whatever else is wanted, it is not this trainer.
    return Action.END


def leaves_unheard(status: AgentStatus, master_silent_s: float) -> bool:
    """Returns whether a worker leaves although its master does not know of it.

    Args:
        status: how it stands.
        master_silent_s: for how long the master has not answered.
    """
    patience_s = _PATIENCE_WITH_ONLY_STATE_S if status.has_only_state else _PATIENCE_S
    return status.leaving and master_silent_s >= patience_s


def started(status: AgentStatus, plan: RoundPlan) -> AgentStatus:
    """Returns the status after the trainer of a round was started."""
    return replace(
        status,
        trainer=TrainerPhase.TRAIN,
        round=plan.number,
        progress=Progress(),
        step=0,
        uses=(),
        problem="",
        done=False,
        was_alone=len(plan.members) == 1,
    )


def ended(status: AgentStatus, end: TrainerEnd) -> AgentStatus:
    """Returns the status after a trainer has ended and said how.

    Its state, if it has written one, is the one of `status.held_step` by now.
    """
    problem = ""
    if end.outcome is TrainerOutcome.BROKEN and status.trainer is not TrainerPhase.END:
        problem = end.problem or "its trainer has ended by itself"
    status = _without_trainer(status, end.step)
    return replace(status, uses=end.uses, problem=problem, done=end.outcome is TrainerOutcome.DONE)


def lost(status: AgentStatus, problem: str) -> AgentStatus:
    """Returns the status after a trainer has ended without a word.

    Args:
        status: the status before.
        problem: how it has ended; left out if it was told to end at once.
    """
    told = status.trainer is TrainerPhase.END
    status = _without_trainer(status, status.progress.step)
    return replace(status, uses=(), problem="" if told else problem)


def _without_trainer(status: AgentStatus, step: int) -> AgentStatus:
    if status.held_step is not None:
        # A trainer that has finished no step of its own may not have begun to count.
        step = max(step, status.held_step)
    return replace(status, trainer=TrainerPhase.NONE, progress=Progress(), step=step)


def make_report(status: AgentStatus, agent_address: str, trainer_address: str) -> AgentReport:
    """Returns the report of a status.

    Args:
        status: how the worker stands.
        agent_address: HOST:PORT of the agent's server.
        trainer_address: HOST:PORT for the next trainer.
    """
    if status.runs:
        step = max(status.progress.step, status.held_step or 0)
        return AgentReport(
            AgentPhase.TRAINING,
            agent_address,
            trainer_address,
            status.round,
            step,
            holds_state=status.progress.watched or status.held_step is not None,
            exchanging_s=status.progress.exchanging_s,
            leaving=status.leaving,
        )
    if status.done:
        phase = AgentPhase.DONE
    else:
        phase = AgentPhase.IDLE if status.can_start else AgentPhase.STARTING
    return AgentReport(
        phase,
        agent_address,
        trainer_address,
        status.round,
        status.step,
        holds_state=status.held_step is not None and status.held_step == status.step,
        uses=status.uses,
        problem=status.problem,
        leaving=status.leaving,
    )


def news_of(report: AgentReport) -> AgentReport:
    """Returns what of a report the master should hear of at once if it changes."""
    if report.phase is not AgentPhase.TRAINING:
        return report
    return replace(report, step=0, exchanging_s=0.0)
