"""The process that trainers are forked from: it has imported TensorFlow, and done nothing else.

`python -m elasticdl_like.worker.zygote FD TRAINER LOG_FORMAT`, started by an agent, which sends one
end of a socketpair for each trainer, and gets its process id.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from typing import NoReturn

from elasticdl_like.worker.file_pages import give_back_file_pages
from elasticdl_like.worker.logs import configure_worker_logging
from elasticdl_like.worker.parent import die_with_parent
from elasticdl_like.worker.trainer_process import RunTrainer, be_trainer
from elasticdl_like.worker.zygote_messages import FORK, PID, READY

_logger = logging.getLogger(__name__)

_LONGEST_MESSAGE_BYTES = 64


def main(arguments: list[str]) -> None:
    """Forks a trainer each time that the agent asks for one, until the agent is gone.

    Args:
        arguments: the number of the open socket to the agent, `module:function` of what a trainer
            does, and the format of the log.
    """
    file, trainer, log_format = arguments
    die_with_parent()
    # The agent has them too, and decides.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    configure_worker_logging("info", log_format)
    agent = socket.socket(fileno=int(file))
    # What is imported stays. To look for garbage in it would take a fifth of the time now, and
    # would later write to pages that trainers share with this process.
    gc.disable()
    run_trainer = _import_trainer(trainer)
    gc.freeze()
    gc.enable()
    give_back_file_pages()
    agent.send(READY)
    while True:
        message, files, _, _ = socket.recv_fds(
            agent, _LONGEST_MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
        )
        if message != FORK or not files:
            return
        agent.send(PID.pack(_fork_trainer(agent, files[0], run_trainer)))
        os.close(files[0])


def _import_trainer(name: str) -> RunTrainer:
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    module, _, function = name.partition(":")
    run_trainer: RunTrainer = getattr(importlib.import_module(module), function)
    threads = threading.enumerate()
    if len(threads) > 1:
        raise RuntimeError(f"a process with threads of Python cannot be forked safely: {threads}")
    # TensorFlow's own have nothing to do before the first op, and hold no lock.
    warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
    return run_trainer


def _fork_trainer(agent: socket.socket, file: int, run_trainer: RunTrainer) -> int:
    """Returns the process id of a new trainer, which is a child of the agent.

    Only a parent learns how a process has ended, and this one may end before its trainers.
    """
    read_end, write_end = os.pipe()
    between = os.fork()
    if between == 0:
        os.close(read_end)
        _fork_again(agent, file, write_end, run_trainer)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        pid: int = PID.unpack(pipe.read())[0]
    os.waitpid(between, 0)
    return pid


def _fork_again(
    agent: socket.socket, file: int, write_end: int, run_trainer: RunTrainer
) -> NoReturn:
    try:
        agent.close()
        pid = os.fork()
        if pid == 0:
            os.close(write_end)
            be_trainer(socket.socket(fileno=file), run_trainer)
        os.write(write_end, PID.pack(pid))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
