"""Starts the trainers of an agent."""

from __future__ import annotations

import logging
import time

from elasticdl_like.worker.liveness import Silence, cpu_seconds
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.trainer_handle import TrainerHandle
from elasticdl_like.worker.trainer_link import TrainerStart
from elasticdl_like.worker.zygote_process import ZygoteLostError, ZygoteProcess

_logger = logging.getLogger(__name__)

# For how long a zygote that starts may do nothing that can be seen; TensorFlow is large, and may
# come from a slow disk.
_LONGEST_START_SILENCE_S = 60.0


class TrainerFactory:
    """Keeps a zygote ready, and has it fork trainers; used by one thread.

    Args:
        locator: tells trainers where the master is.
        trainer: what they do, as `module:function`.
        log_format: of the log: "text" or "json".
    """

    def __init__(self, locator: MasterLocator, trainer: str, log_format: str) -> None:
        self._locator = locator
        self._trainer = trainer
        self._log_format = log_format
        self._start_zygote()

    @property
    def ready(self) -> bool:
        """Whether a trainer could be started at once, as far as is known."""
        return self._zygote.ready

    @property
    def file(self) -> int:
        """What can be read from when `look` is due."""
        return self._zygote.fileno()

    @property
    def zygote_pid(self) -> int:
        """The process id of the zygote."""
        return self._zygote.pid

    def look(self) -> None:
        """Replaces a zygote that is gone, or does not get ready.

        Raises:
            TrainerCrashedError: it has crashed.
        """
        try:
            self._zygote.look()
        except ZygoteLostError as error:
            self._replace(str(error))
            return
        if self._zygote.ready:
            return
        silence_s = self._silence.length_s(time.monotonic(), cpu_seconds(self._zygote.pid))
        if silence_s > _LONGEST_START_SILENCE_S:
            self._zygote.kill()
            self._replace(f"it did nothing for {_LONGEST_START_SILENCE_S:.0f} s")

    def start(self, start: TrainerStart) -> TrainerHandle | None:
        """Starts a trainer; None if the zygote is lost, and is being replaced."""
        try:
            return TrainerHandle(self._zygote, start, self._locator)
        except ZygoteLostError as error:
            self._replace(str(error))
            return None

    def close(self) -> None:
        """Ends the zygote."""
        self._zygote.kill()

    def _replace(self, why: str) -> None:
        _logger.warning("another process to fork trainers from is started: %s", why)
        self._start_zygote()

    def _start_zygote(self) -> None:
        self._zygote = ZygoteProcess(self._trainer, self._log_format)
        self._silence = Silence(time.monotonic())
