"""The leases that a worker process holds, as its heartbeats list them."""

from __future__ import annotations

from collections.abc import Collection

from elasticdl_like.tasks import EpochKey, LeaseReply, LeaseRequest


class HeldLeases:
    """How many positions of each lease the master has yet to hear about.

    A lease is held from the reply that grants it to the reply that acknowledges its last position,
    or that it was returned, unless it is abandoned before.
    """

    def __init__(self) -> None:
        self._open: dict[EpochKey, dict[int, int]] = {}

    @property
    def tokens(self) -> list[int]:
        """The tokens of all of them."""
        return [token for leases in self._open.values() for token in leases]

    def settle(self, request: LeaseRequest, reply: LeaseReply) -> None:
        """Takes in what a request and its reply have changed."""
        leases = self._open.setdefault(request.key, {})
        for token in request.returned:
            leases.pop(token, None)
        for commit in request.commits:
            is_fenced = commit.step in reply.fenced_steps
            for interval in commit.intervals:
                left = leases.pop(interval.token, 0) - interval.size
                if left > 0 and not is_fenced:
                    leases[interval.token] = left
        for lease in reply.leases:
            leases[lease.token] = lease.size
        if not leases:
            del self._open[request.key]

    def abandon(self, key: EpochKey, tokens: Collection[int] | None = None) -> None:
        """Lets go of some leases of an epoch, or of all."""
        if tokens is None:
            self._open.pop(key, None)
            return
        for token in tokens:
            self._open.get(key, {}).pop(token, None)
