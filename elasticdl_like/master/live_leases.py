"""The leases that workers have of one epoch: whose they are, and how far each is committed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.task_order import Piece, TaskOrder
from elasticdl_like.master.tentative import Part
from elasticdl_like.tasks import EpochKey, Interval


@dataclass(slots=True)
class LiveLease:
    """A lease, of which the positions before `next_position` are committed.

    Attributes:
        worker_id: who has it.
        sequence: the number of the request that it answered.
        piece: what was handed out, less what was cut off.
        next_position: where the next commit begins.
        first_ordinal: the ordinal of the first record of its task.
        num_tentative: how many positions, right before the next one, are tentative.
    """

    worker_id: int
    sequence: int
    piece: Piece
    next_position: int
    first_ordinal: int
    num_tentative: int = 0

    @property
    def is_untouched(self) -> bool:
        """Whether nothing is committed."""
        return self.next_position == self.piece.start

    @property
    def rest(self) -> Piece:
        """What is not committed."""
        return self.piece._replace(start=self.next_position)

    @property
    def not_firm(self) -> Piece:
        """What is not committed, or only tentatively."""
        return self.piece._replace(start=self.next_position - self.num_tentative)


class LiveLeases:
    """Leases of which something is left to be committed, or is tentative, by their tokens.

    Those of which nothing is left are live no longer: they belong to no worker.

    Args:
        key: the epoch.
    """

    def __init__(self, key: EpochKey) -> None:
        self._key = key
        self._live: dict[int, LiveLease] = {}
        self._done: dict[int, LiveLease] = {}  # nothing is left, but something is tentative
        self._tokens: defaultdict[int, set[int]] = defaultdict(set)
        self._untouched: Counter[int] = Counter()
        self._cut: set[int] = set()  # leases whose end was cut off

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[LiveLease]:
        return iter(self._live.values())

    @property
    def tokens(self) -> Collection[int]:
        """The tokens of all live leases, the oldest first."""
        return self._live.keys()

    @property
    def untouched(self) -> Mapping[int, int]:
        """For each worker how many leases it has of which nothing is committed."""
        return self._untouched

    @property
    def not_firm(self) -> list[Piece]:
        """What is not committed, or only tentatively, in the order of the leases."""
        return [lease.not_firm for _, lease in sorted((self._live | self._done).items())]

    def of(self, worker_id: int) -> list[int]:
        """Returns the tokens of a worker's live leases, the oldest first."""
        return sorted(self._tokens.get(worker_id, ()))

    def was_cut(self, worker_id: int) -> bool:
        """Returns whether the worker has a lease whose end was cut off."""
        return bool(self._cut) and not self._cut.isdisjoint(self._tokens[worker_id])

    def __getitem__(self, token: int) -> LiveLease:
        return self._live.get(token) or self._done[token]

    def find(self, token: int) -> LiveLease | None:
        """Returns a lease that is live, or has something tentative."""
        return self._live.get(token) or self._done.get(token)

    def add(self, token: int, lease: LiveLease) -> None:
        """Adds a lease that was just granted."""
        self._live[token] = lease
        self._tokens[lease.worker_id].add(token)
        self._untouched[lease.worker_id] += 1

    def ends_of(self, worker_id: int, intervals: Iterable[Interval]) -> tuple[dict[int, int], bool]:
        """Returns where each lease of a commit would stand after it.

        Returns:
            For each of the worker's leases its next position; and whether the commit is fenced,
            because a lease is not the worker's, or does not reach that far.

        Raises:
            InvalidRequestError: an interval does not begin where the last commit of its lease
                ended, or is empty.
        """
        ends: dict[int, int] = {}
        is_fenced = False
        for interval in intervals:
            lease = self._live.get(interval.token)
            if lease is None or lease.worker_id != worker_id:
                is_fenced = True
                continue
            expected = ends.get(interval.token, lease.next_position)
            start, end = interval.start_position, interval.end_position
            if start != expected or not start < end:
                raise InvalidRequestError(
                    f"worker {worker_id} commits positions [{start}, {end}) of lease "
                    f"{interval.token} in {self._key}, whose next positions are "
                    f"[{expected}, {lease.piece.end})"
                )
            # It may be that the end of the lease was cut off.
            is_fenced = is_fenced or end > lease.piece.end
            ends[interval.token] = end
        return ends, is_fenced

    def use(self, token: int, end: int, tentative: bool) -> tuple[LiveLease, Piece]:
        """Uses a live lease up to a position; returns the lease, and what was used."""
        lease = self._live[token]
        start, piece = lease.next_position, lease.piece
        if start == piece.start:
            self._untouched[lease.worker_id] -= 1
        if tentative:
            lease.num_tentative += end - start
        lease.next_position = end
        if end == piece.end:
            del self._live[token]
            self._tokens[lease.worker_id].remove(token)
            if tentative:
                self._done[token] = lease
        return lease, piece._replace(start=start, end=end)

    def make_firm(self, token: int, size: int) -> int:
        """Notes that so many positions are tentative no longer.

        Returns:
            The ordinal of the first record of the lease's task.
        """
        lease = self[token]
        lease.num_tentative -= size
        if not lease.num_tentative:
            self._done.pop(token, None)
        return lease.first_ordinal

    def take_back(self, tokens: Iterable[int]) -> list[Piece]:
        """Ends live leases; returns what was not committed of them."""
        rests = []
        for token in tokens:
            lease = self._live.pop(token)
            self._tokens[lease.worker_id].discard(token)
            self._untouched[lease.worker_id] -= lease.is_untouched
            rests.append(lease.rest)
            if lease.num_tentative:
                lease.piece = lease.piece._replace(end=lease.next_position)
                self._done[token] = lease
        return rests

    def take_all_back(self, worker_id: int) -> list[Piece]:
        """Ends the live leases of a worker, as `take_back` does, and forgets the worker."""
        rests = self.take_back(self.of(worker_id))
        self._tokens.pop(worker_id, None)
        self._untouched.pop(worker_id, None)
        return rests

    def clear(self) -> None:
        """Forgets all leases, and what is tentative of them."""
        self._live, self._done = {}, {}
        self._cut.clear()
        self._tokens.clear()
        self._untouched.clear()

    def unlisted(self, worker_id: int, sequence: int, held: Collection[int]) -> list[int]:
        """Returns the leases that a worker should have and does not.

        Args:
            worker_id: the worker.
            sequence: the last request whose reply it has got.
            held: the tokens of all leases that it has.
        """
        return [
            token
            for token in self._tokens.get(worker_id, ())
            if token not in held and self._live[token].sequence <= sequence
        ]

    def split(self, token: int, alignment: int) -> Piece | None:
        """Cuts off the later half of what is left of a lease.

        Args:
            token: the lease.
            alignment: the cut is at a multiple of this many positions after the last commit, if
                there is one in the lease.

        Returns:
            What was cut off; None when there was not enough.
        """
        lease = self._live.get(token)
        if lease is None or lease.piece.end - lease.next_position < 2:
            return None
        start, end = lease.next_position, lease.piece.end
        half = (end - start) // 2
        cut = start + max(half - half % alignment if half >= alignment else half, 1)
        cut_off = lease.piece._replace(start=cut)
        lease.piece = lease.piece._replace(end=cut)
        self._cut = {each for each in self._cut if each in self._live} | {token}
        return cut_off

    def to_plain(self) -> dict[str, Any]:
        """Returns the leases as JSON, without what is tentative of them."""
        return {
            "leases": _to_plain(self._live),
            "cut": sorted(self._cut),
            "done_leases": _to_plain(self._done),
        }

    def load_plain(
        self, plain: Mapping[str, Any], tentative: Iterable[Part], order: TaskOrder
    ) -> None:
        """Takes over what `to_plain` returned.

        Args:
            plain: that.
            tentative: what is tentative.
            order: the tasks.
        """
        self.clear()
        self._live = _from_plain(plain["leases"], order)
        self._done = _from_plain(plain.get("done_leases", ()), order)
        self._cut = set(plain.get("cut", ()))
        for part in tentative:
            self[part.token].num_tentative += part.size
        for token, lease in self._live.items():
            self._tokens[lease.worker_id].add(token)
            self._untouched[lease.worker_id] += lease.is_untouched


def _to_plain(leases: Mapping[int, LiveLease]) -> list[list[Any]]:
    return [
        [token, lease.worker_id, lease.sequence, list(lease.piece), lease.next_position]
        for token, lease in leases.items()
    ]


def _from_plain(plain: Iterable[Sequence[Any]], order: TaskOrder) -> dict[int, LiveLease]:
    return {
        token: LiveLease(
            worker_id, sequence, Piece(*piece), next_position, order.task_range(piece[0]).ordinal
        )
        for token, worker_id, sequence, piece, next_position in plain
    }
