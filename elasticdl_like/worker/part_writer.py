"""Writes predictions into files, each of which is one commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.reading import batch_bytes
from elasticdl_like.prediction_outputs.files import OutputFolder, part_name
from elasticdl_like.prediction_outputs.part_formats import part_encoder
from elasticdl_like.worker.blocks import Piece
from elasticdl_like.worker.counted_commits import CountedCommits
from elasticdl_like.worker.kept_columns import KeptColumns
from elasticdl_like.worker.output_thread import Predicted
from elasticdl_like.worker.prediction_columns import joined, prediction_columns, with_places

MOST_PART_ROWS = 100_000
MOST_PART_BYTES = 1 << 26
# What a worker has predicted and not committed is lost with it.
_MOST_PART_S = 10.0
_STRING_BYTES = 32  # to look into strings would take long


class PartWriter:
    """Collects rows until they are worth a file, writes it, and then commits its records.

    Args:
        folder: where the files go.
        file_format: their format.
        incarnation: of the worker's process.
        commits: takes the commits.
        kept: takes columns out of records, or None when none is wanted.
        output_names: of the model.
        clock: returns the time in seconds; it must never go back.
    """

    def __init__(
        self,
        folder: OutputFolder,
        file_format: str,
        incarnation: str,
        commits: CountedCommits,
        kept: KeptColumns | None,
        output_names: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._format = file_format
        self._encode = part_encoder(file_format)
        self._incarnation = incarnation
        self._commits = commits
        self._kept = kept
        self._output_names = output_names
        self._clock = clock
        self._held: list[Predicted] = []
        self._rows = 0
        self._bytes = 0
        self._since_s = 0.0

    def take(self, predicted: Predicted) -> None:
        """Takes the predictions of a batch; writes a file if there are enough.

        Raises:
            ElasticdlError: the rows cannot be written, or not be committed.
        """
        if predicted.problem:
            self.flush()  # positions of a lease are used up in their order
            self._commits.fail(predicted.pieces, predicted.problem)
            return
        if not self._held:
            self._since_s = self._clock()
        self._held.append(predicted)
        self._rows += sum(piece.interval.size for piece in predicted.pieces)
        self._bytes += predicted.weight
        if (
            self._rows >= MOST_PART_ROWS
            or self._bytes >= MOST_PART_BYTES
            or self._clock() - self._since_s >= _MOST_PART_S
        ):
            self.flush()

    def flush(self) -> None:
        """Writes what is there as a file, and commits it.

        A file whose commit was refused is removed.

        Raises:
            ElasticdlError: the rows cannot be written, or not be committed.
        """
        held, self._held = self._held, []
        self._rows = self._bytes = 0
        if not held or self._commits.are_refused:
            return
        pieces = joined([piece for each in held for piece in each.pieces])
        data = self._encode(self._columns(held, pieces))
        name = part_name(self._incarnation, self._commits.step + 1, self._format)
        self._folder.write_part(name, data)
        if not self._commits.commit_part(pieces, name):
            self._folder.drop_part(name)

    def _columns(self, held: Sequence[Predicted], pieces: Sequence[Piece]) -> dict[str, Any]:
        predictions = _concatenated(
            [prediction_columns(each.predictions, self._output_names) for each in held]
        )
        kept: dict[str, NDArray[Any]] = {}
        if self._kept is not None:
            kept = _concatenated([self._kept.of(each.records or []) for each in held])
        return with_places(pieces, kept, predictions)


def weight_of(predictions: Any, records: RecordBatch | None) -> int:
    """Returns about how many bytes predictions, and the records that are kept, take up."""
    predicted = 0
    for tensor in tf.nest.flatten(predictions):
        value_bytes = _STRING_BYTES if tensor.dtype == tf.string else tensor.dtype.size
        predicted += tensor.shape.num_elements() * value_bytes
    return predicted + (0 if records is None else batch_bytes(records))


def _concatenated(batches: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([each[name] for each in batches]) for name in batches[0]}
