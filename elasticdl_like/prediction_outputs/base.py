"""What takes the predictions of a job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from elasticdl_like.tasks import Shard, Task


class PredictionOutputsProcessor(ABC):
    """Takes the predictions of one worker.

    The class of this name in a model definition file need not be derived from this one: a method
    `process` is enough, as in ElasticDL. It is constructed without arguments, once in each worker.
    """

    @abstractmethod
    def process(self, predictions: Any, worker_id: int) -> None:
        """Takes the predictions of a batch; for records of a task that is tried again, once more.

        Args:
            predictions: what the model returned.
            worker_id: the number of the worker.
        """

    def process_task(self, predictions: Any, task: Task) -> None:
        """Takes the predictions of a whole task; a class that has this gets no call of `process`.

        A task that is tried again comes again, perhaps in another process. What is written under a
        name that the task decides is then written twice, and there once.

        Args:
            predictions: what the model returned, of all batches of the task, one after the other.
            task: the records, `[task.start, task.end)` of shard `task.shard_name`.
        """
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """Is called once, after the last predictions of this worker."""


class SharedOutput(PredictionOutputsProcessor):
    """Takes the predictions of all workers into one output, which appears whole at the end.

    One process, of those that live as long as the job, calls `begin` before the first task and
    `commit` after the last one. It keeps what `begin` returned with the state of the job, and gives
    it to the workers, which call `join`.
    """

    @abstractmethod
    def begin(self, shards: Sequence[Shard], records_per_task: int) -> str:
        """Begins the output, and returns what other processes need to take part in it.

        Args:
            shards: of the data set, in their order.
            records_per_task: of every task but the last one of a shard.
        """

    @abstractmethod
    def join(self, state: str) -> None:
        """Takes part in an output, in this process or in another one; comes before all else.

        Args:
            state: what `begin` returned.
        """

    @abstractmethod
    def commit(self) -> None:
        """Ends the output, of which every task is there; does nothing when that has been done."""
