"""Which states of the model belong to the history that the job goes on with."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_KEPT = 64


class Lineage:
    """Tells a state of this history from one of the same step that was undone.

    After round 3 the job may go back to step 10, and train another step 11 in round 4. A worker
    that has kept step 11 of round 3 must not give it to anybody.

    Args:
        ends: rounds, ascending, each with the step that the job went on from afterwards.
    """

    def __init__(self, ends: Sequence[tuple[int, int]] = ()) -> None:
        self._ends = list(ends)

    def adopt(self, round_number: int, step: int) -> None:
        """Notes that the job goes on from a step after a round, the last one there was."""
        # What later rounds leave standing is in the way of older states, too.
        self._ends = [end for end in self._ends if end[1] < step and end[0] < round_number]
        self._ends.append((round_number, step))
        if len(self._ends) > _MOST_KEPT:
            # Seen as older than it is, a state is refused at worst.
            (_, step), (round_number, _), *later = self._ends
            self._ends = [(round_number, step), *later]

    def has(self, round_number: int, step: int) -> bool:
        """Returns whether the state of a step, as a round left it, is one of this history."""
        for end, adopted in self._ends:
            if end >= round_number:
                return step <= adopted
        return True

    def to_plain(self) -> list[list[int]]:
        """Returns the history as JSON."""
        return [list(end) for end in self._ends]

    @classmethod
    def from_plain(cls, plain: Sequence[Sequence[int]]) -> Lineage:
        """Reads what `to_plain` returned."""
        return cls([(round_number, step) for round_number, step in plain])
