"""From leases to batches through `feed`, which is given one lease at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from elasticdl_like.data_readers.reading import join_batches
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Lease, TaskType
from elasticdl_like.time_spent import Activity
from elasticdl_like.worker.blocks import Batch, Piece
from elasticdl_like.worker.columns import record_spec, to_arrays
from elasticdl_like.worker.element_iterator import element_iterator
from elasticdl_like.worker.read_ahead import ReadAhead, ReadLease
from elasticdl_like.worker.task_stream import TaskStream
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
        self._stream: TaskStream | None = None
        self._elements: Iterator[Any] = iter(())
        self._leases: list[Lease] = []
        self._unreadable: list[Batch] = []
        self._error: Exception | None = None
        self._lock = threading.Lock()
        metadata = getattr(reader, "metadata", None)

        def feed_lease(number: tf.Tensor, records: Any) -> tf.data.Dataset:
            fed = feed(tf.data.Dataset.from_tensor_slices(records), str(mode), metadata)
            if not isinstance(fed, tf.data.Dataset):
                raise TypeError(f"it returned {type(fed).__name__}, not a tf.data.Dataset")
            return tf.data.Dataset.zip((tf.data.Dataset.from_tensors(number).repeat(), fed))

        leases = tf.data.Dataset.from_generator(
            self._read_leases,
            output_signature=(
                tf.TensorSpec([], tf.int64),
                tf.nest.map_structure(
                    lambda spec: tf.TensorSpec([None, *spec.shape], spec.dtype), self._spec
                ),
            ),
        )
        with explained(f"feed(dataset, {str(mode)!r}, metadata)"):
            self._dataset = (
                # Unlike flat_map this works on the next lease meanwhile. The order is that of
                # flat_map all the same, because a block is longer than any lease.
                leases.interleave(
                    feed_lease,
                    cycle_length=2,
                    block_length=1 << 32,
                    num_parallel_calls=2,
                    deterministic=True,
                )
                .batch(minibatch_size)
                .prefetch(tf.data.AUTOTUNE)
            )

    @property
    def element_spec(self) -> Any:
        return self._dataset.element_spec[1]

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        self._stream = stream
        while stream.wait():
            yield from self._segment()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._ahead.close()
        self._elements = iter(())  # as in FeedBatchPipeline

    def _segment(self) -> Iterator[Batch]:
        """Yields the batches up to the next flush, or the next lease that cannot be read."""
        with self._lock:
            self._leases = []
        self._unreadable = []
        self._elements = element_iterator(self._dataset)
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
        if self._error is not None:
            raise self._error
        rest = self._pieces(used_up, len(self._leases))
        if held is not None or rest:
            yield Batch(held, rest)
        yield from self._unreadable

    def _next_element(self, used_up: int) -> Any:
        try:
            return next(self._elements, None)
        except Exception:
            if self._error is not None:
                raise self._error from None
            with explained("feed", self._pieces(used_up, len(self._leases))):
                raise

    def _pieces(self, start: int, end: int) -> list[Piece]:
        with self._lock:
            return [
                Piece(lease, lease.start_position, lease.end_position)
                for lease in self._leases[start:end]
            ]

    def _read_leases(self) -> Iterator[tuple[int, Any]]:
        stream = self._stream
        if stream is None:
            return
        try:
            for read in self._ahead.events(stream):
                if not isinstance(read, ReadLease):
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
                    lease = read.lease
                    piece = Piece(lease, lease.start_position, lease.end_position)
                    self._unreadable.append(Batch(None, [piece], problem=problem))
                    return  # so that it is reported before many others are read
                with self._lock:
                    number = len(self._leases)
                    self._leases.append(read.lease)
                yield number, arrays
        except Exception as error:
            self._error = error
            raise
