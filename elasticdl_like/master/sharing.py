"""How several workers share an epoch, so that nobody is idle while another has plenty."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elasticdl_like.master.epoch import Epoch


class Sharing:
    """Who has found nothing to lease, and who is asked to give leases back for them.

    Args:
        idle: the workers that have nothing to do.
        recalled: those that are asked.
    """

    def __init__(self, idle: Iterable[int] = (), recalled: Iterable[int] = ()) -> None:
        self._idle = set(idle)
        self._recalled = set(recalled)

    def must_wait(self, epoch: Epoch, worker_id: int) -> bool:
        """Returns whether what is waiting is for somebody else, who has nothing to do."""
        return not self._idle <= {worker_id} and epoch.untouched.get(worker_id, 0) > 0

    def found_nothing(self, epoch: Epoch, worker_id: int) -> None:
        """Notes that a worker wants leases and gets none; who has the most is asked for some."""
        untouched = epoch.untouched
        if untouched.get(worker_id):
            return
        self._idle.add(worker_id)
        # Of several the first: the order of a mapping is not part of the state.
        fullest = max(untouched, key=lambda each: (untouched[each], -each), default=worker_id)
        if fullest != worker_id and untouched[fullest] > 1:
            self._recalled.add(fullest)

    def not_idle(self, worker_id: int) -> None:
        """Notes that a worker has something to do, wants nothing, or is gone."""
        self._idle.discard(worker_id)

    def nobody_idle(self) -> None:
        """Notes that there may be something to do for everybody."""
        self._idle.clear()

    def num_recalled(self, epoch: Epoch, worker_id: int) -> int:
        """Returns how many leases a worker is asked to give back."""
        if worker_id not in self._recalled:
            return 0
        return epoch.untouched.get(worker_id, 0) // 2

    def was_asked(self, worker_id: int) -> None:
        """Notes that a worker has been told what to give back."""
        self._recalled.discard(worker_id)

    def forget(self) -> None:
        """Forgets everything, because all leases are taken back."""
        self._idle.clear()
        self._recalled.clear()

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state as JSON: the arguments of the constructor."""
        return {"recalled": sorted(self._recalled), "idle": sorted(self._idle)}


def fair_number(epoch: Epoch, worker_id: int, num_members: int) -> int:
    """Returns how many leases leave as many to each other member of a round.

    A member without data takes part in the others' steps all the same, so that an epoch takes as
    many steps as the one who has the most.
    """
    untouched = epoch.untouched
    unbegun = epoch.num_unleased + sum(untouched.values())
    return max(-(-unbegun // num_members) - untouched.get(worker_id, 0), 0)
