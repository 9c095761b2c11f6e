"""The ledger: for each epoch of each data set, what became of the records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elasticdl_like.tasks import EpochKey, TaskType


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The account of one epoch, in records and in leases.

    `committed + tentative + leased + quarantined + waiting` is always `records`.

    Attributes:
        key: which epoch of which data set.
        records: the size of the data set.
        committed: used by a finished step that no loss of a single worker undoes.
        tentative: what a step of a round has used, or could not use, that is not finished by every
            member as far as is known; it may be undone.
        leased: handed out and not yet committed, tentatively or not.
        quarantined: set aside because they cannot be read or used.
        waiting: neither of these yet.
        ended: whether every record is committed or quarantined.
        leases_granted: hand-outs, second ones included.
        leases_lost: leases taken back from lost workers.
        reports_fenced: commits refused because a lease was no longer the worker's.
    """

    key: EpochKey
    records: int
    committed: int
    tentative: int
    leased: int
    quarantined: int
    waiting: int
    ended: bool
    leases_granted: int
    leases_lost: int
    reports_fenced: int

    @property
    def missing(self) -> int | None:
        """What an ended epoch never used; None as long as it has not ended."""
        return self.records - self.committed - self.quarantined if self.ended else None

    def to_plain(self) -> dict[str, Any]:
        """Returns the account as it stands in the ledger's JSON."""
        plain: dict[str, Any] = {"type": str(self.key.type), "epoch": self.key.epoch}
        if self.key.type is not TaskType.TRAINING:
            plain["step"] = self.key.step
        return plain | {
            "records": self.records,
            "committed": self.committed,
            "tentative": self.tentative,
            "leased": self.leased,
            "quarantined": self.quarantined,
            "missing": self.missing,
            "ended": self.ended,
            "leases_granted": self.leases_granted,
            "leases_lost": self.leases_lost,
            "reports_fenced": self.reports_fenced,
        }
