"""The order of one epoch: which records its n-th task has, and which record is at each position."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.master.shard_table import ShardTable, TaskRange
from elasticdl_like.master.tally import Tally
from elasticdl_like.ordering import derived_keys, permuted_each, permuted_run, position_order

# Orders are computed for so many tasks at once, because that is ten times faster, and the last
# ones are kept: for all tasks that may be in flight.
_BLOCK_TASKS = 512
_BLOCKS_KEPT = 256


class Piece(NamedTuple):
    """The positions `[start, end)` of one task.

    Attributes:
        task_number: the task, in the order of the epoch.
        start: the first position.
        end: the position after the last.
        natural: whether the positions are in the order of the records.
        failures: how often this one record could not be used.
    """

    task_number: int
    start: int
    end: int
    natural: bool
    failures: int = 0


class TaskOrder:
    """The tasks of a table in the order of an epoch.

    Args:
        table: the data set's tasks.
        order_key: decides the order of tasks and positions, or None for their natural order.
    """

    def __init__(self, table: ShardTable, order_key: int | None) -> None:
        self._table = table
        self._order_key = order_key

    def task_range(self, task_number: int) -> TaskRange:
        """Returns the records of the n-th task of the epoch."""
        if self._order_key is not None:
            block, index = divmod(task_number, _BLOCK_TASKS)
            task_number = _places(block, self._table.num_tasks, self._order_key)[index]
        return self._table.task_range(task_number)

    def task_ordinals(
        self, task_numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns where each of many tasks of the epoch is, as `ShardTable.task_ordinals` does."""
        if self._order_key is not None:
            num_tasks = self._table.num_tasks
            task_numbers = permuted_each(task_numbers, num_tasks, self._order_key)
        return self._table.task_ordinals(task_numbers)

    def position_key(self, piece: Piece) -> int | None:
        """Returns the key of the permutation that a piece's positions are in; None for natural."""
        if piece.natural or self._order_key is None:
            return None
        block, index = divmod(piece.task_number, _BLOCK_TASKS)
        return _position_keys(block, self._order_key)[index]

    def runs(self, piece: Piece) -> list[tuple[int, int]]:
        """Returns which records of its task a piece is made of, as runs `[start, end)`."""
        if piece.natural:
            return [(piece.start, piece.end)]
        return _runs(sorted(self._offsets(piece)[piece.start : piece.end].tolist()))

    def add_to(self, tally: Tally, piece: Piece, first: int | None = None) -> None:
        """Counts the records of a piece, which a tally knows by task and position.

        Args:
            tally: counts them.
            piece: the records.
            first: the ordinal of the first record of the task, if the caller has it at hand.
        """
        if first is None:
            first = self.task_range(piece.task_number).ordinal
        if piece.natural and self._order_key is not None:
            # These records are scattered over the positions.
            positions = np.argsort(self._offsets(piece))[piece.start : piece.end]
            tally.add([first + position for position in positions.tolist()])
        else:
            tally.add_run(first + piece.start, first + piece.end)

    def tally_before(self, task_number: int, position: int) -> Tally:
        """Counts all records of the epoch before a position of its n-th task.

        Takes time in proportion to the tasks in a shuffled epoch, unless it is the end.
        """
        if task_number == self._table.num_tasks:
            return Tally.of_run(0, self._table.num_records)
        first = self.task_range(task_number).ordinal
        if self._order_key is None:
            return Tally.of_run(0, first + position)
        tally = Tally.of_run(first, first + position)
        for number in range(task_number):
            task = self.task_range(number)
            tally.add_run(task.ordinal, task.ordinal + task.end - task.start)
        return tally

    def _offsets(self, piece: Piece) -> NDArray[np.int64]:
        task = self.task_range(piece.task_number)
        size = task.end - task.start
        key = self.position_key(piece._replace(natural=False))
        return np.arange(size) if key is None else position_order(size, key)


@functools.lru_cache(_BLOCKS_KEPT)
def _places(block: int, num_tasks: int, order_key: int) -> list[int]:
    """Returns where in its table each task of a block is."""
    start = block * _BLOCK_TASKS
    return permuted_run(start, min(start + _BLOCK_TASKS, num_tasks), num_tasks, order_key)


@functools.lru_cache(_BLOCKS_KEPT)
def _position_keys(block: int, order_key: int) -> list[int]:
    """Returns the key of the positions in each task of a block."""
    start = block * _BLOCK_TASKS
    return derived_keys(order_key, start, start + _BLOCK_TASKS)


def _runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Returns the runs `[start, end)` of ascending numbers."""
    runs: list[tuple[int, int]] = []
    for offset in offsets:
        if runs and runs[-1][1] == offset:
            runs[-1] = (runs[-1][0], offset + 1)
        else:
            runs.append((offset, offset + 1))
    return runs
