"""The small model of `step_times.py`, whose workers say when each of their rounds makes a step.

A line on standard error, `MARK` and the wall clock's time in seconds, from every member.
"""

from __future__ import annotations

import sys
import threading
import time

import keras
from step_times import feed_batch, loss, small

__all__ = ["feed_batch", "loss", "optimizer", "small"]

MARK = "first step at"
_LOOK_INTERVAL_S = 0.005


def optimizer() -> keras.optimizers.Optimizer:
    made = keras.optimizers.Adam(1e-3)
    threading.Thread(target=_tell, args=(made.iterations,), daemon=True).start()
    return made


def _tell(iterations: keras.Variable) -> None:
    last = int(iterations.numpy())
    # A state that is loaded makes it grow by more than one.
    while (now := int(iterations.numpy())) != last + 1:
        last = now
        time.sleep(_LOOK_INTERVAL_S)
    print(f"{MARK} {time.time():.3f}", file=sys.stderr, flush=True)
