"""From leases to batches through `feed`, which is given one lease at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.reading import join_batches
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Lease, TaskType
from elasticdl_like.time_spent import Activity
from elasticdl_like.worker.blocks import Batch, Piece
from elasticdl_like.worker.columns import record_spec, to_arrays
from elasticdl_like.worker.element_iterator import element_iterator
from elasticdl_like.worker.read_ahead import ReadAhead, ReadLease
from elasticdl_like.worker.task_stream import Signal, TaskStream
from elasticdl_like.worker.user_code import explained


class FeedPipeline:
    """Batches of what `feed` makes of each lease on its own.

    `feed` may shuffle, filter or repeat: nothing leaks into another lease. Each element carries
    the number of its lease through `batch`. A lease is used up by the batch that holds its last
    element, which is known once the batch after it is there. The pipeline stops, and starts
    again, each time that the master has nothing to lease, so that no partial batch is held back.

    A lease that cannot be read is a batch without data. An error inside `feed` ends the job:
    elements of the lease may have been trained on before it, so that nothing can be set aside.
    """

    def __init__(
        self,
        ahead: ReadAhead,
        mode: TaskType,
        minibatch_size: int,
        feed: Callable[..., Any],
    ) -> None:
        reader = ahead.reader
        self._ahead = ahead
        self._time_spent = ahead.time_spent
        self._reader_name = type(reader).__name__
        self._spec = record_spec(reader)
        self._minibatch_size = minibatch_size
        self._stream: TaskStream | None = None
        self._signal: Signal | None = None  # what the last segment ended with
        self._elements: Iterator[Any] = iter(())
        self._parts: list[Piece] = []
        self._unreadable: list[Batch] = []
        self._error: Exception | None = None
        self._lock = threading.Lock()
        metadata = getattr(reader, "metadata", None)

        def feed_part(number: tf.Tensor, records: Any) -> tf.data.Dataset:
            fed = feed(tf.data.Dataset.from_tensor_slices(records), str(mode), metadata)
            if not isinstance(fed, tf.data.Dataset):
                raise TypeError(f"it returned {type(fed).__name__}, not a tf.data.Dataset")
            return self._numbered(number, fed)

        parts = tf.data.Dataset.from_generator(
            self._read_parts,
            output_signature=(
                tf.TensorSpec([], tf.int64),
                tf.nest.map_structure(
                    lambda spec: tf.TensorSpec([None, *spec.shape], spec.dtype), self._spec
                ),
            ),
        )
        with explained(f"feed(dataset, {str(mode)!r}, metadata)"):
            # Unlike flat_map this works on the next lease meanwhile. The order is that of flat_map
            # all the same, because a block is longer than any lease.
            elements = parts.interleave(
                feed_part,
                cycle_length=2,
                block_length=1 << 32,
                num_parallel_calls=2,
                deterministic=True,
            )
            self._dataset = self._batched(elements).prefetch(tf.data.AUTOTUNE)

    @property
    def element_spec(self) -> Any:
        return self._dataset.element_spec[1]

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        self._stream = stream
        while True:
            yield from self._segment()
            if self._signal is Signal.END:
                return

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._ahead.close()
        self._elements = iter(())  # as in FeedBatchPipeline

    def _numbered(self, number: tf.Tensor, fed: tf.data.Dataset) -> tf.data.Dataset:
        """Returns what `feed` made of a part, each element with the part's number."""
        return tf.data.Dataset.zip((tf.data.Dataset.from_tensors(number).repeat(), fed))

    def _batched(self, elements: tf.data.Dataset) -> tf.data.Dataset:
        return elements.batch(self._minibatch_size)

    def _cut(self, lease: Lease, arrays: Any) -> Iterator[tuple[Piece, Any]]:
        """Yields the parts of a lease that `feed` is given, and their records."""
        yield _whole(lease), arrays

    def _keep(self, number: int, lease: Lease, piece: Piece, records: RecordBatch) -> None:
        """Keeps what a part of a lease was made of, if that is wanted."""

    def _segment(self) -> Iterator[Batch]:
        """Yields the batches up to the next signal, or the next lease that cannot be read."""
        with self._lock:
            self._parts = []
        self._unreadable = []
        self._signal = None
        self._elements = element_iterator(self._dataset)
        yield from self._fed()
        yield from self._unreadable

    def _fed(self) -> Iterator[Batch]:
        """Yields the batches that `feed` makes of what can be read in a segment."""
        used_up = last = 0
        held: Any = None
        while (element := self._next_element(used_up)) is not None:
            numbers, data = element[0].numpy(), element[1]
            # Every lease before the one that the next batch begins with has no more elements.
            first = int(numbers[0])
            if held is not None or first > used_up:
                pieces = self._pieces(used_up, first)
                yield Batch(held, pieces, aligned=held is None or last < first)
                used_up = first
            held, last = data, int(numbers[-1])
        rest = self._pieces(used_up)
        if held is not None or rest:
            yield Batch(held, rest)

    def _next_element(self, used_up: int) -> Any:
        try:
            element = next(self._elements, None)
        except Exception:
            if self._error is not None:
                raise self._error from None
            with explained("feed", self._pieces(used_up)):
                raise
        if element is None and self._error is not None:
            raise self._error
        return element

    def _pieces(self, start: int, end: int | None = None) -> list[Piece]:
        """Returns those of some parts, or of all that there are from one on."""
        with self._lock:
            return self._parts[start:end]

    def _read_parts(self) -> Iterator[tuple[int, Any]]:
        stream = self._stream
        if stream is None:
            return
        try:
            for read in self._ahead.events(stream):
                if not isinstance(read, ReadLease):
                    self._signal = read
                    return
                problem = read.problem
                if not problem:
                    try:
                        with self._time_spent.measure(Activity.CONVERTING):
                            records = join_batches(read.batches)
                            arrays = to_arrays(records, self._spec, self._reader_name)
                    except DataError as error:
                        problem = str(error)
                if problem:
                    self._unreadable.append(Batch(None, [_whole(read.lease)], problem=problem))
                    return  # so that it is reported before many others are read
                for piece, part in self._cut(read.lease, arrays):
                    with self._lock:
                        number = len(self._parts)
                        self._parts.append(piece)
                    self._keep(number, read.lease, piece, records)
                    yield number, part
        except Exception as error:
            self._error = error
            raise


def _whole(lease: Lease) -> Piece:
    return Piece(lease, lease.start_position, lease.end_position)
