"""An agent's handle of the process that its trainers are forked from."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys

from elasticdl_like.errors import TrainerCrashedError
from elasticdl_like.process_end import EndKind, describe_end, end_kind
from elasticdl_like.worker.zygote_messages import FORK, PID, READY

_logger = logging.getLogger(__name__)

_END_GRACE_S = 5.0
_LONGEST_MESSAGE_BYTES = 64


class ZygoteLostError(Exception):
    """The zygote has ended, or does not answer; it was killed."""


class ZygoteProcess:
    """A zygote, which is starting at first; used by one thread.

    Args:
        trainer: what its trainers do, as `module:function`.
        log_format: of the log: "text" or "json".

    Raises:
        OSError: the system does not start a process.
    """

    def __init__(self, trainer: str, log_format: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "elasticdl_like.worker.zygote"),
                    *(str(theirs.fileno()), trainer, log_format),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A signal for the group of the agent is for the agent, which knows what follows.
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.ready = False

    def fileno(self) -> int:
        """Returns the file descriptor that can be read from when there is news."""
        return self._socket.fileno()

    def look(self) -> None:
        """Sees whether it has become ready, or has ended.

        Raises:
            ZygoteLostError: it has ended; another one may do better.
            TrainerCrashedError: it has crashed before it was ready, as it does when TensorFlow
                cannot be imported.
        """
        try:
            message = self._socket.recv(_LONGEST_MESSAGE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            message = b""
        if message == READY:
            self.ready = True
            return
        # Its end of the socket is closed when it ends, or is about to.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_GRACE_S)
        exit_code = self._process.poll()
        self.kill()
        how = f"the process that trainers are forked from {describe_end(exit_code)}"
        if not self.ready and end_kind(exit_code) is EndKind.CRASH:
            raise TrainerCrashedError(f"{how}; the log above says why")
        raise ZygoteLostError(how)

    def fork(self, trainers_end: socket.socket, timeout_s: float) -> int:
        """Returns the process id of a new trainer, a child of this process.

        Args:
            trainers_end: what the trainer gets of the connection to it.
            timeout_s: how long that may take.

        Raises:
            ZygoteLostError: the zygote has ended, or does not answer; it was killed.
        """
        self._socket.settimeout(timeout_s)
        try:
            socket.send_fds(self._socket, [FORK], [trainers_end.fileno()])
            answer = self._socket.recv(_LONGEST_MESSAGE_BYTES)
        except OSError as error:
            self.kill()
            raise ZygoteLostError(
                f"the process that trainers are forked from does not answer ({error})"
            ) from error
        if len(answer) != PID.size:
            self.kill()
            raise ZygoteLostError("the process that trainers are forked from has ended")
        self._socket.settimeout(None)
        pid: int = PID.unpack(answer)[0]
        return pid

    def kill(self) -> None:
        """Ends the process, if it runs."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
