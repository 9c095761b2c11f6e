"""How the records of a data set are laid out in strips of cells, to be drawn."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.master.shard_table import ShardTable

_MOST_STRIPS = 200


@dataclass(frozen=True)
class Strip:
    """A shard, or a run of neighbouring shards.

    Attributes:
        name: the shard's; of several, that of the first and that of the last.
        num_shards: how many there are.
        num_records: how many records they have together.
        first_cell: the number of its first cell.
        num_cells: each has an equal share of the records.
    """

    name: str
    num_shards: int
    num_records: int
    first_cell: int
    num_cells: int


class CoverageLayout:
    """The cells of a data set.

    Args:
        table: the data set.
        most_cells: how many cells there are at most; at least 1. There are fewer only where there
            are not as many records, or by a few, because each cell of a strip has an equal share.

    Attributes:
        table: the data set.
        strips: in the order of the shards.
        edges: the ordinal of the first record of each cell, and the one after the last; ascending;
            int64, shape (cells + 1,).
        sizes: the number of records in each cell; int64, shape (cells,).
    """

    def __init__(self, table: ShardTable, most_cells: int) -> None:
        self.table = table
        counts = np.array([shard.count for shard in table.shards], np.int64)
        firsts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        bounds = _strip_bounds(firsts, min(_MOST_STRIPS, most_cells))
        num_records = np.diff(firsts[bounds])
        num_cells = _numbers_of_cells(num_records, most_cells)
        first_cells = np.concatenate(([0], np.cumsum(num_cells, dtype=np.int64)))
        self.strips: Sequence[Strip] = [
            Strip(_name(table, start, end), end - start, records, cell, cells)
            for start, end, records, cell, cells in zip(
                bounds[:-1].tolist(),
                bounds[1:].tolist(),
                num_records.tolist(),
                first_cells.tolist(),
                num_cells.tolist(),
                strict=False,
            )
        ]
        edges = [
            # In whole numbers of any size: records times cells may be more than 64 bits hold.
            first + cell * strip.num_records // strip.num_cells
            for first, strip in zip(firsts[bounds[:-1]].tolist(), self.strips, strict=True)
            for cell in range(strip.num_cells)
        ]
        self.edges: NDArray[np.int64] = np.array([*edges, table.num_records], np.int64)
        self.sizes: NDArray[np.int64] = np.diff(self.edges)
        self._firsts = firsts

    @property
    def num_cells(self) -> int:
        """How many cells there are."""
        return len(self.sizes)

    @functools.cached_property
    def _shard_numbers(self) -> Mapping[str, Sequence[int]]:
        numbers: dict[str, list[int]] = {}
        for number, shard in enumerate(self.table.shards):
            numbers.setdefault(shard.name, []).append(number)
        return numbers

    def runs(self, shard_name: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yields the ordinals of some records, as runs `[start, end)`.

        Args:
            shard_name: the shard; a name may have several, each with other records.
            start: the index of the first record.
            end: the index after the last.
        """
        for number in self._shard_numbers[shard_name]:
            shard, ordinal = self.table.shards[number], int(self._firsts[number])
            first, last = max(start, shard.first), min(end, shard.end)
            if first < last:
                yield ordinal + first - shard.first, ordinal + last - shard.first

    def overlaps(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns which runs `[start, end)` of ordinals have records in which cells.

        Args:
            starts: int64, shape (runs,).
            ends: likewise; no run is empty.

        Returns:
            The number of a run, the number of a cell, and how many records of the run are in it;
            one entry for each pair with at least one record.
        """
        first_cells = np.searchsorted(self.edges, starts, side="right") - 1
        last_cells = np.searchsorted(self.edges, ends, side="left") - 1
        num_cells = last_cells - first_cells + 1
        runs = np.repeat(np.arange(len(starts)), num_cells)
        entries_before = np.cumsum(num_cells) - num_cells
        cells = np.arange(len(runs)) + np.repeat(first_cells - entries_before, num_cells)
        amounts = np.minimum(ends[runs], self.edges[cells + 1])
        amounts -= np.maximum(starts[runs], self.edges[cells])
        return runs, cells, amounts


def _strip_bounds(firsts: NDArray[np.int64], most_strips: int) -> NDArray[np.int64]:
    """Returns the number of the first shard of each strip, and the number of shards."""
    num_shards = len(firsts) - 1
    if num_shards <= most_strips:
        return np.arange(num_shards + 1)
    # Where the strips would begin if shards could be cut.
    ideal = np.arange(1, most_strips) * (float(firsts[-1]) / most_strips)
    return np.unique(np.concatenate(([0], np.searchsorted(firsts[:-1], ideal), [num_shards])))


def _numbers_of_cells(num_records: NDArray[np.int64], most_cells: int) -> NDArray[np.int64]:
    """Returns the number of cells of each strip: at least 1, none where there is no record."""
    is_filled = num_records > 0
    total = max(int(num_records.sum()), 1)
    left = most_cells - int(is_filled.sum())
    shares = is_filled + np.floor(num_records * (left / total)).astype(np.int64)
    numbers: NDArray[np.int64] = np.minimum(shares, num_records)
    return numbers


def _name(table: ShardTable, start: int, end: int) -> str:
    first, last = table.shards[start].name, table.shards[end - 1].name
    return first if end - start == 1 else f"{first} … {last}"
