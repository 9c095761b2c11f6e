"""What workers are told to do that train one model together, in rounds."""

from __future__ import annotations

import logging
from collections.abc import Callable

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.conductor import Conductor
from elasticdl_like.master.shared_core import SharedCore
from elasticdl_like.rounds import AgentReport, RoundOrder

_logger = logging.getLogger(__name__)


class Orders:
    """Takes in how workers stand, and tells them what to do; a job without rounds has none.

    Args:
        shared: the job, behind its lock.
        on_round_end: called with the lock when a round has ended, or more has been undone since.
    """

    def __init__(self, shared: SharedCore, on_round_end: Callable[[], None]) -> None:
        self._shared = shared
        self._core = core = shared.core
        self._version = 0
        self._on_change: Callable[[], None] = lambda: None
        self._conductor: Conductor | None = None
        if core.rounds is not None:
            core.rounds.start_deadlines(shared.clock())
            self._conductor = Conductor(core, shared.do, on_round_end)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Has something called, in any thread, whenever an order may be another."""
        with self._shared.lock:
            self._on_change = callback

    def rendezvous(
        self, worker_id: int, incarnation: str, report: AgentReport, known: RoundOrder | None
    ) -> RoundOrder:
        """Takes in how a worker stands, and returns what it is to do.

        Args:
            worker_id: the worker.
            incarnation: its process.
            report: how it stands.
            known: the order that it has got last, or None.

        Raises:
            UnknownWorkerError: it is not, or no longer, part of the job.
            InvalidRequestError: the job has no rounds.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._core.check_running()
            now_s = self._shared.clock()
            rounds = self._core.in_rounds()
            self._core.members.hear(worker_id, incarnation, now_s)
            rounds.hear(worker_id, report, known, now_s)
            self.advance()
            return self._order(worker_id, incarnation)

    def order(self, worker_id: int, incarnation: str) -> RoundOrder:
        """Returns what a worker is to do that has told how it stands.

        Raises:
            UnknownWorkerError: it is not, or no longer, part of the job.
            InvalidRequestError: the job has no rounds.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            return self._order(worker_id, incarnation)

    def scale(self, num_workers: int) -> None:
        """Changes how many workers train the model.

        Raises:
            InvalidRequestError: the job cannot have so many, or trains on one worker.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._core.check_running()
            wanted = self._core.in_rounds().wanted
            self._check_number(num_workers)
            if num_workers != wanted:
                _logger.info("%d workers are wanted, not %d", num_workers, wanted)
                self._shared.do(events.Scaled(num_workers))
                self.advance()

    def advance(self) -> None:
        """Lets rounds end and begin that are due; to be called with the lock."""
        if self._conductor is None:
            return
        self._conductor.advance(self._shared.clock())
        version = self._core.in_rounds().version
        if version != self._version or self._core.state is not JobState.RUNNING:
            self._version = version
            self._on_change()

    def _order(self, worker_id: int, incarnation: str) -> RoundOrder:
        self._core.check_running()
        self._core.members.known(worker_id, incarnation)
        return self._core.in_rounds().order(worker_id)

    def _check_number(self, num_workers: int) -> None:
        config = self._core.config
        limits = config.workers
        least = max(limits.min_workers, 1)
        if num_workers < least:
            raise InvalidRequestError(
                f"--num_workers {num_workers}: the job needs at least {least} (--min_workers)"
            )
        if limits.max_workers and num_workers > limits.max_workers:
            raise InvalidRequestError(
                f"--num_workers {num_workers}: the job may have {limits.max_workers} at most "
                "(--max_workers)"
            )
        global_batch_size = config.training.global_batch_size
        if global_batch_size and num_workers > global_batch_size:
            raise InvalidRequestError(
                f"--num_workers {num_workers}: a step has {global_batch_size} records "
                "(--global_batch_size), less than one for each"
            )
