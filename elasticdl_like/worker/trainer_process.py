"""The process of a trainer, from the fork on."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from elasticdl_like.worker.frames import FrameSocket
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.memory import keep_freed_memory
from elasticdl_like.worker.parent import die_with_parent
from elasticdl_like.worker.trainer_link import Begin, TrainerLink, TrainerStart

_logger = logging.getLogger(__name__)

RunTrainer: TypeAlias = Callable[[TrainerStart, MasterLocator, TrainerLink], None]


def be_trainer(end: socket.socket, run_trainer: RunTrainer) -> NoReturn:
    """Trains in one round, as the agent at the other end of a socket says, and exits."""
    exit_code = 1
    try:
        exit_code = _train(FrameSocket(end), run_trainer)
    except BaseException:
        # Whatever it is, this process must not go on as the one that it was forked from.
        _logger.exception("the trainer has crashed")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        # Libraries may have threads that an orderly exit would wait for, or trip over.
        os._exit(exit_code)


def _train(frames: FrameSocket, run_trainer: RunTrainer) -> int:
    begins = frames.receive(wait=True)
    if not begins:
        return 0
    # The zygote's child that was this process's parent has ended: the agent is its parent now.
    die_with_parent()
    begin = begins[0][0]
    assert isinstance(begin, Begin)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger().setLevel(begin.start.job.log_level)
    keep_freed_memory()
    link = TrainerLink(frames, begin.start.plan)
    run_trainer(begin.start, begin.locator, link)
    if not link.end_sent:
        _logger.error("the trainer has ended without a word: a defect of elasticdl")
        return 1
    return 0
