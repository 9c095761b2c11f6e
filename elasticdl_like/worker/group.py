"""Who takes part in each step of a model: one worker alone, or the members of a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elasticdl_like.tasks import Interval
from elasticdl_like.worker.train_step import TrainStep


@dataclass(frozen=True)
class Share:
    """What this worker has for a step.

    Attributes:
        data: its batch, or None when it has none.
        intervals: the positions that the batch is made of.
        halts: whether training is to end before this step.
        ended: whether the worker has come to the end of the epoch.
        firm_step: the last step that nobody needs to know the positions of any more.
    """

    data: Any = None
    intervals: Sequence[Interval] = ()
    halts: bool = False
    ended: bool = False
    firm_step: int = 0


@dataclass(frozen=True)
class StepResult:
    """What became of a step.

    Attributes:
        applied: whether the model was changed, so that the step counts.
        loss: the mean loss of all shares, a scalar; it means nothing if the step was not applied.
        weight: what the shares counted together.
        halts: whether somebody wanted training to end before this step.
        stops: whether the round ends now.
        all_ended: whether every worker has come to the end of the epoch.
    """

    applied: bool
    loss: Any
    weight: Any
    halts: bool = False
    stops: bool = False
    all_ended: bool = False


class Group(Protocol):
    """The workers that make each step together."""

    @property
    def is_chief(self) -> bool:
        """Whether this worker does what is to be done once: callbacks, results, files."""

    @property
    def in_round(self) -> bool:
        """Whether there are others, or could be."""

    def run_step(self, share: Share) -> StepResult:
        """Makes a step of the shares of all workers; each of them has to call it.

        Raises:
            ModelDefinitionError: the batch, the model or the loss is not as agreed.
            PeersLostError: a member of the round is gone; the model is as it was.
        """

    def share_from_chief(self, value: Any) -> Any:
        """Returns the chief's value to every worker; each of them has to call it.

        Args:
            value: JSON and NumPy arrays; what others than the chief give does not count.

        Raises:
            PeersLostError: a member of the round is gone.
        """

    def model_digest(self) -> int:
        """Returns a number that tells states of the model apart; 0 where nobody has to know."""

    def share_model(self) -> None:
        """Gives every worker the chief's model; each of them has to call it.

        Raises:
            PeersLostError: a member of the round is gone.
        """


class Alone:
    """One worker that trains by itself.

    Args:
        step: applies the optimizer.
    """

    is_chief = True
    in_round = False

    def __init__(self, step: TrainStep) -> None:
        self._step = step

    def run_step(self, share: Share) -> StepResult:
        loss, weight = self._step(share.data)
        return StepResult(True, loss, weight)

    def share_from_chief(self, value: Any) -> Any:
        return value

    def model_digest(self) -> int:
        return 0

    def share_model(self) -> None:
        pass
