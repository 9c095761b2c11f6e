"""Gives predictions to the `PredictionOutputsProcessor` of the model definition file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from elasticdl_like.config import ModelConfig
from elasticdl_like.errors import ConfigError, ModelDefinitionError
from elasticdl_like.model_file import load_model_file
from elasticdl_like.prediction_outputs.base import SharedOutput
from elasticdl_like.tasks import Lease, Task
from elasticdl_like.worker.blocks import Piece
from elasticdl_like.worker.counted_commits import CountedCommits
from elasticdl_like.worker.output_thread import Output, Predicted
from elasticdl_like.worker.prediction_columns import as_array, joined
from elasticdl_like.worker.user_code import explained

_METHODS = ("process", "process_task")


def make_processor(config: ModelConfig) -> Any:
    """Makes the processor of a model definition file.

    Raises:
        ConfigError: the file has none.
        ModelDefinitionError: the file cannot be imported, or the processor not be made; or it has
            neither of the methods.
    """
    module = load_model_file(config)
    name = config.prediction_outputs_processor
    made_by = getattr(module, name, None)
    if made_by is None:
        raise ConfigError(
            f"nothing takes the predictions: give --prediction_output, or define {name} in "
            f"{module.__file__}"
        )
    with explained(f"{name}()"):
        processor = made_by()
    if not any(callable(getattr(processor, method, None)) for method in _METHODS):
        raise ModelDefinitionError(
            f"{module.__file__}: {name} has neither process(predictions, worker_id) nor "
            "process_task(predictions, task)"
        )
    return processor


def processor_output(processor: Any, worker_id: int, commits: CountedCommits) -> Output:
    """Returns what gives predictions to a processor."""
    if callable(getattr(processor, "process_task", None)):
        return TaskOutput(processor, commits)
    return BatchOutput(processor, worker_id, commits)


def close_processor(processor: Any) -> None:
    """Ends a processor, if it has something to end.

    Raises:
        ModelDefinitionError: that failed.
    """
    close: Callable[[], None] | None = getattr(processor, "close", None)
    if close is not None:
        with explained(_called(processor, "close()")):
            close()


def join_shared_output(
    output: SharedOutput, begun: Callable[[str], str], begin: Callable[[SharedOutput], str]
) -> None:
    """Has this worker take part in an output, which it begins if nobody has yet.

    Args:
        output: the output.
        begun: `MasterClient.begin_output`.
        begin: begins it.

    Raises:
        ElasticdlError: the output cannot be begun or joined.
    """
    state = begun("")
    if not state:
        with explained(_called(output, "begin(shards, records_per_task)")):
            state = begin(output)
        if not isinstance(state, str) or not state:
            raise ModelDefinitionError(
                f"{_called(output, 'begin')} returned {state!r}; it must return a string, which "
                "other processes can join with"
            )
        state = begun(state)
    with explained(_called(output, "join(state)")):
        output.join(state)


def commit_shared_output(output: SharedOutput) -> None:
    """Makes the output appear.

    Raises:
        ElasticdlError: it cannot be committed.
    """
    with explained(_called(output, "commit()")):
        output.commit()


class BatchOutput:
    """Calls `process` with each batch as it comes."""

    def __init__(self, processor: Any, worker_id: int, commits: CountedCommits) -> None:
        self._processor = processor
        self._worker_id = worker_id
        self._commits = commits

    def take(self, predicted: Predicted) -> None:
        """Gives a batch to the processor, then commits it.

        Raises:
            ElasticdlError: the processor failed, or the records cannot be committed.
        """
        if self._commits.are_refused:
            return
        if predicted.problem:
            self._commits.fail(predicted.pieces, predicted.problem)
            return
        what = _called(self._processor, "process(predictions, worker_id)")
        with explained(what, predicted.pieces):
            self._processor.process(predicted.predictions, self._worker_id)
        self._commits.send(predicted.pieces)

    def flush(self) -> None:
        """Does nothing: everything is committed when it is taken."""


@dataclass
class _Collected:
    """What was predicted so far for a lease."""

    pieces: list[Piece] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)
    problem: str = ""


class TaskOutput:
    """Calls `process_task` with the predictions of each task."""

    def __init__(self, processor: Any, commits: CountedCommits) -> None:
        self._processor = processor
        self._commits = commits
        self._collected: dict[int, _Collected] = {}  # by the token of the lease

    def take(self, predicted: Predicted) -> None:
        """Gives each task to the processor that the batch makes complete, then commits it.

        Raises:
            ElasticdlError: the processor failed, or the records cannot be committed.
        """
        if self._commits.are_refused:
            return
        start = 0
        for piece in predicted.pieces:
            end = start + piece.interval.size
            collected = self._collected.setdefault(piece.lease.token, _Collected())
            collected.pieces = joined([*collected.pieces, piece])
            collected.problem = collected.problem or predicted.problem
            if not predicted.problem:
                part = tf.nest.map_structure(
                    lambda tensor: as_array(tensor)[start:end],  # noqa: B023
                    predicted.predictions,
                )
                collected.predictions.append(part)
            start = end
            if sum(each.interval.size for each in collected.pieces) == piece.lease.size:
                del self._collected[piece.lease.token]
                self._complete(piece.lease, collected)

    def flush(self) -> None:
        """Does nothing: a task that is not complete will be."""

    def _complete(self, lease: Lease, collected: _Collected) -> None:
        if collected.problem:
            # All of it: the master leases it again in parts, until the bad records are alone.
            self._commits.fail(collected.pieces, collected.problem)
            return
        predictions = tf.nest.map_structure(
            lambda *parts: np.concatenate(parts), *collected.predictions
        )
        what = _called(self._processor, "process_task(predictions, task)")
        with explained(what, collected.pieces):
            self._processor.process_task(predictions, _task_of(lease))
        self._commits.send(collected.pieces)


def _task_of(lease: Lease) -> Task:
    task = lease.task
    if lease.size == task.size:
        return task
    return task.part(task.start + lease.start_position, task.start + lease.end_position)


def _called(processor: Any, call: str) -> str:
    return f"{type(processor).__name__}.{call}"
