"""What the trainers of agents under test do, by the parameters of the job's model."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Interval
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.trainer_link import (
    TrainerEnd,
    TrainerLink,
    TrainerOutcome,
    TrainerStart,
)

_STEP_S = 0.02
_PID_FILE = "trainer.pid"


def state_of(step: int, size_bytes: int) -> bytes:
    return (b"%020d" % step) * (size_bytes // 20)


def run_trainer(start: TrainerStart, locator: MasterLocator, link: TrainerLink) -> None:
    assert start.job.model is not None
    asked = start.job.model.params
    behaviour = asked.get("behaviour", "train")
    size_bytes = asked.get("state_bytes", 2000)
    with open(_PID_FILE, "w") as file:  # noqa: PTH123
        file.write(str(os.getpid()))
    if behaviour == "crash":
        raise ZeroDivisionError("a defect of the model")
    if behaviour == "abort":
        os.abort()
    if behaviour == "fail":
        link.end(TrainerEnd(TrainerOutcome.FAILED, start.plan.start.step, problem="no such layer"))
        return
    if behaviour == "op":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        assert float(tf.reduce_sum(tf.ones((3, 3)))) == 9.0
    state = link.wait_for_state()
    step = start.plan.start.step
    if state is not None:
        assert bytes(state) == state_of(step, size_bytes)
    link.watch(lambda: (step, 0.0))

    def end(outcome: TrainerOutcome, problem: str = "") -> None:
        content = state_of(step, size_bytes)
        link.new_state(len(content))[:] = content
        uses = (StepUse(step, (Interval(7, 0, step),)),)
        link.end(TrainerEnd(outcome, step, uses, True, problem))

    def end_at_once() -> None:
        if behaviour == "hang":
            threading.Event().wait()
        end(TrainerOutcome.BROKEN)
        os._exit(0)

    link.on_end(end_at_once)
    if behaviour == "pool":
        if os.fork() == 0:
            signal.pause()
        sys.stdout.flush()
    while not link.stop_asked:
        time.sleep(_STEP_S)
        step += 1
        if behaviour == "done" and step == 3:
            end(TrainerOutcome.DONE)
            return
        if behaviour == "broken" and step == 3:
            end(TrainerOutcome.BROKEN, "connection reset by peer")
            return
    end(TrainerOutcome.STOPPED)
