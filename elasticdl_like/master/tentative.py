"""What the steps of a round have used, as long as a member of it may not have finished them.

Such a step is undone by forgetting what it used. It is *firm*, and counted, once every member is
known to have finished it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.task_order import Piece


class Part(NamedTuple):
    """Positions that a step has used, or that could not be used.

    Attributes:
        step: the step, or the last one before it was found that they cannot be used.
        token: the lease that they were handed out with.
        piece: the positions.
        problem: "" when they were used; otherwise why they cannot be.
    """

    step: int
    token: int
    piece: Piece
    problem: str = ""

    @property
    def size(self) -> int:
        """The number of positions."""
        return self.piece.end - self.piece.start


class Parts:
    """Parts by step; those of one step in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Part]] = {}

    def __iter__(self) -> Iterator[Part]:
        for parts in self._parts.values():
            yield from parts

    @property
    def steps(self) -> Collection[int]:
        """The steps that there are parts of."""
        return self._parts.keys()

    def add(self, part: Part) -> None:
        """Adds a part."""
        self._parts.setdefault(part.step, []).append(part)

    def take(self, step: int) -> Sequence[Part]:
        """Removes the parts of a step, and returns them."""
        return self._parts.pop(step, ())

    def to_plain(self) -> list[list[Any]]:
        """Returns the parts as JSON."""
        return [[part.step, part.token, list(part.piece), part.problem] for part in self]

    @classmethod
    def from_plain(cls, plain: Iterable[Sequence[Any]]) -> Parts:
        """Reads what `to_plain` returned."""
        parts = cls()
        for step, token, piece, problem in plain:
            parts.add(Part(step, token, Piece(*piece), problem))
        return parts


class RoundSteps:
    """Which steps the members of a round have finished.

    Args:
        members: the workers, at least one.
        step: the step that the round goes on from.

    Raises:
        InvalidRequestError: there is no member.
    """

    def __init__(self, members: Iterable[int], step: int) -> None:
        self._reported = dict.fromkeys(sorted(members), step)
        # The last step that a member has reported or committed anything of.
        self._latest = dict(self._reported)
        self._marks: set[int] = set()
        if not self._reported:
            raise InvalidRequestError("a round has at least one member")

    @property
    def num_members(self) -> int:
        """How many members there are."""
        return len(self._reported)

    @property
    def firm(self) -> int:
        """The last step that every member has reported."""
        return min(self._reported.values())

    @property
    def latest(self) -> int:
        """The last step that any member has reported or committed anything of."""
        return max(self._latest.values())

    @property
    def marks(self) -> Collection[int]:
        """The steps to take a mark after, once they are firm."""
        return self._marks

    def check(self, worker_id: int, step: int) -> None:
        """Checks that a worker may commit something of a step.

        Raises:
            InvalidRequestError: it is no member, or it has said that it is past that step.
        """
        latest = self._latest.get(worker_id)
        if latest is None:
            raise InvalidRequestError(
                f"worker {worker_id} commits step {step}, but it is not in the round of workers "
                f"{list(self._latest)}"
            )
        if step < latest:
            raise InvalidRequestError(
                f"worker {worker_id} commits step {step} after it has reported step {latest}"
            )

    def committed(self, worker_id: int, step: int, mark: bool) -> None:
        """Notes that a member has committed something of a step, as `check` allows it to.

        Args:
            worker_id: the member.
            step: the step.
            mark: whether a mark is to be taken after it.
        """
        self._latest[worker_id] = step
        if mark:
            self._marks.add(step)

    def report(self, worker_id: int, step: int) -> None:
        """Notes that a member has finished a step; an earlier one than before changes nothing.

        Raises:
            InvalidRequestError: the worker is no member.
        """
        if worker_id not in self._reported:
            raise InvalidRequestError(
                f"worker {worker_id} reports step {step}, but it is not in the round of workers "
                f"{list(self._reported)}"
            )
        self._reported[worker_id] = max(self._reported[worker_id], step)
        self._latest[worker_id] = max(self._latest[worker_id], step)

    def take_mark(self, step: int) -> bool:
        """Returns whether a mark is to be taken after a step; the next time it is not."""
        wanted = step in self._marks
        self._marks.discard(step)
        return wanted

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state as JSON."""
        return {
            "members": [
                [worker_id, step, self._latest[worker_id]]
                for worker_id, step in self._reported.items()
            ],
            "marks": sorted(self._marks),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> RoundSteps:
        """Reads what `to_plain` returned."""
        members = plain["members"]
        steps = cls([worker_id for worker_id, _, _ in members], 0)
        steps._reported = {worker_id: step for worker_id, step, _ in members}
        steps._latest = {worker_id: latest for worker_id, _, latest in members}
        steps._marks = set(plain["marks"])
        return steps


def cut_out(pieces: Iterable[Piece], wanted: Iterable[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Cuts positions out of pieces.

    Returns:
        What is left of the pieces, and what was cut out of them; positions that are wanted and are
        in no piece are in neither.
    """
    runs: defaultdict[tuple[int, bool], list[Piece]] = defaultdict(list)
    for piece in wanted:
        runs[piece.task_number, piece.natural].append(piece)
    left, found = [], []
    for piece in pieces:
        start = piece.start
        for run in sorted(runs.get((piece.task_number, piece.natural), ())):
            first, end = max(start, run.start), min(piece.end, run.end)
            if first < end:
                if start < first:
                    left.append(piece._replace(start=start, end=first))
                found.append(piece._replace(start=first, end=end))
                start = end
        if start < piece.end:
            left.append(piece._replace(start=start))
    return left, found
