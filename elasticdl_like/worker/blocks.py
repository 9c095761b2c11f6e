"""Records on their way from leases to TensorFlow, and which records each batch is made of."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.reading import batch_bytes, batch_size, join_batches, slice_batch
from elasticdl_like.tasks import Interval, Lease

# A block is what one Python call hands to TensorFlow. Larger ones cost less for each record; the
# time bound keeps a slow source from holding back batches that are ready.
_BLOCK_RECORDS = 1 << 14
_BLOCK_BYTES = 1 << 21
_BLOCK_SECONDS = 0.02


@dataclass(frozen=True)
class Piece:
    """The positions `[start_position, end_position)` of a lease."""

    lease: Lease
    start_position: int
    end_position: int

    @property
    def interval(self) -> Interval:
        """The piece as a commit names it."""
        return Interval(self.lease.token, self.start_position, self.end_position)

    def __str__(self) -> str:
        task = self.lease.task
        if self.lease.order_key is None:
            start = task.start + self.start_position
            end = task.start + self.end_position
            return f"records [{start}, {end}) of shard {task.shard_name!r}"
        return f"{self.end_position - self.start_position} of the {task}"


def cut(pieces: Sequence[Piece], size: int) -> tuple[list[Piece], list[Piece]]:
    """Returns the first `size` positions of some pieces, and the others."""
    front: list[Piece] = []
    back: list[Piece] = []
    for piece in pieces:
        middle = min(piece.start_position + size, piece.end_position)
        size -= middle - piece.start_position
        if middle > piece.start_position:
            front.append(Piece(piece.lease, piece.start_position, middle))
        if middle < piece.end_position:
            back.append(Piece(piece.lease, middle, piece.end_position))
    return front, back


@dataclass(frozen=True)
class Batch:
    """One batch, and what it uses up.

    Attributes:
        data: what `feed` or `feed_batch` made of the records, as tensors; None for a batch that
            is no batch but uses records up, because `feed` made nothing of them, or because they
            cannot be used.
        pieces: the records that are used up once the batch is.
        problem: why the records cannot be used, or "".
        aligned: whether, once the batch is used, what was used is what was committed: no lease has
            elements in this batch, or an earlier one, that a later batch commits.
        idle: whether it is no batch at all: there is nothing to lease for the moment.
        records: the records as they were read, if the pipeline was asked to keep them.
    """

    data: Any
    pieces: Sequence[Piece]
    problem: str = ""
    aligned: bool = True
    idle: bool = False
    records: RecordBatch | None = None

    @property
    def intervals(self) -> list[Interval]:
        """What to commit once the batch is used."""
        return [piece.interval for piece in self.pieces]


IDLE = Batch(None, (), idle=True)


@dataclass(frozen=True)
class Block:
    """Records for several batches of one size.

    Attributes:
        records: those of all the batches.
        plans: for each batch, the pieces that it is made of.
    """

    records: RecordBatch
    plans: Sequence[list[Piece]]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of batches, and of records in each."""
        return len(self.plans), batch_size(self.records) // len(self.plans)

    def reshape(self, array: Any) -> Any:
        """Returns an array with an axis for the batches before that of the records."""
        return array.reshape((*self.shape, *array.shape[1:]))

    def row(self, number: int) -> RecordBatch:
        """Returns the records of a batch."""
        size = self.shape[1]
        return slice_batch(self.records, number * size, (number + 1) * size)

    def parts(self) -> Iterator[Block]:
        """Yields a block for each batch, or, of one batch, for each half; none for one record."""
        records = batch_size(self.records)
        plans = self.plans if len(self.plans) > 1 else cut(self.plans[0], records // 2)
        start = 0
        for plan in plans if records > 1 else []:
            end = start + sum(piece.interval.size for piece in plan)
            yield Block(slice_batch(self.records, start, end), [plan])
            start = end


class HeldRecords:
    """Records on their way from leases to blocks, with the pieces they come from."""

    def __init__(self, minibatch_size: int) -> None:
        self._minibatch_size = minibatch_size
        self._size = 0
        self._batches: list[RecordBatch] = []
        self._pieces: deque[Piece] = deque()
        self._bytes = 0
        self._since_s = 0.0

    def add(self, records: RecordBatch, piece: Piece) -> None:
        """Holds more records."""
        if not self._size:
            self._since_s = time.monotonic()
        self._size += batch_size(records)
        self._bytes += batch_bytes(records)
        self._batches.append(records)
        if self.are_followed_by(piece):
            # One interval to commit, however many parts a lease is read in.
            last = self._pieces[-1]
            self._pieces[-1] = Piece(last.lease, last.start_position, piece.end_position)
        else:
            self._pieces.append(piece)

    def are_followed_by(self, piece: Piece) -> bool:
        """Returns whether the last of the records are those of the same lease before a piece."""
        if not self._pieces:
            return False
        last = self._pieces[-1]
        return last.lease.token == piece.lease.token and last.end_position == piece.start_position

    def is_enough(self) -> bool:
        """Returns whether what is held is worth a block, or has been held for long."""
        return self._size >= self._minibatch_size and (
            self._size >= _BLOCK_RECORDS
            or self._bytes >= _BLOCK_BYTES
            or time.monotonic() - self._since_s > _BLOCK_SECONDS
        )

    def full_batches(self) -> Iterator[Block]:
        """Yields one block of all full batches, if there are any."""
        batches = self._size // self._minibatch_size
        if batches:
            yield self._take(batches, self._minibatch_size)

    def rest(self) -> Iterator[Block]:
        """Yields everything as one batch, if there is anything."""
        if self._size:
            yield self._take(1, self._size)

    def _take(self, batches: int, size: int) -> Block:
        records = join_batches(self._batches)
        taken = batches * size
        self._bytes = self._bytes * (self._size - taken) // self._size
        self._size -= taken
        self._batches = [slice_batch(records, taken, taken + self._size)] if self._size else []
        self._since_s = time.monotonic()
        return Block(
            slice_batch(records, 0, taken) if self._size else records,
            [self._take_pieces(size) for _ in range(batches)],
        )

    def _take_pieces(self, size: int) -> list[Piece]:
        taken = []
        while size:
            piece = self._pieces.popleft()
            end = min(piece.end_position, piece.start_position + size)
            taken.append(Piece(piece.lease, piece.start_position, end))
            size -= end - piece.start_position
            if end < piece.end_position:
                self._pieces.appendleft(Piece(piece.lease, end, piece.end_position))
        return taken
