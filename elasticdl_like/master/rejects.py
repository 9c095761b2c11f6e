"""What is set aside of one epoch, and the search for the records to blame."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from elasticdl_like.master.quarantine import Quarantine, SetAside
from elasticdl_like.master.tally import Tally
from elasticdl_like.master.task_order import Piece, TaskOrder

_TRIES_OF_ONE_RECORD = 2
_SHARD_CHANGED = "its shard is not what it was when the epoch began"


class Rejects:
    """Records that cannot be used, and those of shards that are not what they were.

    Args:
        order: the tasks of the epoch.
        records_per_task: how many records a task has, unless its shard cannot be cut.
    """

    def __init__(self, order: TaskOrder, records_per_task: int) -> None:
        self._order = order
        self._records_per_task = records_per_task
        self._dropped: frozenset[str] = frozenset()
        self._tally = Tally()
        self._quarantine = Quarantine()
        self._num_unusable = 0
        self._last_unusable: SetAside | None = None

    @property
    def tally(self) -> Tally:
        """The count of all these records."""
        return self._tally

    @property
    def quarantine(self) -> Quarantine:
        """The records, and why they are not used."""
        return self._quarantine

    @property
    def num_unusable(self) -> int:
        """How many of them could not be used."""
        return self._num_unusable

    @property
    def last_unusable(self) -> SetAside | None:
        """The last of those, with the problem that it made; None when there is none."""
        return self._last_unusable

    def drop_shards(self, names: Collection[str]) -> None:
        """Has `take_if_dropped` take what is of these shards."""
        self._dropped |= frozenset(names)

    def take_if_dropped(self, piece: Piece) -> bool:
        """Sets a piece aside if it is of a shard that was dropped; returns whether it is."""
        if not self._dropped:
            return False
        shard, start, _, _ = self._order.task_range(piece.task_number)
        if shard.name not in self._dropped:
            return False
        for first, end in self._order.runs(piece):
            self._quarantine.add(SetAside(shard.name, start + first, start + end, _SHARD_CHANGED))
        self._order.add_to(self._tally, piece)
        return True

    def fail(self, piece: Piece, problem: str) -> list[Piece]:
        """Returns the parts in which a piece that could not be used is to be tried again.

        There are none when it is a single record that was tried often enough: it is set aside.
        """
        size = piece.end - piece.start
        if size > 1 and (piece.natural or self._is_scattered(piece)):
            middle = piece.start + size // 2
            return [piece._replace(end=middle), piece._replace(start=middle)]
        if not piece.natural:
            return [
                Piece(piece.task_number, start, end, True) for start, end in self._order.runs(piece)
            ]
        if piece.failures + 1 < _TRIES_OF_ONE_RECORD:
            return [piece._replace(failures=piece.failures + 1)]
        shard, start, _, _ = self._order.task_range(piece.task_number)
        unusable = SetAside(shard.name, start + piece.start, start + piece.end, problem)
        self._last_unusable = unusable
        self._quarantine.add(unusable)
        self._order.add_to(self._tally, piece)
        self._num_unusable += 1
        return []

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state as JSON."""
        return {
            "set_aside": self._tally.to_plain(),
            "quarantine": self._quarantine.to_plain(),
            "num_unusable": self._num_unusable,
            "last_unusable": self._last_unusable,
            "dropped": sorted(self._dropped),
        }

    def load_plain(self, plain: Mapping[str, Any]) -> None:
        """Takes over the state that `to_plain` returned."""
        self._tally = Tally(*plain["set_aside"])
        self._quarantine = Quarantine.from_plain(plain["quarantine"])
        self._num_unusable = plain["num_unusable"]
        last_unusable = plain["last_unusable"]
        self._last_unusable = last_unusable and SetAside(*last_unusable)
        self._dropped = frozenset(plain["dropped"])

    def _is_scattered(self, piece: Piece) -> bool:
        """Returns whether the records of a piece in random order are from all over a large task."""
        task = self._order.task_range(piece.task_number)
        return not piece.natural and task.end - task.start > self._records_per_task
