"""The epochs of a job that have begun: its own, and evaluations of its model in between."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.epoch import Epoch
from elasticdl_like.master.ledger import LedgerEntry
from elasticdl_like.master.plan import Mark
from elasticdl_like.master.quarantine import SetAside
from elasticdl_like.master.shard_table import ShardTable, ShardTables
from elasticdl_like.tasks import EpochKey, TaskType


class Epochs:
    """Every epoch begun so far, and the results of evaluations.

    Iterating yields each of the job's own before its evaluations.

    Args:
        tables: what they are made of.
        task_type: that of the job's own epochs.
    """

    def __init__(self, tables: ShardTables, task_type: TaskType) -> None:
        self._tables = tables
        self._task_type = task_type
        self._epochs: dict[EpochKey, Epoch] = {}
        self._open: dict[EpochKey, Epoch] = {}
        self._table_numbers: dict[EpochKey, int] = {}
        self._reported: set[EpochKey] = set()

    def __contains__(self, key: EpochKey) -> bool:
        return key in self._epochs

    def __iter__(self) -> Iterator[Epoch]:
        for key in sorted(
            self._epochs,
            key=lambda key: (key.epoch, not self.is_own(key), key.step),
        ):
            yield self._epochs[key]

    @property
    def open(self) -> Iterable[Epoch]:
        """Those that have not ended."""
        return self._open.values()

    @property
    def num_unusable(self) -> int:
        """How many records were set aside because they could not be used."""
        return sum(epoch.num_unusable for epoch in self._epochs.values())

    @property
    def last_unusable(self) -> SetAside:
        """One of the records that were set aside because they could not be used, the last one.

        Raises:
            LookupError: there is none.
        """
        found = [each.last_unusable for each in self._epochs.values() if each.last_unusable]
        return found[-1]

    def own_key(self, number: int) -> EpochKey:
        """Returns the key of one of the job's own epochs."""
        return EpochKey(self._task_type, number)

    def is_own(self, key: EpochKey) -> bool:
        """Returns whether it is one of the job's own epochs, and not an evaluation in between."""
        return key.type is self._task_type

    def get(self, key: EpochKey) -> Epoch | None:
        """Returns an epoch that has begun, or None."""
        return self._epochs.get(key)

    def own(self, number: int) -> Epoch | None:
        """Returns one of the job's own epochs that has begun, or None."""
        return self._epochs.get(self.own_key(number))

    def last(self) -> Epoch | None:
        """Returns the epoch that the job is in, or its last one.

        None when there is neither, because the job began after its last epoch.
        """
        keys = [key for key in self._epochs if self.is_own(key)]
        last = max(keys, key=lambda key: key.epoch, default=None)
        return None if last is None else self._epochs[last]

    def live_tokens(self, key: EpochKey) -> Collection[int]:
        """Returns the tokens of an epoch's live leases, the oldest first."""
        epoch = self._epochs.get(key)
        return epoch.tokens if epoch is not None else ()

    def ledger(self) -> list[LedgerEntry]:
        """Returns the account of every epoch begun so far, each before its evaluations."""
        return [epoch.ledger() for epoch in self]

    def open_new(
        self, key: EpochKey, table_number: int, records_per_task: int, order_key: int | None
    ) -> None:
        """Begins an epoch of a table, instead of the one of this key that there may be."""
        self._table_numbers[key] = table_number
        table = self._tables.cut(table_number, records_per_task)
        self._epochs[key] = self._open[key] = Epoch(key, table, order_key)

    def close_if_ended(self, epoch: Epoch) -> bool:
        """Checks an epoch that has ended since it was open; returns whether it has.

        Raises:
            LedgerError: it has, and does not add up.
        """
        if not epoch.ended or epoch.key not in self._open:
            return False
        epoch.check()
        del self._open[epoch.key]
        return True

    def mark(self, step: int, number: int) -> Mark:
        """Returns what is committed now.

        Args:
            step: the last step that counts.
            number: the epoch that the job is in.
        """
        key = self.own_key(number)
        epoch = self._epochs.get(key)
        if epoch is None:
            return Mark(step, number, {})
        return Mark(
            step,
            number,
            epoch.position(),
            self._table_numbers[key],
            epoch.table.records_per_task,
            epoch.order_key,
        )

    def restore(self, mark: Mark) -> None:
        """Opens the epoch that a mark has a position in, and goes back to that position."""
        key = self.own_key(mark.epoch)
        if key not in self._epochs:
            self.open_new(key, mark.table, mark.records_per_task, mark.order_key)
        self._reopen(key, mark.position)

    def rewind(self, number: int, table_number: int, records_per_task: int) -> bool:
        """Goes back to the start of an epoch, if there is one that is made of these tasks.

        Returns:
            Whether there is.
        """
        key = self.own_key(number)
        epoch = self._epochs.get(key)
        if (
            epoch is None
            or self._table_numbers[key] != table_number
            or epoch.table.records_per_task != records_per_task
        ):
            return False
        self._reopen(key, _UNTOUCHED)
        return True

    def drop_after(self, number: int) -> None:
        """Drops the job's own epochs after one."""
        for key in list(self._epochs):
            if self.is_own(key) and key.epoch > number:
                self._drop(key)

    def drop_evaluations(self, step: int) -> None:
        """Drops evaluations of steps after one, and those that are not finished.

        Of these the workers that are gone had the rest.
        """
        for key in list(self._epochs):
            if not self.is_own(key) and (key.step > step or key not in self._reported):
                self._drop(key)
        self._reported &= self._epochs.keys()

    def report(self, key: EpochKey) -> None:
        """Notes that the result of an evaluation has been kept."""
        self._reported.add(key)

    def is_reported(self, key: EpochKey) -> bool:
        """Returns whether the result of an evaluation has been kept."""
        return key in self._reported

    def sums(self, key: EpochKey) -> Sequence[float] | None:
        """Returns the sums of all commits that were counted in an epoch; None until it has ended.

        Raises:
            InvalidRequestError: the epoch never began, or was dropped.
        """
        epoch = self._epochs.get(key)
        if epoch is None:
            raise InvalidRequestError(f"{key} never began, or belongs to steps that were undone")
        return epoch.sums if epoch.ended else None

    def to_plain(self) -> list[dict[str, Any]]:
        """Returns the epochs as JSON."""
        return [
            {
                "key": _key_to_plain(key),
                "table": self._table_numbers[key],
                "records_per_task": epoch.table.records_per_task,
                "order_key": epoch.order_key,
                "state": epoch.to_plain(),
            }
            for key, epoch in self._epochs.items()
        ]

    def reported_to_plain(self) -> list[list[Any]]:
        """Returns as JSON which results have been kept."""
        return [_key_to_plain(key) for key in sorted(self._reported, key=str)]

    @classmethod
    def from_plain(
        cls,
        tables: ShardTables,
        task_type: TaskType,
        plain: Sequence[Mapping[str, Any]],
        reported: Sequence[Sequence[Any]],
    ) -> Epochs:
        """Reads what `to_plain` and `reported_to_plain` returned."""
        epochs = cls(tables, task_type)
        epochs._reported = {_key_from_plain(key) for key in reported}
        for each in plain:
            key = _key_from_plain(each["key"])
            epochs.open_new(key, each["table"], each["records_per_task"], each["order_key"])
            epochs._epochs[key].load_plain(each["state"])
            if epochs._epochs[key].ended:
                del epochs._open[key]
        return epochs

    def _drop(self, key: EpochKey) -> None:
        del self._epochs[key]
        self._open.pop(key, None)

    def _reopen(self, key: EpochKey, position: Mapping[str, Any]) -> None:
        epoch = self._epochs[key]
        epoch.restore(position)
        self._open[key] = epoch


_UNTOUCHED: Mapping[str, Any] = Epoch(
    EpochKey(TaskType.TRAINING, 0), ShardTable((), 1), None
).position()


def _key_to_plain(key: EpochKey) -> list[Any]:
    return [str(key.type), key.epoch, key.step]


def _key_from_plain(plain: Sequence[Any]) -> EpochKey:
    task_type, epoch, step = plain
    return EpochKey(TaskType(task_type), epoch, step)
