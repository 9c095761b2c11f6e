"""A job without a master, for those who start and watch its workers."""

from __future__ import annotations

from elasticdl_like.job_directory import JobState
from elasticdl_like.master.progress import JobStatus, WorkerStatus


class StandInJob:
    """Notes what it is told.

    Attributes:
        state: where it is in its life.
        workers_wanted: how many workers there should be.
        taking_part: the workers that are registered; a test says which.
        hung: the workers that are to be killed, and why; likewise.
        supervised: the workers whose processes are watched, as it was told.
        lost: the workers that it was told to be gone.
        losses: the reasons, in the same order.
        failure: why it was failed, or "".
    """

    def __init__(self, workers_wanted: int = 1) -> None:
        self.state = JobState.RUNNING
        self.workers_wanted = workers_wanted
        self.taking_part: set[int] = set()
        self.hung: list[tuple[int, str]] = []
        self.supervised: list[int] = []
        self.lost: list[int] = []
        self.losses: list[str] = []
        self.failure = ""

    def supervise(self, worker_id: int) -> None:
        self.supervised.append(worker_id)

    def registered_incarnation(self, worker_id: int) -> str | None:
        return "registered" if worker_id in self.taking_part else None

    def hung_workers(self) -> list[tuple[int, str]]:
        return self.hung

    def lose(self, worker_id: int, reason: str) -> None:
        self.lost.append(worker_id)
        self.losses.append(reason)

    def fail(self, reason: str) -> None:
        self.state, self.failure = JobState.FAILED, reason

    def status(self) -> JobStatus:
        return JobStatus(
            job="job",
            state=str(self.state),
            reason="",
            epoch=2,
            num_epochs=5,
            epoch_records=0,
            records_per_epoch=0,
            records=0,
            total_records=0,
            records_per_s=0.0,
            remaining_s=None,
            step=1234,
            loss=None,
            evaluations=(),
            workers=[
                WorkerStatus(worker_id, "here", 0.0)
                for worker_id in sorted(self.taking_part - set(self.lost))
            ],
        )
