"""What is decided about the rounds of a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from elasticdl_like.rounds import StepUse


class RoundState(StrEnum):
    """What the workers are at."""

    FORMING = "forming"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDING = "ending"
    FINISHING = "finishing"
    DONE = "done"


@dataclass(frozen=True)
class FormRound:
    """A round can begin.

    Attributes:
        members: the workers by rank.
    """

    members: Sequence[int]


@dataclass(frozen=True)
class EndRound:
    """A round is over.

    Attributes:
        round: its number.
        steps: the steps whose state somebody holds, ascending; earlier ones than the round has
            begun with among them.
        uses: what its last steps have used.
        lost: the members that are gone.
        done: whether a member has come to the end of the job.
    """

    round: int
    steps: Sequence[int]
    uses: Sequence[StepUse]
    lost: Sequence[int]
    done: bool


Decision = FormRound | EndRound


def describe_workers(worker_ids: Sequence[int]) -> str:
    """Returns the names of some workers, of which there is at least one."""
    numbers = ", ".join(str(each) for each in worker_ids)
    return f"worker {numbers}" if len(worker_ids) == 1 else f"workers {numbers}"
