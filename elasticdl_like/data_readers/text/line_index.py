r"""Builds the sparse index of a file of lines from what each block of its bytes holds.

A line ends where a format says that it does (`FindLineEnds`), and is a record when it has bytes
before its end. So a format that has two bytes end a line, as "\r\n" does, names both: between
them is one more line, which is empty.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.sparse_index import SparseIndex


class Block(NamedTuple):
    """Some bytes of a file, and one byte on either side.

    Attributes:
        offset: where they begin in the file.
        before: the byte before them, or b"" where the data begins.
        data: the bytes themselves; at least one.
        after: the byte after them, or b"" at the end of the file.
    """

    offset: int
    before: bytes
    data: bytes
    after: bytes


class LineEnds(NamedTuple):
    """Where lines end in a block, and what had to be known for it of the bytes before.

    A state is the format's own; it is 0 where the data begins.

    Attributes:
        positions: of the bytes that end lines, ascending, counted from the beginning of the block.
        state: what was known, or guessed, of the bytes before the block.
        state_after: the same for the block that follows.
    """

    positions: NDArray[np.int64]
    state: int
    state_after: int


FindLineEnds = Callable[[Block, int | None], LineEnds]
"""Finds where lines end by the rules of a format; it guesses the state if that is None."""


@dataclass(frozen=True, slots=True)
class BlockLines:
    """The lines of one block, with offsets in the file.

    The first of them began in an earlier block, or where this one does; the last is not over.

    Attributes:
        first_end: where the first line ends, or -1 when no line ends in the block.
        last_start: where the last line begins.
        num_records: the records among the lines between the first and the last.
        entries: `(where a line begins, how many of these records are before it, whether it or the
            one before it is long)` for the lines that may begin a stretch, from the second on.
        end: where the block ends.
    """

    first_end: int
    last_start: int
    num_records: int
    entries: list[tuple[int, int, bool]]
    end: int


def lines_of_block(block: Block, line_ends: NDArray[np.int64], spacing_bytes: int) -> BlockLines:
    """Returns what a block adds to an index.

    Args:
        block: the block.
        line_ends: the positions of the bytes in it that end lines, ascending.
        spacing_bytes: how far the entries of the index are apart.
    """
    end = block.offset + len(block.data)
    if not len(line_ends):
        return BlockLines(-1, -1, 0, [], end)
    first_end, last_end = int(line_ends[0]), int(line_ends[-1])
    # Line i + 1, counted from the first, takes this many bytes with its end; 1 when it is empty.
    sizes = np.diff(line_ends)
    is_record = sizes > 1
    # The first line start in each cell of a grid, so that a stretch is at most two cells long ...
    cells = np.arange(
        -(-(block.offset + first_end + 1) // spacing_bytes) * spacing_bytes,
        block.offset + last_end + 2,
        spacing_bytes,
    )
    begins_cell = np.searchsorted(line_ends, cells - block.offset - 1)
    # ... but for a line that is longer than a cell, which gets a stretch of its own.
    is_long = np.flatnonzero(sizes - 1 > spacing_bytes)
    around_long = {*is_long.tolist(), *(is_long + 1).tolist()}
    numbers = sorted({0, *begins_cell.tolist(), *around_long})
    entries = []
    records = counted = 0
    for number in numbers:
        records += int(np.count_nonzero(is_record[counted:number]))
        counted = number
        start = block.offset + int(line_ends[number]) + 1
        entries.append((start, records, number in around_long))
    num_records = records + int(np.count_nonzero(is_record[counted:]))
    return BlockLines(
        block.offset + first_end, block.offset + last_end + 1, num_records, entries, end
    )


class LineIndexBuilder:
    """Joins the lines of consecutive blocks to an index.

    Args:
        start: where the data begins in the file.
        spacing_bytes: how far the entries of the index are apart.

    Attributes:
        line_start: where the line begins of which the end has not been found yet.
    """

    def __init__(self, start: int, spacing_bytes: int) -> None:
        self._spacing_bytes = spacing_bytes
        self.line_start = start
        self._end = start
        self._records = array("q", [0])
        self._offsets = array("q", [start])
        self._num_records = 0

    def add(self, lines: BlockLines) -> None:
        """Adds the block that follows those before it."""
        self._end = lines.end
        if lines.first_end < 0:
            return
        was_long = self._end_line(lines.first_end)
        first_record = self._num_records
        for offset, records, is_long in lines.entries:
            if is_long or was_long or self._is_in_new_cell(offset):
                self._add_entry(first_record + records, offset)
            was_long = False
        self._num_records += lines.num_records
        self.line_start = lines.last_start

    def finish(self) -> SparseIndex:
        """Returns the index of all blocks; what follows the last line end is a line too."""
        self._end_line(self._end)
        if not self._num_records:
            return SparseIndex(self._records[:1], self._offsets[:1])
        self._add_entry(self._num_records, self._end)
        return SparseIndex(self._records, self._offsets)

    def _end_line(self, end: int) -> bool:
        """Counts the line that ends here, and returns whether it is longer than a stretch."""
        is_long = end - self.line_start > self._spacing_bytes
        if is_long:
            self._add_entry(self._num_records, self.line_start)
        self._num_records += end > self.line_start
        return is_long

    def _is_in_new_cell(self, offset: int) -> bool:
        return offset // self._spacing_bytes > self._offsets[-1] // self._spacing_bytes

    def _add_entry(self, record: int, offset: int) -> None:
        if offset > self._offsets[-1]:
            self._records.append(record)
            self._offsets.append(offset)
