"""The processes or pods of one worker, one after the other, whatever starts them.

When the next one starts, what the end of one means to the job, and what the job is told of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from elasticdl_like.job_directory import JobState
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.process_end import EndKind

_logger = logging.getLogger(__name__)

TRY_AGAIN_S = 10.0
"""How long a start that was not possible, or not needed, is put off."""


class SupervisedJob(Protocol):
    """What a supervisor asks of a job, and tells it."""

    @property
    def state(self) -> JobState:
        """Where the job is in its life."""

    def supervise(self, worker_id: int) -> None:
        """Notes that the worker's process is watched."""

    def registered_incarnation(self, worker_id: int) -> str | None:
        """Returns the process that takes part in the job under this number."""

    def lose(self, worker_id: int, reason: str) -> None:
        """Notes that the worker's process is gone."""

    def fail(self, reason: str) -> None:
        """Fails the job."""

    def status(self) -> JobStatus:
        """Returns how the job stands."""


@dataclass(frozen=True)
class Loss:
    """A worker was lost, and has a successor.

    Attributes:
        description: how it was lost, as "it was killed by SIGKILL".
        pause_s: in how many seconds the successor starts.
    """

    description: str
    pause_s: float = 0.0

    @property
    def successor_starts(self) -> str:
        """When the successor starts, as the end of a sentence."""
        return f"in {self.pause_s:.0f} s" if self.pause_s else "now"


class Succession:
    """Decides when a worker's next process or pod starts, and tells the job of ends.

    Args:
        job: the job that the worker takes part in.
        worker_id: the worker's number.
        policy: how long a successor waits.
        clock: monotonic time in seconds.
        due_s: the first one does not start before.

    Attributes:
        due_s: the next one does not start before.
    """

    def __init__(
        self,
        job: SupervisedJob,
        worker_id: int,
        policy: RestartPolicy,
        clock: Callable[[], float],
        due_s: float = float("-inf"),
    ) -> None:
        self._job = job
        self._worker_id = worker_id
        self._policy = policy
        self._clock = clock
        self.due_s = due_s
        self._let_go_of = False

    @property
    def takes_part(self) -> bool:
        """Whether the worker is registered with the job; it may end before it is."""
        return self._job.registered_incarnation(self._worker_id) is not None

    @property
    def times_crashed(self) -> str:
        """How often the worker has crashed, and how often it may."""
        return f"crash {self._policy.crashes}, --max_worker_restarts {self._policy.max_crashes}"

    def put_off(self, pause_s: float) -> None:
        """Has the next one not start for so long."""
        self.due_s = self._clock() + pause_s

    def next_is_needed(self) -> bool:
        """Returns whether the next one is to start now; asks the job seldom."""
        if self._clock() < self.due_s:
            return False
        if self._let_go_of and self._job.status().workers:
            # It had nothing left to do, and the others are at the end of their work.
            self.put_off(TRY_AGAIN_S)
            return False
        return True

    def started(self) -> None:
        """Notes that there is one from now on."""
        self._let_go_of = False
        self._policy.started(self._clock())

    def let_go(self) -> None:
        """Notes that it has said goodbye: the job is over, or will be in a moment."""
        _logger.info("worker %d has left the job", self._worker_id)
        self._let_go_of = True
        self.put_off(TRY_AGAIN_S)

    def lose(self, description: str) -> None:
        """Tells the job that the worker is lost, if it takes part."""
        if self.takes_part:
            self._job.lose(self._worker_id, description)

    def ended(self, kind: EndKind, description: str) -> Loss | None:
        """Notes that it has ended before its work was done.

        Args:
            kind: what that means.
            description: how it ended, as "it was killed by SIGKILL".

        Returns:
            How the worker was lost, or None if it has crashed too often: the job is to be failed.
        """
        pause_s = self._policy.ended(self._clock(), kind)
        if pause_s is None:
            self.lose(description)
            return None
        if kind is EndKind.CRASH:
            description += f" ({self.times_crashed})"
        self.lose(description)
        self.put_off(pause_s)
        return Loss(description, pause_s)
