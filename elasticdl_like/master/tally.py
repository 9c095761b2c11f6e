"""A count of records that also proves which records were counted.

Beside the number of records it keeps the sum of their ordinals and of the squares of those. When
all three are what the whole data set gives, no record was left out in favour of another that was
counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence


class Tally:
    """How many records, the sum of their ordinals, and the sum of the squares of those.

    The sums are exact, of any size.
    """

    __slots__ = ("count", "squares", "total")

    def __init__(self, count: int = 0, total: int = 0, squares: int = 0) -> None:
        self.count = count
        self.total = total
        self.squares = squares

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and self.to_plain() == other.to_plain()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Tally({self.count}, {self.total}, {self.squares})"

    def add_run(self, start: int, end: int) -> None:
        """Counts the ordinals `[start, end)`."""
        self.count += end - start
        self.total += (start + end - 1) * (end - start) // 2
        self.squares += _squares_below(end) - _squares_below(start)

    def add(self, ordinals: Sequence[int]) -> None:
        """Counts some ordinals."""
        self.count += len(ordinals)
        self.total += sum(ordinals)
        self.squares += sum(ordinal * ordinal for ordinal in ordinals)

    def plus(self, other: Tally) -> Tally:
        """Returns what both have counted."""
        return Tally(
            self.count + other.count, self.total + other.total, self.squares + other.squares
        )

    def to_plain(self) -> list[int]:
        """Returns the three numbers."""
        return [self.count, self.total, self.squares]

    @classmethod
    def of_run(cls, start: int, end: int) -> Tally:
        """Returns a count of the ordinals `[start, end)`."""
        tally = cls()
        tally.add_run(start, end)
        return tally


def _squares_below(end: int) -> int:
    return (end - 1) * end * (2 * end - 1) // 6
