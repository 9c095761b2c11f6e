"""What is kept of a job's past for people to look at: its events and its history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.event_log import EventKind, EventLog
from elasticdl_like.master.history import History, Sample, TimedEvaluation
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.master.round_codec import plan_from_plain
from elasticdl_like.master.round_decisions import describe_workers

_SAMPLE_INTERVAL_S = 1.0


class JobRecord:
    """The events and the history of a job. It does no I/O; whoever calls it has the job to itself.

    Args:
        wall_clock: the Unix time in seconds.
        events: those of the masters before this one.
        history: likewise.
        started_s: when the job began, in Unix seconds; None when that is not known.
    """

    def __init__(
        self,
        wall_clock: Callable[[], float],
        events: EventLog | None = None,
        history: History | None = None,
        started_s: float | None = None,
    ) -> None:
        self.log = EventLog() if events is None else events
        self.history = History() if history is None else history
        self.started_s = started_s
        self._wall_clock = wall_clock
        self._why_lost: dict[int, str] = {}
        self._state = JobState.RUNNING
        self._epoch = -1
        self._num_unusable = 0
        self._sampled_s: float | None = None
        self._sampled_state = JobState.RUNNING

    def begin(self, core: JobCore, goes_on: bool) -> None:
        """Notes that a master takes the job up."""
        self._num_unusable = core.queue.epochs.num_unusable
        if goes_on:
            step = f"{core.queue.last_step:,}"
            self._add(EventKind.JOB, f"the job goes on with a new master, after step {step}")
            self._epoch = core.queue.epoch_number
        else:
            self._add(EventKind.JOB, "the job begins")
        self.look(core)

    def note(self, event: Any, core: JobCore, result: Any = None) -> None:
        """Notes an event of the job's core, which was applied.

        Args:
            event: the event.
            core: the job after it.
            result: what applying it has returned.
        """
        match event:
            case events.Registered():
                text = f"worker {result} joins: {event.description}"
                self._add(EventKind.WORKER_JOINED, text, result)
            case events.Dropped():
                self._note_dropped(event)
            case events.RoundBegan():
                plan = plan_from_plain(event.plan)
                workers = describe_workers([member.worker_id for member in plan.members])
                self._add(
                    EventKind.ROUND,
                    f"round {plan.number} begins: {workers}, after step {plan.start.step:,}",
                )
            case events.RoundEnded():
                why = f": {core.rounds.why}" if core.rounds and core.rounds.why else ""
                self._add(
                    EventKind.ROUND, f"round {event.round} ends after step {event.adopted:,}{why}"
                )
                self.history.go_back(event.adopted)
            case events.Adopted():
                self.history.go_back(event.step)
            case events.Evaluated():
                self._note_evaluated(event)
            case events.CheckpointPublished():
                self._add(EventKind.CHECKPOINT, f"checkpoint of step {event.step:,}")
            case events.TrainingStopped():
                self._add(EventKind.JOB, f"training stops: {event.reason}")
            case events.Scaled():
                workers = "worker is" if event.num_workers == 1 else "workers are"
                self._add(EventKind.JOB, f"{event.num_workers} {workers} wanted")
        self.look(core)

    def explain(self, worker_id: int, reason: str) -> None:
        """Notes why a worker is about to be dropped."""
        self._why_lost[worker_id] = reason

    def warn(self, text: str, worker_id: int | None = None) -> None:
        """Notes something that people should look at."""
        self._add(EventKind.WARNING, text, worker_id)

    def look(self, core: JobCore) -> None:
        """Notes what has changed in a job by itself; cheap enough for every request."""
        epoch = core.queue.epoch_number
        if epoch != self._epoch:
            num_epochs = core.queue.plan.num_epochs
            if epoch < num_epochs:
                verb = "begins" if epoch > self._epoch else "goes on"
                self._add(EventKind.EPOCH, f"epoch {epoch + 1} of {num_epochs} {verb}")
            self._epoch = epoch
        if core.state is not self._state:
            self._look_for_unusable(core)
            self._state = core.state
            if core.state is not JobState.RUNNING:
                reason = "" if core.reason in ("", str(core.state)) else f": {core.reason}"
                self._add(EventKind.JOB, f"the job is {core.state}{reason}")

    def is_sample_due(self, core: JobCore) -> bool:
        """Returns whether it is time for `sample`: each second, and once at the end."""
        if core.state is not JobState.RUNNING or self._sampled_s is None:
            return core.state is not self._sampled_state or self._sampled_s is None
        # A clock that was set back does not stop it.
        return not 0 <= self._wall_clock() - self._sampled_s < _SAMPLE_INTERVAL_S

    def sample(self, core: JobCore, status: JobStatus) -> None:
        """Takes a sample of how the job stands."""
        self._look_for_unusable(core)
        self._sampled_s, self._sampled_state = self._wall_clock(), core.state
        self.history.add(
            Sample(
                self._sampled_s,
                status.records,
                status.records_per_s,
                status.loss,
                status.step,
                status.epoch,
                len(status.workers),
            )
        )

    def _note_dropped(self, event: events.Dropped) -> None:
        worker = f"worker {event.worker_id}"
        why = self._why_lost.pop(event.worker_id, "")
        if event.lost:
            text = f"{worker} is lost: {why}" if why else f"{worker} is lost"
            self._add(EventKind.WORKER_LOST, text, event.worker_id)
        else:
            self._add(EventKind.WORKER_LEFT, f"{worker} leaves", event.worker_id)

    def _note_evaluated(self, event: events.Evaluated) -> None:
        _, epoch, step = event.key
        shown = ", ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
        self._add(EventKind.EVALUATION, f"evaluation at step {step:,} (epoch {epoch + 1}): {shown}")
        self.history.add_evaluation(
            TimedEvaluation(self._wall_clock(), epoch, step, dict(event.metrics))
        )

    def _look_for_unusable(self, core: JobCore) -> None:
        number = core.queue.epochs.num_unusable
        if number > self._num_unusable:
            last = core.queue.epochs.last_unusable
            added = number - self._num_unusable
            records = "record is" if added == 1 else "records are"
            self._add(
                EventKind.QUARANTINE,
                f"{added:,} {records} set aside, [{last.start}, {last.end}) of shard "
                f"{last.shard_name!r} the last: {last.problem}",
            )
        self._num_unusable = number

    def _add(self, kind: EventKind, text: str, worker_id: int | None = None) -> None:
        self.log.add(self._wall_clock(), kind, text, worker_id)
