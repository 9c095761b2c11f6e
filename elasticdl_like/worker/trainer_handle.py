"""An agent's handle of its trainer."""

from __future__ import annotations

import os
import signal
import socket
import time

from elasticdl_like.rounds import RoundPlan
from elasticdl_like.worker.frames import FrameSocket
from elasticdl_like.worker.liveness import Silence, cpu_seconds
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.state_memory import used_bytes
from elasticdl_like.worker.trainer_link import (
    Begin,
    End,
    NewState,
    Progress,
    State,
    Stop,
    TrainerEnd,
    TrainerStart,
)
from elasticdl_like.worker.zygote_process import ZygoteProcess

_FORK_TIMEOUT_S = 5.0
_SEND_TIMEOUT_S = 5.0
_LONGEST_SILENCE_S = 7.0
# For how long a trainer that was told to end may do nothing that can be seen.
_END_GRACE_S = 10.0
# For how long a process may still be there that has said its last word.
_EXIT_GRACE_S = 2.0


class TrainerHandle:
    """A trainer, from its start to its end; used by one thread.

    Args:
        zygote: forks it.
        start: what it is to do.
        locator: tells it where the master is.

    Raises:
        ZygoteLostError: the zygote did not fork it.
    """

    def __init__(self, zygote: ZygoteProcess, start: TrainerStart, locator: MasterLocator) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self.pid = zygote.fork(theirs, _FORK_TIMEOUT_S)
        except Exception:
            # A trainer that was forked nevertheless sees that, and ends.
            ours.close()
            raise
        self.plan: RoundPlan = start.plan
        self.progress = Progress()
        self.end: TrainerEnd | None = None
        self.exit_code: int | None = None
        self._pid_file = os.pidfd_open(self.pid)
        ours.settimeout(_SEND_TIMEOUT_S)
        self._frames = FrameSocket(ours)
        self._silence = Silence(time.monotonic())
        self._end_due_s: float | None = None
        self._state_file: int | None = None
        self._written_bytes = 0
        self._killed = ""
        self._send(Begin(start, locator))

    @property
    def files(self) -> list[int]:
        """What can be read from when there is news."""
        return [self._pid_file] if self._frames.at_end else [self._pid_file, self._frames.fileno()]

    @property
    def killed(self) -> str:
        """Why its agent has killed it; "" if it has not."""
        return self._killed

    def give_state(self, file: int) -> None:
        """Gives it the state that the round goes on from."""
        self._send(State(), file)

    def ask_to_stop(self) -> None:
        """Tells it to end after a step that its round agrees on."""
        self._send(Stop())

    def ask_to_end(self) -> None:
        """Tells it to end at once."""
        self._send(End())
        self._end_due_s = time.monotonic() + _END_GRACE_S

    def kill(self, why: str) -> None:
        """Kills it, without waiting for its end."""
        self._killed = self._killed or why
        if self.exit_code is None:
            signal.pidfd_send_signal(self._pid_file, signal.SIGKILL)

    def look(self) -> bool:
        """Takes in what has happened; returns whether the process has ended."""
        pid, status = os.waitpid(self.pid, os.WNOHANG) if self.exit_code is None else (0, 0)
        if pid:
            self.exit_code = os.waitstatus_to_exitcode(status)
        # What it said before its end is there by now.
        self._receive()
        if self.exit_code is None:
            self._watch()
        return self.exit_code is not None

    def take_state(self) -> int:
        """Returns the memory that it has written its state to, for the caller to close."""
        assert self._state_file is not None
        file, self._state_file = self._state_file, None
        return file

    def close(self) -> None:
        """Ends the process, if it runs, and gives everything back."""
        if self.exit_code is None:
            self.kill("its agent ends")
            os.waitpid(self.pid, 0)
        os.close(self._pid_file)
        self._frames.close()
        if self._state_file is not None:
            os.close(self._state_file)
            self._state_file = None

    def _receive(self) -> None:
        for message, file in self._frames.receive(wait=False):
            self._silence.heard(time.monotonic())
            match message:
                case Progress():
                    self.progress = message
                case NewState():
                    if self._state_file is not None:
                        os.close(self._state_file)
                    self._state_file = file
                case TrainerEnd():
                    self.end = message
                    self._end_due_s = time.monotonic() + _EXIT_GRACE_S

    def _watch(self) -> None:
        now_s = time.monotonic()
        if self._state_file is not None and self.end is None:
            written_bytes = used_bytes(self._state_file)
            if written_bytes > self._written_bytes:
                self._written_bytes = written_bytes
                self._silence.heard(now_s)
                if self._end_due_s is not None:
                    self._end_due_s = now_s + _END_GRACE_S
        if self._end_due_s is not None and now_s > self._end_due_s:
            self.kill("its trainer did not end when it was told to")
        elif self._silence.length_s(now_s, cpu_seconds(self.pid)) > _LONGEST_SILENCE_S:
            self.kill(
                f"its trainer gave no sign of life for {_LONGEST_SILENCE_S:.0f} s and was killed"
            )

    def _send(self, message: object, file: int | None = None) -> None:
        try:
            self._frames.send(message, file)
        except TimeoutError:
            self.kill("its trainer did not read what its agent sent, and was killed")
        except ConnectionError:
            # It has ended, or is about to: `look` will find out how.
            return
