"""Which workers a job should have, whatever starts them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Protocol

from elasticdl_like.platforms.succession import SupervisedJob

_logger = logging.getLogger(__name__)


class JobOfFleet(SupervisedJob, Protocol):
    """What a fleet asks of a job, and tells it."""

    @property
    def workers_wanted(self) -> int:
        """How many workers there should be."""

    def hung_workers(self) -> Sequence[tuple[int, str]]:
        """Returns the workers that are to be killed although their process lives, and why."""


class Killable(Protocol):
    """A supervisor of a worker."""

    def kill(self, reason: str) -> None:
        """Kills what has hung; `reason` is how that is known, as "it was silent for 60 s"."""


@dataclass(frozen=True)
class FleetChange:
    """What makes the workers that there are the ones that there should be.

    Attributes:
        start: the workers to start.
        retire: the workers to let go.
    """

    start: Sequence[int] = ()
    retire: Sequence[int] = ()


def fleet_change(
    active: Collection[int], wanted: int, is_taken: Callable[[int], bool]
) -> FleetChange:
    """Returns the workers to start, those with the lowest numbers, or to retire, the highest.

    Args:
        active: the workers that there are.
        wanted: how many there should be.
        is_taken: whether a number that is none of theirs cannot be given out now.
    """
    missing = wanted - len(active)
    if missing < 0:
        return FleetChange(retire=sorted(active, reverse=True)[:-missing])
    free = (number for number in count() if number not in active and not is_taken(number))
    return FleetChange(start=list(islice(free, missing)))


def kill_hung_workers(job: JobOfFleet, supervisors: Mapping[int, Killable]) -> None:
    """Kills the workers that hang; one that is not supervised, the job gives up.

    Args:
        job: the job.
        supervisors: the supervisor of each worker.
    """
    for worker_id, reason in job.hung_workers():
        if worker_id in supervisors:
            supervisors[worker_id].kill(reason)
        else:
            _logger.warning("worker %d is lost: %s", worker_id, reason)
            job.lose(worker_id, reason)
