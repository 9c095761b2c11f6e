"""A picture of an epoch: what became of the records, cell by cell, by arithmetic.

What was handed out so far is known by the frontier of the epoch. What is in flight or set aside is
taken off that; what is left is committed. In a shuffled epoch the tasks before the frontier are all
over the data set, and counting them takes time: they are counted as they are handed out, and so
many at once at most; what was not counted yet is taken to be spread evenly over what is left.
There, what is known of a part of a task is taken to be spread evenly over the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.master.coverage_layout import CoverageLayout, Strip
from elasticdl_like.master.epoch_view import EpochView, LeasedPart
from elasticdl_like.master.ledger import LedgerEntry
from elasticdl_like.master.task_order import Piece
from elasticdl_like.tasks import EpochKey, TaskType

# So many tasks are counted in about 10 ms.
_MOST_TASKS_AT_ONCE = 20_000
# Fractions are told in units of this.
_UNIT = 10_000

_Counts = NDArray[np.float64]  # of records, shape (cells,)


class Coverage:
    """Draws the epochs of one job; it remembers what does not change between two pictures."""

    def __init__(self) -> None:
        self._layout: CoverageLayout | None = None
        self._most_cells = 0
        self._handed_out: _HandedOut | None = None

    def document(self, view: EpochView | None, most_cells: int) -> dict[str, Any]:
        """Returns the picture of an epoch as JSON.

        Args:
            view: the epoch; None where none has begun.
            most_cells: how many cells there are at most; at least 1.
        """
        if view is None:
            nothing = LedgerEntry(EpochKey(TaskType.TRAINING, 0), 0, 0, 0, 0, 0, 0, False, 0, 0, 0)
            return _totals(nothing) | {"num_shards": 0, "shards": []}
        layout = self._layout
        if layout is None or layout.table is not view.table or self._most_cells != most_cells:
            layout = CoverageLayout(view.table, most_cells)
            self._layout, self._most_cells = layout, most_cells
            self._handed_out = None
        cells = _cells(layout, view, self._counted(layout, view))
        return _totals(view.entry) | {
            "num_shards": len(view.table.shards),
            "shards": [_strip(strip, cells) for strip in layout.strips],
        }

    def _counted(self, layout: CoverageLayout, view: EpochView) -> _Counts:
        """Returns how many records of each cell were handed out."""
        table, sizes = view.table, layout.sizes.astype(np.float64)
        if view.frontier == table.num_tasks:
            return sizes
        if not view.is_shuffled:
            first = table.task_range(view.frontier).ordinal
            return np.clip(first + view.next_position - layout.edges[:-1], 0.0, sizes)
        handed_out = self._handed_out
        if handed_out is None or handed_out.key != view.entry.key:
            self._handed_out = handed_out = _HandedOut(view.entry.key, layout)
        handed_out.advance(view)
        begun = [(-1, view.frontier, 0, view.next_position)]
        counts = handed_out.counts + _spread(layout, view, begun)
        entry = view.entry
        pieces = sum(piece.end - piece.start for piece in view.waiting)
        total = entry.committed + entry.tentative + entry.leased + entry.quarantined + pieces
        return _scaled(counts, total, sizes)


class _HandedOut:
    """The records of a shuffled epoch's first tasks, counted for each cell."""

    def __init__(self, key: EpochKey, layout: CoverageLayout) -> None:
        self.key = key
        self.counts = np.zeros(layout.num_cells)
        self._layout = layout
        self._num_tasks = 0

    def advance(self, view: EpochView) -> None:
        """Counts as far as the epoch is, or comes nearer to that."""
        if view.frontier < self._num_tasks // 2:
            self.counts[:] = 0.0
            self._num_tasks = 0
        start, end = self._num_tasks, view.frontier
        if end >= start:
            end = min(end, start + _MOST_TASKS_AT_ONCE)
            self.counts += self._count(view, start, end)
        else:
            end = max(end, start - _MOST_TASKS_AT_ONCE)
            self.counts -= self._count(view, end, start)
        self._num_tasks = end

    def _count(self, view: EpochView, start: int, end: int) -> _Counts:
        starts, ends = view.order.task_ordinals(np.arange(start, end))
        _, cells, amounts = self._layout.overlaps(starts, ends)
        return _sum_by_cell(self._layout, cells, amounts.astype(np.float64))


@dataclass(frozen=True)
class _Cells:
    """What became of the records of each cell.

    Attributes:
        fractions: committed, tentative, leased, quarantined; shape (cells, 4).
        workers: who has leased most of each, or -1; shape (cells,).
    """

    fractions: NDArray[np.float64]
    workers: NDArray[np.int64]


def _cells(layout: CoverageLayout, view: EpochView, handed_out: _Counts) -> _Cells:
    tentative = _spread(layout, view, _unowned(view.tentative))
    waiting = _spread(layout, view, _unowned(view.waiting))
    quarantined = _quarantined(layout, view)
    leased, workers = _leased(layout, view)
    committed = np.maximum(handed_out - tentative - waiting - quarantined - leased, 0.0)
    units = np.zeros((layout.num_cells, 4))
    left = np.full(layout.num_cells, float(_UNIT))
    # In this order, so that one bad record is seen, and so that a cell is never more than full.
    for column, counts, round_to in (
        (3, quarantined, np.ceil),
        (2, leased, np.floor),
        (1, tentative, np.floor),
        (0, committed, np.floor),
    ):
        exact = counts * (_UNIT / layout.sizes)
        nearest = np.round(exact)
        rounded = np.where(np.abs(exact - nearest) < 1e-6, nearest, round_to(exact))
        units[:, column] = np.minimum(rounded, left)
        left -= units[:, column]
    return _Cells(units / _UNIT, workers)


def _leased(layout: CoverageLayout, view: EpochView) -> tuple[_Counts, NDArray[np.int64]]:
    """Returns how much of each cell is leased, and who has leased most of it, or -1."""
    owners, cells, amounts = _overlaps(layout, view, view.leased)
    workers = np.full(layout.num_cells, -1, np.int64)
    if len(owners):
        worker_ids, numbers = np.unique(owners, return_inverse=True)
        # Of each worker in each cell the sum, and of these, in each cell, the greatest last.
        pairs, of_pair = np.unique(cells * len(worker_ids) + numbers, return_inverse=True)
        sums = np.bincount(of_pair, amounts)
        order = np.argsort(sums, kind="stable")
        workers[pairs[order] // len(worker_ids)] = worker_ids[pairs[order] % len(worker_ids)]
    return _sum_by_cell(layout, cells, amounts), workers


def _quarantined(layout: CoverageLayout, view: EpochView) -> _Counts:
    if not view.quarantined:
        return np.zeros(layout.num_cells)
    records = [
        run
        for each in view.quarantined
        for run in layout.runs(each.shard_name, each.start, each.end)
    ]
    starts, ends = np.array(records, np.int64).T
    weights = np.ones(len(starts))
    if view.is_shuffled:
        starts, ends, weights = _over_tasks(view, starts, ends)
    runs, cells, amounts = layout.overlaps(starts, ends)
    return _sum_by_cell(layout, cells, amounts * weights[runs])


def _over_tasks(
    view: EpochView, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Spreads runs of records over their tasks.

    Returns:
        Where the tasks at the ends of each run, and what is between these, start and end, and which
        fraction of them is in the run; nothing that is empty.
    """
    table = view.table
    first_starts, first_ends = table.task_ordinals(table.tasks_at(starts))
    last_starts, last_ends = table.task_ordinals(table.tasks_at(ends - 1))
    same = first_starts == last_starts
    in_first = np.minimum(ends, first_ends) - starts
    in_last = np.where(same, 0, ends - last_starts)
    between = np.where(same, 0, last_starts - first_ends)
    weights = np.concatenate(
        (
            in_first / (first_ends - first_starts),
            in_last / (last_ends - last_starts),
            (between > 0).astype(np.float64),
        )
    )
    used = weights > 0
    return (
        np.concatenate((first_starts, last_starts, first_ends))[used],
        np.concatenate((first_ends, last_ends, last_starts))[used],
        weights[used],
    )


def _overlaps(
    layout: CoverageLayout, view: EpochView, parts: Sequence[LeasedPart]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns how many records of parts of tasks are in which cells.

    Returns:
        For each pair of a part and a cell: whose it is, the number of the cell, how many records.
    """
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    table = np.array(parts, np.int64)
    owners, task_numbers, first, end = table[table[:, 2] < table[:, 3]].T
    starts, ends = view.order.task_ordinals(task_numbers)
    weights = np.ones(len(starts))
    if view.is_shuffled:
        weights = (end - first) / (ends - starts)
    else:
        starts, ends = starts + first, starts + end
    runs, cells, amounts = layout.overlaps(starts, ends)
    return owners[runs], cells, amounts * weights[runs]


def _spread(layout: CoverageLayout, view: EpochView, parts: Sequence[LeasedPart]) -> _Counts:
    _, cells, amounts = _overlaps(layout, view, parts)
    return _sum_by_cell(layout, cells, amounts)


def _unowned(pieces: Iterable[Piece]) -> Sequence[LeasedPart]:
    return [(-1, piece.task_number, piece.start, piece.end) for piece in pieces]


def _sum_by_cell(
    layout: CoverageLayout, cells: NDArray[np.int64], amounts: NDArray[np.float64]
) -> _Counts:
    return np.bincount(cells, amounts, minlength=layout.num_cells).astype(np.float64, copy=False)


def _scaled(counts: _Counts, total: int, sizes: _Counts) -> _Counts:
    """Makes counts add up to a total, no cell more than full."""
    counted = float(counts.sum())
    if counted > total:
        return counts * (total / counted)
    left = float(sizes.sum()) - counted
    return counts + (sizes - counts) * ((total - counted) / left if left > 0 else 0.0)


def _totals(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "type": str(entry.key.type),
        "epoch": entry.key.epoch,
        "records": entry.records,
        "committed": entry.committed,
        "tentative": entry.tentative,
        "leased": entry.leased,
        "quarantined": entry.quarantined,
        "waiting": entry.waiting,
    }


def _strip(strip: Strip, cells: _Cells) -> dict[str, Any]:
    part = slice(strip.first_cell, strip.first_cell + strip.num_cells)
    return {
        "name": strip.name,
        "records": strip.num_records,
        "num_shards": strip.num_shards,
        "cells": cells.fractions[part].tolist(),
        "workers": cells.workers[part].tolist(),
    }
