"""From leases to batches: reading, `tf.data`, and which records each batch is made of."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf

from elasticdl_like.data_readers.reading import (
    DataReader,
    batch_size,
    join_batches,
    read_lease,
)
from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.tasks import Interval, Lease, TaskType
from elasticdl_like.worker.blocks import Block, HeldRecords, Piece
from elasticdl_like.worker.columns import record_spec, to_arrays
from elasticdl_like.worker.task_stream import Signal, TaskStream
from elasticdl_like.worker.user_code import explained


@dataclass(frozen=True)
class Batch:
    """One batch, and what it uses up.

    Attributes:
        data: what `feed` or `feed_batch` made of the records, as tensors; None for a batch that
            is no batch but uses records up, because `feed` made nothing of them.
        pieces: the records that are used up once the batch is.
    """

    data: Any
    pieces: Sequence[Piece]

    @property
    def intervals(self) -> list[Interval]:
        """What to commit once the batch is used."""
        return [piece.interval for piece in self.pieces]


class BatchPipeline(Protocol):
    """Makes batches of what a stream leases."""

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        """Yields every batch of one epoch.

        The last batch before the master has nothing to lease is as small as it has to be: what is
        held back would keep the epoch from ending.

        Raises:
            DataError: the records cannot be read.
            ModelDefinitionError: `feed` or `feed_batch` failed.
            PermanentError: the master has no more leases for this worker, for whatever reason.
        """

    def close(self) -> None:
        """Ends the pipeline's threads."""


def make_pipeline(
    reader: DataReader,
    mode: TaskType,
    minibatch_size: int,
    feed: Callable[..., Any] | None,
    feed_batch: Callable[..., Any] | None,
) -> BatchPipeline:
    """Returns the pipeline for `feed_batch`, or, when there is none, for `feed`.

    Args:
        reader: reads the tasks.
        mode: what `feed` is told.
        minibatch_size: records in a full batch.
        feed: `(dataset, mode, metadata)` -> dataset of one element for each record.
        feed_batch: `(records, mode, metadata)` -> the batch.

    Raises:
        ModelDefinitionError: `feed` or `feed_batch` fails when it is traced.
    """
    if feed_batch is not None:
        return FeedBatchPipeline(reader, mode, minibatch_size, feed_batch)
    if feed is not None:
        return FeedPipeline(reader, mode, minibatch_size, feed)
    raise ModelDefinitionError("the model definition file has neither feed_batch nor feed")


class FeedBatchPipeline:
    """Batches of exactly the minibatch size, across tasks, one `feed_batch` call for each.

    The `tf.data` iterator lives as long as the pipeline, because making one takes as long as
    several steps of a small model. Beside the tensors, that flow through TensorFlow, a plan for
    each batch goes through a queue: the pieces that the batch is made of. The order is the same.
    """

    def __init__(
        self,
        reader: DataReader,
        mode: TaskType,
        minibatch_size: int,
        feed_batch: Callable[..., Any],
    ) -> None:
        self._reader = reader
        self._reader_name = type(reader).__name__
        self._spec = record_spec(reader)
        self._minibatch_size = minibatch_size
        self._streams: queue.SimpleQueue[TaskStream | None] = queue.SimpleQueue()
        self._plans: queue.SimpleQueue[list[Piece] | Signal | Exception] = queue.SimpleQueue()
        self._stream: TaskStream | None = None
        metadata = getattr(reader, "metadata", None)
        blocks = tf.data.Dataset.from_generator(
            self._blocks,
            output_signature=tf.nest.map_structure(
                lambda spec: tf.TensorSpec([None, None, *spec.shape], spec.dtype), self._spec
            ),
        )
        options = tf.data.Options()
        # The reading begins when the iterator is made, not when it is first asked: nobody asks
        # before there is a plan, and the reading makes the plans.
        options.experimental_warm_start = True
        with explained(f"feed_batch(records, {str(mode)!r}, metadata)"):
            self._dataset = (
                blocks.unbatch()
                .map(
                    lambda *records: feed_batch(
                        # `Dataset.map` unpacks a tuple.
                        records if isinstance(self._spec, tuple) else records[0],
                        str(mode),
                        metadata,
                    ),
                    num_parallel_calls=tf.data.AUTOTUNE,
                    deterministic=True,
                )
                .prefetch(tf.data.AUTOTUNE)
                .with_options(options)
            )
        self._iterator: Iterator[Any] | None = None

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        self._stream = stream
        self._streams.put(stream)
        if self._iterator is None:
            self._iterator = iter(self._dataset)
        while True:
            plan = self._plans.get()
            if isinstance(plan, Exception):
                raise plan
            if isinstance(plan, Signal):
                return
            with explained("feed_batch", plan):
                data = next(self._iterator)
            yield Batch(data, plan)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._streams.put(None)
        # TensorFlow ends the iterator's threads now; when the interpreter ends it could hang.
        self._iterator = None

    def _blocks(self) -> Iterator[Any]:
        """Yields arrays of shape (batches, records in each, …), each after its plans."""
        while (stream := self._streams.get()) is not None:
            try:
                for block in self._record_blocks(stream):
                    arrays = to_arrays(block.records, self._spec, self._reader_name)
                    shaped = tf.nest.map_structure(block.reshape, arrays)
                    # Whoever gets a plan waits for its batch: from here on nothing may fail.
                    for plan in block.plans:
                        self._plans.put(plan)
                    yield shaped
            except Exception as error:  # noqa: BLE001 - raised again in the consumer's thread
                self._plans.put(error)
                return
            self._plans.put(Signal.END)

    def _record_blocks(self, stream: TaskStream) -> Iterator[Block]:
        held = HeldRecords(self._minibatch_size)
        while (event := stream.next()) is not Signal.END:
            if isinstance(event, Lease):
                position = event.start_position
                for records in read_lease(self._reader, event):
                    size = batch_size(records)
                    held.add(records, Piece(event, position, position + size))
                    position += size
                    if held.is_enough():
                        yield from held.full_batches()
            if event is Signal.FLUSH or stream.would_wait:
                yield from held.full_batches()
            if event is Signal.FLUSH:
                yield from held.rest()
        yield from held.full_batches()
        yield from held.rest()


class FeedPipeline:
    """Batches of what `feed` makes of each lease on its own.

    `feed` may shuffle, filter or repeat: nothing leaks into another lease. Each element carries
    the number of its lease through `batch`. A lease is used up by the batch that holds its last
    element, which is known once the batch after it is there. The pipeline stops, and starts
    again, each time that the master has nothing to lease, so that no partial batch is held back.
    """

    def __init__(
        self,
        reader: DataReader,
        mode: TaskType,
        minibatch_size: int,
        feed: Callable[..., Any],
    ) -> None:
        self._reader = reader
        self._reader_name = type(reader).__name__
        self._spec = record_spec(reader)
        self._stream: TaskStream | None = None
        self._elements: Iterator[Any] = iter(())
        self._leases: list[Lease] = []
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

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        self._stream = stream
        while stream.wait():
            yield from self._segment()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._elements = iter(())  # as in FeedBatchPipeline

    def _segment(self) -> Iterator[Batch]:
        """Yields the batches up to the next flush."""
        with self._lock:
            self._leases = []
        used_up = 0
        held: Any = None
        for numbers, data in self._explained_elements():
            # Every lease before the one that the next batch begins with has no more elements.
            first = int(numbers[0])
            if held is not None or first > used_up:
                yield Batch(held, self._pieces(used_up, first))
                used_up = first
            held = data
        if self._error is not None:
            raise self._error
        rest = self._pieces(used_up, len(self._leases))
        if held is not None or rest:
            yield Batch(held, rest)

    def _explained_elements(self) -> Iterator[tuple[tf.Tensor, Any]]:
        self._elements = iter(self._dataset)
        while True:
            try:
                with explained("feed"):
                    element = next(self._elements, None)
            except ModelDefinitionError:
                if self._error is not None:
                    raise self._error from None
                raise
            if element is None:
                return
            yield element

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
            while isinstance(event := stream.next(), Lease):
                records = join_batches(list(read_lease(self._reader, event)))
                arrays = to_arrays(records, self._spec, self._reader_name)
                with self._lock:
                    number = len(self._leases)
                    self._leases.append(event)
                yield number, arrays
        except Exception as error:
            self._error = error
            raise
