"""From leases to batches: reading, and `feed_batch` under `tf.data`."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.reading import DataReader, batch_size, slice_batch
from elasticdl_like.errors import DataError, ModelDefinitionError
from elasticdl_like.tasks import TaskType
from elasticdl_like.time_spent import Activity
from elasticdl_like.worker.block_coding import block_coding
from elasticdl_like.worker.blocks import IDLE, Batch, Block, HeldRecords, Piece, cut
from elasticdl_like.worker.columns import record_spec, to_arrays
from elasticdl_like.worker.element_iterator import element_iterator
from elasticdl_like.worker.feed_pipeline import FeedPipeline
from elasticdl_like.worker.read_ahead import DEFAULT_PREFETCH_BYTES, ReadAhead, ReadLease
from elasticdl_like.worker.round_feed_pipeline import RoundFeedPipeline
from elasticdl_like.worker.task_stream import Signal, TaskStream
from elasticdl_like.worker.user_code import explained

# In TensorFlow's message, when it was the function given to `Dataset.map` that failed.
_FROM_FEED_BATCH = "passed to ParallelMap"
# Errors of running feed_batch that say nothing about the records that it was given.
_NOT_OF_RECORDS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnavailableError,
    tf.errors.UnimplementedError,
)


class BatchPipeline(Protocol):
    """Makes batches of what a stream leases."""

    @property
    def element_spec(self) -> Any:
        """The `tf.TensorSpec` of the data of a batch, or tuples and dicts of them."""

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        """Yields every batch of one epoch.

        The last batch before the master has nothing to lease is as small as it has to be: what is
        held back would keep the epoch from ending. Records that cannot be read, or that
        `feed_batch` cannot parse, come as batches without data that say what the problem is.

        In a round, where all members step together, and in a prediction, every batch is aligned.
        While there is nothing to lease, `IDLE` is yielded again and again, instead of a wait. It
        does not stand for waiting until records are read.

        Raises:
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
    read_threads: int = 0,
    prefetch_bytes: int = DEFAULT_PREFETCH_BYTES,
    in_round: bool = False,
    keep_records: bool = False,
) -> BatchPipeline:
    """Returns the pipeline for `feed_batch`, or, when there is none, for `feed`.

    Args:
        reader: reads the tasks.
        mode: what `feed` is told.
        minibatch_size: records in a full batch.
        feed: `(dataset, mode, metadata)` -> dataset of one element for each record.
        feed_batch: `(records, mode, metadata)` -> the batch.
        read_threads: how many leases are read at once at most; 0 for as suits the machine.
        prefetch_bytes: about how much is read ahead.
        in_round: whether the batches are for training in a round of several workers, or for a
            prediction.
        keep_records: whether batches have the records that they were made of.

    Raises:
        ModelDefinitionError: `feed` or `feed_batch` fails when it is traced.
    """
    ahead = ReadAhead(reader, read_threads, prefetch_bytes, in_parts=feed_batch is not None)
    if feed_batch is not None:
        return FeedBatchPipeline(ahead, mode, minibatch_size, feed_batch, in_round, keep_records)
    if feed is not None and in_round:
        return RoundFeedPipeline(ahead, mode, minibatch_size, feed, keep_records)
    if feed is not None:
        return FeedPipeline(ahead, mode, minibatch_size, feed)
    raise ModelDefinitionError("the model definition file has neither feed_batch nor feed")


@dataclass(frozen=True)
class _Plan:
    """A batch on its way through TensorFlow: a row of a block, and its pieces."""

    block: Block
    row: int
    pieces: Sequence[Piece]


class FeedBatchPipeline:
    """Batches of exactly the minibatch size, across tasks, one `feed_batch` call for each.

    The `tf.data` iterator lives as long as the pipeline, because making one takes as long as
    several steps of a small model. Beside the tensors, that flow through TensorFlow, a plan for
    each batch goes through a queue: the pieces that the batch is made of. The order is the same.

    A batch on which `feed_batch` fails is halved until the records to blame are alone.
    """

    def __init__(
        self,
        ahead: ReadAhead,
        mode: TaskType,
        minibatch_size: int,
        feed_batch: Callable[..., Any],
        in_round: bool = False,
        keep_records: bool = False,
    ) -> None:
        reader = ahead.reader
        self._ahead = ahead
        self._in_round = in_round
        self._keep_records = keep_records
        self._time_spent = ahead.time_spent
        self._reader_name = type(reader).__name__
        self._spec = record_spec(reader)
        self._minibatch_size = minibatch_size
        self._streams: queue.SimpleQueue[TaskStream | None] = queue.SimpleQueue()
        self._plans: queue.SimpleQueue[_Plan | Batch | Signal | Exception] = queue.SimpleQueue()
        self._stream: TaskStream | None = None
        metadata = getattr(reader, "metadata", None)

        def feed_records(records: Any) -> Any:
            return feed_batch(records, str(mode), metadata)

        # Traced when it is first needed.
        self._feed_records = tf.function(
            feed_records,
            input_signature=[
                tf.nest.map_structure(
                    lambda spec: tf.TensorSpec([None, *spec.shape], spec.dtype), self._spec
                )
            ],
        )
        self._coding = coding = block_coding(self._spec, self._reader_name)
        blocks = tf.data.Dataset.from_generator(
            self._blocks,
            # A tuple of one: `Dataset.map` unpacks the outermost tuple, and the records may be one.
            output_signature=(coding.signature,),
        )
        options = tf.data.Options()
        # The reading begins when the iterator is made, not when it is first asked: nobody asks
        # before there is a plan, and the reading makes the plans.
        options.experimental_warm_start = True
        with explained(f"feed_batch(records, {str(mode)!r}, metadata)"):
            self._dataset = (
                # Converting Python's control flow takes long; only users have any.
                blocks.map(
                    tf.autograph.experimental.do_not_convert(
                        lambda encoded: (coding.decode(encoded),)
                    )
                )
                .unbatch()
                .map(
                    feed_records,
                    num_parallel_calls=tf.data.AUTOTUNE,
                    deterministic=True,
                )
                .prefetch(tf.data.AUTOTUNE)
                .with_options(options)
            )
        self._iterator: Iterator[Any] | None = None

    @property
    def element_spec(self) -> Any:
        return self._dataset.element_spec

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        self._stream = stream
        self._streams.put(stream)
        if self._iterator is None:
            self._iterator = element_iterator(self._dataset)
        flushes = 0
        while True:
            while self._in_round and stream.is_idle(flushes):
                yield IDLE
            plan = self._plans.get()
            if isinstance(plan, Exception):
                raise plan
            if plan is Signal.END:
                return
            if plan is Signal.FLUSH:
                flushes += 1
            elif isinstance(plan, Batch):
                yield plan
            elif isinstance(plan, _Plan):
                yield from self._planned(plan, self._iterator)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._streams.put(None)
        self._ahead.close()
        # TensorFlow ends the iterator's threads now; when the interpreter ends it could hang.
        self._iterator = None

    def _planned(self, plan: _Plan, iterator: Iterator[Any]) -> Iterator[Batch]:
        try:
            with explained("feed_batch", plan.pieces), self._time_spent.measure(Activity.PARSING):
                data = next(iterator)
        except ModelDefinitionError as error:
            # After an error of `feed_batch` the iterator goes on with the next batch. After any
            # other nobody knows: rather no batch than one that is taken for another.
            if _FROM_FEED_BATCH not in str(error.__cause__):
                raise
            _check_is_of_records(error)
            records = plan.block.row(plan.row)
            arrays = to_arrays(records, self._spec, self._reader_name)
            yield from self._halved(records, arrays, plan.pieces, str(error))
        else:
            kept = plan.block.row(plan.row) if self._keep_records else None
            yield Batch(data, plan.pieces, records=kept)

    def _halved(
        self, records: RecordBatch, arrays: Any, pieces: Sequence[Piece], problem: str
    ) -> Iterator[Batch]:
        """Yields what can be used of records, and what cannot; all together they cannot."""
        size = sum(piece.interval.size for piece in pieces)
        if size == 1:
            yield Batch(None, pieces, problem)
            return
        middle = size // 2
        for start, end, half in zip((0, middle), (middle, size), cut(pieces, middle), strict=True):
            part = tf.nest.map_structure(lambda array: array[start:end], arrays)  # noqa: B023
            kept = slice_batch(records, start, end)
            try:
                with explained("feed_batch", half):
                    data = self._feed_records(tf.nest.map_structure(_to_tensor, part, self._spec))
            except ModelDefinitionError as error:
                _check_is_of_records(error)
                yield from self._halved(kept, part, half, str(error))
            else:
                yield Batch(data, half, records=kept if self._keep_records else None)

    def _blocks(self) -> Iterator[Any]:
        """Yields blocks, each after its plans."""
        while (stream := self._streams.get()) is not None:
            try:
                for encoded, block in self._encoded(stream):
                    # Whoever gets a plan waits for its batch: from here on nothing may fail.
                    for row, pieces in enumerate(block.plans):
                        self._plans.put(_Plan(block, row, pieces))
                    yield (encoded,)
            except Exception as error:  # noqa: BLE001 - raised again in the consumer's thread
                self._plans.put(error)
                return
            self._plans.put(Signal.END)

    def _encoded(self, stream: TaskStream) -> Iterator[tuple[Any, Block]]:
        held = HeldRecords(self._minibatch_size)
        for event in self._ahead.events(stream):
            if isinstance(event, ReadLease):
                yield from self._held(event, held)
            if isinstance(event, Signal) or self._ahead.would_wait(stream):
                yield from self._converted(held.full_batches())
            if isinstance(event, Signal):
                yield from self._converted(held.rest())
            if event is Signal.FLUSH:
                self._plans.put(event)

    def _held(self, read: ReadLease, held: HeldRecords) -> Iterator[tuple[Any, Block]]:
        lease, position = read.lease, read.lease.start_position
        if read.problem:
            piece = Piece(lease, position, lease.end_position)
            if held.are_followed_by(piece):  # a lease is used up in the order of its positions
                yield from self._converted(held.full_batches())
                yield from self._converted(held.rest())
            self._plans.put(Batch(None, [piece], problem=read.problem))
        for records in read.batches:
            size = batch_size(records)
            held.add(records, Piece(lease, position, position + size))
            position += size
            if held.is_enough():
                yield from self._converted(held.full_batches())

    def _converted(self, blocks: Iterable[Block]) -> Iterator[tuple[Any, Block]]:
        for block in blocks:
            try:
                with self._time_spent.measure(Activity.CONVERTING):
                    encoded = self._coding.encode(block)
            except DataError as error:
                parts = list(block.parts())
                if not parts:
                    self._plans.put(Batch(None, block.plans[0], problem=str(error)))
                yield from self._converted(parts)
                continue
            yield encoded, block


def _to_tensor(array: Any, spec: tf.TensorSpec) -> tf.Tensor:
    return tf.convert_to_tensor(array, spec.dtype)


def _check_is_of_records(error: ModelDefinitionError) -> None:
    """Raises an error of `feed_batch` again if no records can be the cause of it."""
    cause = error.__cause__
    if not isinstance(cause, tf.errors.OpError) or isinstance(cause, _NOT_OF_RECORDS):
        raise error
