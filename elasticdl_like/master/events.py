"""What can happen to a job: the events that its state is made of, and their form in the journal.

Whoever applies the same events in the same order gets the same state. A request for leases is an
event too, a `LeaseRequest`; in the journal it is the very message that the worker sent.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elasticdl_like.errors import InvalidRequestError, JournalError
from elasticdl_like.job_directory import JobState
from elasticdl_like.proto import convert
from elasticdl_like.tasks import LeaseRequest

LEASE_REQUEST = "LeaseRequest"


@dataclass(frozen=True)
class Registered:
    """A worker takes part from now on."""

    incarnation: str
    requested_id: int | None
    description: str
    supervised: bool


@dataclass(frozen=True)
class Dropped:
    """A worker has left, or was lost."""

    worker_id: int
    lost: bool


@dataclass(frozen=True)
class GivenBack:
    """A worker does not have leases that were granted to it."""

    worker_id: int
    tokens: Sequence[int]


@dataclass(frozen=True)
class Split:
    """The later half of what is left of a slow lease waits for somebody else."""

    token: int


@dataclass(frozen=True)
class Evaluated:
    """An evaluation has a result."""

    key: Sequence[Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class CheckpointPublished:
    """The checkpoint of a marked step is complete."""

    step: int
    checkpoint: str


@dataclass(frozen=True)
class Adopted:
    """The model went back to a checkpoint, and the ledger goes with it."""

    step: int


@dataclass(frozen=True)
class TrainingStopped:
    """There is nothing more to train on, before the last epoch has ended."""

    reason: str


@dataclass(frozen=True)
class Ended:
    """The job is over."""

    state: JobState
    reason: str


@dataclass(frozen=True)
class GoneOn:
    """A job that was cut off, interrupted or failed goes on.

    Attributes:
        config_json: what it is asked to do now.
        plan: the new `Plan`, as JSON.
        dropped_shards: as for `TaskQueue.replan`.
        forget_workers: whether none of its workers can be there any more.
    """

    config_json: str
    plan: Mapping[str, Any]
    dropped_shards: Sequence[str] = field(default_factory=tuple)
    forget_workers: bool = False


@dataclass(frozen=True)
class RoundBegan:
    """Workers train together from now on.

    Attributes:
        plan: the round, as `round_codec` writes it.
    """

    plan: Mapping[str, Any]


@dataclass(frozen=True)
class RoundEnded:
    """They do not any more: none of their trainers is left.

    Attributes:
        round: the number of the round.
        steps: the steps whose state somebody holds, ascending.
        uses: what its last steps have used, as `round_codec` writes it.
        lost: the members that did not survive it.
        adopted: the step that the job goes on from: the last one of `steps`, or, where nobody holds
            any, that of a checkpoint.
    """

    round: int
    steps: Sequence[int]
    uses: Sequence[Any]
    lost: Sequence[int]
    adopted: int


@dataclass(frozen=True)
class Scaled:
    """Another number of workers is wanted."""

    num_workers: int


@dataclass(frozen=True)
class WorkDone:
    """The workers have come to the end of the job, and may leave."""


@dataclass(frozen=True)
class OutputBegun:
    """Workers take part in an output of predictions that appears whole at the end.

    Attributes:
        state: what they need for that.
    """

    state: str


@dataclass(frozen=True)
class FinisherChosen:
    """A worker is to end that output."""

    worker_id: int


@dataclass(frozen=True)
class PartsPublished:
    """Files of predictions have got the names under which people look for them."""

    names: Sequence[str]


@dataclass(frozen=True)
class OutputPublished:
    """The output of the predictions is whole."""


Event = (
    LeaseRequest
    | Registered
    | Dropped
    | GivenBack
    | Split
    | Evaluated
    | CheckpointPublished
    | Adopted
    | TrainingStopped
    | Ended
    | GoneOn
    | RoundBegan
    | RoundEnded
    | Scaled
    | WorkDone
    | OutputBegun
    | FinisherChosen
    | PartsPublished
    | OutputPublished
)

_KINDS: dict[str, type[Any]] = {
    each.__name__: each
    for each in (
        *(Registered, Dropped, GivenBack, Split, Evaluated, CheckpointPublished, Adopted),
        *(TrainingStopped, Ended, GoneOn, RoundBegan, RoundEnded, Scaled, WorkDone),
        *(OutputBegun, FinisherChosen, PartsPublished, OutputPublished),
    )
}


def encode_event(event: Any) -> tuple[str, bytes]:
    """Returns the kind and the body of an event that is not a request for leases."""
    return type(event).__name__, json.dumps(dataclasses.asdict(event)).encode()


def decode_event(kind: str, body: bytes) -> Event:
    """Returns the event of a journal entry.

    Raises:
        JournalError: it is none that this version knows.
    """
    try:
        if kind == LEASE_REQUEST:
            return convert.lease_request_from_bytes(body)
        event: Event = _KINDS[kind](**json.loads(body))
    except (KeyError, ValueError, TypeError, InvalidRequestError) as error:
        raise JournalError(
            f"the journal has an entry of kind {kind!r} that cannot be read ({error!r}); was it "
            "written by a newer version of elasticdl?"
        ) from error
    return event
