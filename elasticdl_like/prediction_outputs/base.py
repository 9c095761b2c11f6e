"""What takes the predictions of a job.

A model definition file may have a class `PredictionOutputsProcessor`, which is constructed without
arguments, once in each worker. It need not be derived from a class in here: one of the methods is
enough, `process` as in ElasticDL or `process_task`, and `close` if there is something to end.
Where there is `process_task`, `process` is not called. All methods are called by one thread at a
time, which need not be the one that constructed it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from elasticdl_like.tasks import Shard, Task


class PredictionOutputsProcessor(ABC):
    """Takes the predictions of one worker, batch by batch, as in ElasticDL."""

    @abstractmethod
    def process(self, predictions: Any, worker_id: int) -> None:
        """Takes the predictions of a batch; for records of a task that is tried again, once more.

        Args:
            predictions: what the model returned, as tensors.
            worker_id: the number of the worker.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """Is called once, after the last predictions of this worker."""


class SharedOutput(ABC):
    """Takes the predictions of all workers into one output, which appears whole at the end.

    A worker calls `begin` before the first task, and one, perhaps another, calls `commit` after the
    last one. What `begin` returned is kept with the state of the job, and given to all workers.
    When several begin at once, all join the output of one; the others are never committed.
    """

    @abstractmethod
    def begin(self, shards: Sequence[Shard], records_per_task: int) -> str:
        """Begins the output, and returns what processes need to take part in it.

        Args:
            shards: of the data set, in their order.
            records_per_task: of every task but the last one of a shard.
        """

    @abstractmethod
    def join(self, state: str) -> None:
        """Takes part in an output; called before `process_task` and before `commit`.

        Args:
            state: what `begin` returned, in this process or in another one.
        """

    @abstractmethod
    def process_task(self, predictions: Any, task: Task) -> None:
        """Takes the predictions of a whole task.

        A task that is tried again comes again, perhaps in another process; it is there once.

        Args:
            predictions: what the model returned, of all batches of the task, one after the other,
                as NumPy arrays.
            task: the records, `[task.start, task.end)` of shard `task.shard_name`.
        """

    @abstractmethod
    def commit(self) -> None:
        """Ends the output, of which every task is there; does nothing when that has been done."""

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """Is called once in each process, after its last call of another method."""
