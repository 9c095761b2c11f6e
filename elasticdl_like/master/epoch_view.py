"""What is to be known of an epoch to draw it: a copy that its epoch does not change any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elasticdl_like.master.ledger import LedgerEntry
from elasticdl_like.master.quarantine import SetAside
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.master.task_order import Piece, TaskOrder

# What is left of a lease: the number of the worker that has it, that of the task in the order of
# the epoch, the first position and the one after the last. There are thousands to copy while the
# job waits, and a class of their own would double the time that it takes.
LeasedPart = tuple[int, int, int, int]


@dataclass(frozen=True)
class EpochView:
    """An epoch at one moment.

    Of the positions before (`frontier`, `next_position`), in the order of the epoch, those are
    committed that are in none of the lists.

    Attributes:
        entry: its account.
        table: the data set's tasks.
        order: the order of the tasks.
        is_shuffled: whether the positions of a task are in another order than its records.
        frontier: so many tasks were handed out, …
        next_position: … and so many positions of the next one.
        leased: what is leased and not committed.
        tentative: what is committed tentatively.
        waiting: what was handed out, and waits again.
        quarantined: the records that were set aside.
    """

    entry: LedgerEntry
    table: ShardTable
    order: TaskOrder
    is_shuffled: bool
    frontier: int
    next_position: int
    leased: Sequence[LeasedPart]
    tentative: Sequence[Piece]
    waiting: Sequence[Piece]
    quarantined: Sequence[SetAside]
