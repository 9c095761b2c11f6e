"""From leases to batches through `feed`, where several workers train one model step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.reading import slice_batch
from elasticdl_like.tasks import Lease, TaskType
from elasticdl_like.worker.blocks import IDLE, Batch, Piece
from elasticdl_like.worker.feed_pipeline import FeedPipeline
from elasticdl_like.worker.read_ahead import ReadAhead
from elasticdl_like.worker.task_stream import Signal, TaskStream

# More elements than `feed` makes of a part.
_ALL = 1 << 60


class RoundFeedPipeline(FeedPipeline):
    """Batches of what `feed` makes of each part of a lease on its own.

    A part has the minibatch size, the last of a lease may be smaller. All that `feed` makes of it
    is one batch, larger or smaller where `feed` repeats or filters: each step uses up the positions
    that it trains on, and no others.
    """

    def __init__(
        self,
        ahead: ReadAhead,
        mode: TaskType,
        minibatch_size: int,
        feed: Callable[..., Any],
        keep_records: bool = False,
    ) -> None:
        super().__init__(ahead, mode, minibatch_size, feed)
        self._keep_records = keep_records
        self._kept: dict[int, RecordBatch] = {}  # by the number of the part, until it is yielded

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        self._stream = stream
        flushes = 0
        while True:
            yield from self._segment()
            if self._signal is Signal.END:
                return
            if self._signal is Signal.FLUSH:
                flushes += 1
            while stream.is_idle(flushes):
                yield IDLE

    def _numbered(self, number: tf.Tensor, fed: tf.data.Dataset) -> tf.data.Dataset:
        return tf.data.Dataset.zip((tf.data.Dataset.from_tensors(number), fed.batch(_ALL)))

    def _batched(self, elements: tf.data.Dataset) -> tf.data.Dataset:
        options = tf.data.Options()
        # A map and a batch in one would allocate as much as the batch could hold.
        options.experimental_optimization.map_and_batch_fusion = False
        return elements.with_options(options)

    def _cut(self, lease: Lease, arrays: Any) -> Iterator[tuple[Piece, Any]]:
        size = self._minibatch_size
        for start in range(0, lease.size, size):
            end = min(start + size, lease.size)
            piece = Piece(lease, lease.start_position + start, lease.start_position + end)
            yield piece, tf.nest.map_structure(lambda array: array[start:end], arrays)  # noqa: B023

    def _keep(self, number: int, lease: Lease, piece: Piece, records: RecordBatch) -> None:
        if self._keep_records:
            first = lease.start_position
            self._kept[number] = slice_batch(
                records, piece.start_position - first, piece.end_position - first
            )

    def _segment(self) -> Iterator[Batch]:
        self._kept = {}
        yield from super()._segment()

    def _fed(self) -> Iterator[Batch]:
        used_up = 0
        while (element := self._next_element(used_up)) is not None:
            number = int(element[0])
            if number > used_up:
                yield Batch(None, self._pieces(used_up, number))  # `feed` has made nothing of them
            pieces = self._pieces(number, number + 1)
            yield Batch(element[1], pieces, records=self._kept.pop(number, None))
            used_up = number + 1
        if rest := self._pieces(used_up):
            yield Batch(None, rest)
