"""What a trainer and its agent say to each other, and the trainer's end of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from elasticdl_like.config import JobConfig
from elasticdl_like.rounds import RoundPlan, StepUse
from elasticdl_like.worker.frames import FrameSocket
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.state_memory import mapped, new_memory

_logger = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 0.25


@dataclass(frozen=True)
class TrainerStart:
    """What a trainer is to do.

    Attributes:
        job: the job.
        worker_id: the number of its worker.
        incarnation: the name of this life of its agent.
        plan: the round.
        master_timeout_s: how long the master may be silent.
    """

    job: JobConfig
    worker_id: int
    incarnation: str
    plan: RoundPlan
    master_timeout_s: float


class TrainerOutcome(StrEnum):
    """Why a trainer ends."""

    STOPPED = "stopped"  # after the step that its round agreed on
    BROKEN = "broken"  # because it was told to, or a collective has failed
    DONE = "done"  # there is nothing more to train on
    FAILED = "failed"  # because of the model or the data: the job cannot go on


@dataclass(frozen=True)
class TrainerEnd:
    """How a trainer ends.

    Attributes:
        outcome: why.
        step: the last step that it has finished.
        uses: what the steps of the round have used, up to `step`, but for those that the master is
            known to have counted.
        holds_state: whether it has written the state of `step` to the memory of `new_state`.
        problem: what went wrong, for BROKEN and FAILED.
    """

    outcome: TrainerOutcome
    step: int
    uses: Sequence[StepUse] = field(default_factory=tuple)
    holds_state: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Begin:
    """To the trainer, first: start."""

    start: TrainerStart
    locator: MasterLocator


@dataclass(frozen=True)
class Stop:
    """To the trainer: end after a step that the round agrees on."""


@dataclass(frozen=True)
class End:
    """To the trainer: end at once, and keep the state of the last finished step."""


@dataclass(frozen=True)
class State:
    """To the trainer, with the memory: the state that the round goes on from."""


@dataclass(frozen=True)
class Progress:
    """To the agent, again and again: how it goes.

    Attributes:
        step: the last step that was finished.
        exchanging_s: for how long the trainer has been waiting in a collective.
        watched: whether the two are known; before that no step was finished.
    """

    step: int = 0
    exchanging_s: float = 0.0
    watched: bool = False


@dataclass(frozen=True)
class NewState:
    """To the agent, with the memory: the state is going to be written there."""


class TrainerLink:
    """The trainer's end; has a thread of its own, that ends the process when the agent is gone.

    Args:
        frames: the connection to the agent.
        plan: the round.
    """

    def __init__(self, frames: FrameSocket, plan: RoundPlan) -> None:
        self._frames = frames
        self._starts_from_state = bool(plan.holders)
        self._lock = threading.Lock()
        self._stop_asked = False
        self._end_ordered = False
        self._end_sent = False
        self._on_end: Callable[[], None] | None = None
        self._progress: Callable[[], tuple[int, float]] | None = None
        self._state: int | None = None
        self._state_came = threading.Event()
        threading.Thread(target=self._run, name="agent link", daemon=True).start()

    @property
    def stop_asked(self) -> bool:
        """Whether the trainer shall end after a step that its round agrees on."""
        return self._stop_asked

    @property
    def end_sent(self) -> bool:
        """Whether `end` was called."""
        return self._end_sent

    def on_end(self, callback: Callable[[], None]) -> None:
        """Has a function called once, in the link's thread, when the trainer shall end at once.

        If that was ordered before, it is called here.
        """
        with self._lock:
            self._on_end = callback
            ordered = self._end_ordered
        if ordered:
            callback()

    def watch(self, progress: Callable[[], tuple[int, float]]) -> None:
        """Has the agent know how it goes from now on; to be called before the first step.

        Args:
            progress: returns the last finished step, and for how many seconds the trainer has been
                waiting in a collective (0.0 if it is not). Called in the link's thread.
        """
        self._progress = progress
        # Before any step is finished the agent has to know that there may be something to lose.
        self._tell()

    def wait_for_state(self) -> memoryview | None:
        """Returns the state that the round goes on from, once the agent has it.

        None when there is none: the plan names a checkpoint, or the model is new.
        """
        if not self._starts_from_state:
            return None
        self._state_came.wait()
        assert self._state is not None
        memory = mapped(self._state, writable=False)
        os.close(self._state)
        return memory

    def new_state(self, size_bytes: int) -> memoryview:
        """Returns memory to write the state to, before `end`; it outlives this process.

        Raises:
            OSError: there is not so much.
        """
        file = new_memory(size_bytes)
        try:
            self._send(NewState(), file)
            return mapped(file, writable=True)
        finally:
            os.close(file)

    def end(self, end: TrainerEnd) -> None:
        """Tells the agent how the trainer ends; only the first call does. The caller then exits."""
        with self._lock:
            if self._end_sent:
                return
            self._end_sent = True
        self._send(end)

    def _run(self) -> None:
        due_s = 0.0
        while True:
            now_s = time.monotonic()
            if now_s >= due_s:
                self._tell()
                due_s = now_s + _PROGRESS_INTERVAL_S
            if not self._frames.wait(max(due_s - now_s, 0.0)):
                continue
            for message, file in self._frames.receive(wait=False):
                self._obey(message, file)
            if self._frames.at_end:
                _leave_with_agent()

    def _obey(self, message: object, file: int | None) -> None:
        match message:
            case Stop():
                self._stop_asked = True
            case State():
                self._state = file
                self._state_came.set()
            case End():
                with self._lock:
                    self._end_ordered = True
                    callback = self._on_end
                if callback is not None:
                    callback()

    def _tell(self) -> None:
        progress = self._progress
        if progress is None:
            self._send(Progress())
        else:
            self._send(Progress(*progress(), watched=True))

    def _send(self, message: object, file: int | None = None) -> None:
        try:
            self._frames.send(message, file)
        except ConnectionError:
            _leave_with_agent()


def _leave_with_agent() -> None:
    # Nobody else would take the state, or end this process.
    _logger.warning("the agent is gone; its trainer ends")
    logging.shutdown()
    os._exit(1)
