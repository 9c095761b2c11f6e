"""The workers of a job on this machine: as many as the job wants, one supervisor each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from elasticdl_like.platforms.fleet_policy import JobOfFleet, fleet_change, kill_hung_workers
from elasticdl_like.platforms.worker_process import WorkerProcess, wait_for_ends
from elasticdl_like.platforms.worker_supervisor import WorkerSupervisor, end_all

_logger = logging.getLogger(__name__)


class WorkerFleet:
    """Starts, watches, retires and ends the workers of a job.

    Args:
        job: the job.
        make_supervisor: makes the supervisor of a worker from the worker's number.
    """

    def __init__(self, job: JobOfFleet, make_supervisor: Callable[[int], WorkerSupervisor]) -> None:
        self._job = job
        self._make_supervisor = make_supervisor
        self._supervisors: dict[int, WorkerSupervisor] = {}

    def begin(self, left: Collection[int], anew: bool) -> None:
        """Takes over the processes that an earlier master left.

        Args:
            left: the workers that may have one.
            anew: whether they belong to an earlier job, and are to be ended.

        Raises:
            JobDirectoryError: it cannot be told whether there are processes.
            JobFailedError: the process of an earlier job cannot be ended.
        """
        wanted = self._job.workers_wanted
        for worker_id in sorted({*left, *range(wanted)}):
            self._supervisors[worker_id] = self._make_supervisor(worker_id)
            self._supervisors[worker_id].begin(anew)
        without = [number for number, each in self._supervisors.items() if each.process is None]
        vacancies = max(0, wanted - len(self._supervisors) + len(without))
        for worker_id in without[vacancies:]:
            self._supervisors.pop(worker_id).forget()

    def watch(self) -> None:
        """Does what is due; to be called a few times a second while the job runs."""
        kill_hung_workers(self._job, self._supervisors)
        self._follow(self._job.workers_wanted)
        for worker_id, supervisor in list(self._supervisors.items()):
            supervisor.watch()
            if supervisor.retiring and supervisor.process is None:
                del self._supervisors[worker_id]

    def wait(self, timeout_s: float) -> None:
        """Waits for the ends of processes that have no more work."""
        processes: dict[WorkerProcess, int] = {}
        for worker_id, supervisor in self._supervisors.items():
            if supervisor.process is not None:
                processes[supervisor.process] = worker_id
        for process in wait_for_ends(list(processes), timeout_s):
            _logger.warning(
                "worker %d has left the job but does not exit; it is ended", processes[process]
            )

    def end(self) -> None:
        """Ends all processes, side by side."""
        end_all(list(self._supervisors.values()))

    def _follow(self, wanted: int) -> None:
        active = [number for number, each in self._supervisors.items() if not each.retiring]
        change = fleet_change(active, wanted, self._is_taken)
        # Those who retire have their numbers, and count as workers, until they have left.
        if len(active) == len(self._supervisors):
            for worker_id in change.start:
                self._supervisors[worker_id] = self._make_supervisor(worker_id)
                self._supervisors[worker_id].begin(anew=False)
        for worker_id in change.retire:
            self._supervisors[worker_id].retire()

    def _is_taken(self, number: int) -> bool:
        """Whether a worker that was started by hand has the number."""
        return self._job.registered_incarnation(number) is not None
