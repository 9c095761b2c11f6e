"""How far a job is and how fast it goes, with the clock passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from elasticdl_like.tasks import EpochKey, TaskType
from elasticdl_like.time_shares import TimeShares


class RateMeter:
    """The rate of a growing count over the last `window_s` seconds, from its first growth on."""

    def __init__(self, window_s: float = 10.0) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, count: int) -> None:
        """Notes the count as it is now."""
        if len(self._samples) == 1 and self._samples[0][1] == count:
            self._samples.clear()
        self._samples.append((now_s, count))
        while len(self._samples) > 2 and now_s - self._samples[1][0] > self._window_s:
            self._samples.popleft()

    def per_second(self) -> float:
        """Returns the rate; 0.0 as long as there are not two samples to tell it from."""
        if len(self._samples) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one evaluation."""

    key: EpochKey
    metrics: Mapping[str, float]

    def to_plain(self) -> dict[str, Any]:
        """Returns the evaluation as it stands in the status' JSON."""
        return {"epoch": self.key.epoch, "step": self.key.step, "metrics": dict(self.metrics)}


@dataclass(frozen=True)
class WorkerStatus:
    """One worker, as `elasticdl status` shows it.

    Attributes:
        worker_id: its number.
        description: host and process id.
        silent_s: how long ago it was last heard from, in seconds.
        seconds_spent: where its time went so far, by activity; empty when it does not tell.
        time_shares: how its training thread's time is shared out, or None when that is not known.
        recent_s: the length of the last part of its time in seconds, about 30 s.
        recent_time_shares: as `time_shares`, in that part.
        starvation: the warning that training waits for input, or "".
        num_retries: how often it had to ask a service again that failed or was busy.
        phase: what its agent does; "" where one worker trains alone, or it has not said.
        rank: its rank in the round that runs, or None.
        step: the last step that it is known to have finished in its last round.
        records_per_s: how fast it used records in the last seconds.
    """

    worker_id: int
    description: str
    silent_s: float
    seconds_spent: Mapping[str, float] = field(default_factory=dict)
    time_shares: TimeShares | None = None
    recent_s: float = 0.0
    recent_time_shares: TimeShares | None = None
    starvation: str = ""
    num_retries: int = 0
    phase: str = ""
    rank: int | None = None
    step: int = 0
    records_per_s: float = 0.0


@dataclass(frozen=True)
class RoundStatus:
    """The round that runs, or the last one.

    Attributes:
        number: from 1; 0 before the first.
        state: "forming" the next one, "running", "stopping", "ending", "finishing", or "done".
        members: the workers by rank; none while the next one is formed.
        since_s: for how many seconds it has been in that state.
    """

    number: int
    state: str
    members: Sequence[int]
    since_s: float


@dataclass(frozen=True)
class JobStatus:
    """How a job stands.

    Attributes:
        job: its name.
        state: running, finished, failed or interrupted.
        reason: why it failed or ended early, else "".
        epoch: the epoch that it is in, from 0.
        num_epochs: how many there will be.
        epoch_records: committed and quarantined records of this epoch.
        records_per_epoch: the size of the data set.
        records: committed and quarantined records of all epochs.
        total_records: what `records` will be at the end.
        records_per_s: the rate of the last seconds.
        remaining_s: the time left at that rate, or None when that cannot be told.
        step: the last finished step.
        loss: the training loss last reported, or None.
        evaluations: all of them, in order.
        workers: those that take part now.
        workers_wanted: how many there should be.
        round: which of them train together; None where one trains alone.
        started_s: when it began, in Unix seconds; None when that is not known.
        kind: what it does: "training", "data", "evaluation" or "prediction".
    """

    job: str
    state: str
    reason: str
    epoch: int
    num_epochs: int
    epoch_records: int
    records_per_epoch: int
    records: int
    total_records: int
    records_per_s: float
    remaining_s: float | None
    step: int
    loss: float | None
    evaluations: Sequence[Evaluation]
    workers: Sequence[WorkerStatus]
    workers_wanted: int = 1
    round: RoundStatus | None = None
    started_s: float | None = None
    kind: str = "training"

    def to_plain(self) -> dict[str, Any]:
        """Returns the status as `elasticdl status --json` prints it."""
        return asdict(self) | {"evaluations": [each.to_plain() for each in self.evaluations]}

    def shortened(self) -> JobStatus:
        """Returns the status with the last evaluation alone, to be told again and again."""
        return replace(self, evaluations=self.evaluations[-1:])

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> JobStatus:
        """Returns the status that `to_plain` has made plain, perhaps that of a later version.

        Raises:
            KeyError, TypeError: something is missing.
        """
        together = plain["round"]
        known = {
            "evaluations": [
                Evaluation(
                    EpochKey(TaskType.EVALUATION, each["epoch"], each["step"]), each["metrics"]
                )
                for each in plain["evaluations"]
            ],
            "workers": [_worker_from_plain(each) for each in plain["workers"]],
            "round": None if together is None else RoundStatus(**_known(RoundStatus, together)),
        }
        return cls(**_known(cls, plain) | known)


def _worker_from_plain(plain: Mapping[str, Any]) -> WorkerStatus:
    shares = {
        name: TimeShares(**plain[name])
        for name in ("time_shares", "recent_time_shares")
        if plain.get(name) is not None
    }
    return WorkerStatus(**_known(WorkerStatus, plain) | shares)


def _known(kind: Any, plain: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: plain[each.name] for each in fields(kind) if each.name in plain}
