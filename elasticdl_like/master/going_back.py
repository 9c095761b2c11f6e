"""Going back when nobody has the state of a model any more: to checkpoints that are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from elasticdl_like.job_directory import JobState
from elasticdl_like.master import checkpoints, events
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.plan import Mark
from elasticdl_like.master.shared_core import SharedCore


def whole_marks(core: JobCore) -> list[Mark]:
    """Returns the marks whose checkpoint is there, the oldest first; a new model needs none."""
    return [
        mark
        for mark in core.queue.marks.published
        if not mark.checkpoint or checkpoints.is_complete(Path(mark.checkpoint))
    ]


def adopt_newest(shared: SharedCore) -> bool:
    """Takes a running job back to its newest checkpoint; it fails if there is none.

    Args:
        shared: the job; whoever calls this has its lock.

    Returns:
        Whether there is a checkpoint.
    """
    core = shared.core
    whole = whole_marks(core)
    if not whole:
        fail_without_checkpoint(core, shared.do)
        return False
    num_undone = core.queue.last_step - whole[-1].step
    if num_undone > 0:
        steps = "step is" if num_undone == 1 else "steps are"
        shared.record.warn(
            f"the job goes back to step {whole[-1].step:,}: {num_undone:,} finished {steps} lost"
        )
    shared.do(events.Adopted(whole[-1].step))
    return True


def fail_without_checkpoint(core: JobCore, do: Callable[[Any], Any]) -> None:
    """Fails a job that has nothing to go back to."""
    first = core.queue.marks.published[0].checkpoint
    do(events.Ended(JobState.FAILED, f"the checkpoint that the job began with is gone: {first}"))
