"""The marks of a job: every position in the data that it can go back to, or soon can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.plan import Mark

# A checkpoint is published long before so many others are begun, or never.
_MOST_UNPUBLISHED = 16


class Marks:
    """Marks in the order of their steps.

    Args:
        start: where the job began; it stays for ever.
        marks: those after it.
    """

    def __init__(self, start: Mark, marks: Iterable[Mark] = ()) -> None:
        self._start = start
        self._marks = list(marks)

    @property
    def start(self) -> Mark:
        """Where the job began."""
        return self._start

    @property
    def published(self) -> Sequence[Mark]:
        """The marks whose checkpoint is published, the oldest first; before them the start."""
        return [self._start, *(mark for mark in self._marks if mark.checkpoint)]

    def find(self, step: int) -> Mark | None:
        """Returns the newest mark of a step, its checkpoint published or not yet."""
        return next((mark for mark in reversed(self._marks) if mark.step == step), None)

    def add(self, mark: Mark) -> None:
        """Adds a mark whose checkpoint is being written."""
        self._marks.append(mark)
        unpublished = [each for each in self._marks if not each.checkpoint]
        if len(unpublished) > _MOST_UNPUBLISHED:
            self._marks.remove(unpublished[0])

    def publish(self, step: int, checkpoint: str, keep_max: int) -> list[Mark]:
        """Notes that the checkpoint of a marked step is published.

        Args:
            step: the step.
            checkpoint: its directory.
            keep_max: how many checkpoints are kept, or 0 for all.

        Returns:
            The marks that are no longer kept.

        Raises:
            InvalidRequestError: the step was never marked, or was undone since.
        """
        mark = self.find(step)
        if mark is None:
            raise InvalidRequestError(f"step {step} has no mark, or was undone since")
        # Checkpoints are written one after the other: an earlier mark without one never gets it.
        older = [each for each in self._marks if each.step < step and each.checkpoint]
        newer = [each for each in self._marks if each.step > step]
        kept = [*older, replace(mark, checkpoint=checkpoint)]
        dropped = kept[: max(len(kept) - keep_max, 0)] if keep_max else []
        self._marks = [*kept[len(dropped) :], *newer]
        return dropped

    def undo_after(self, step: int) -> None:
        """Removes the marks of later steps."""
        self._marks = [mark for mark in self._marks if mark.step <= step]

    def drop_shards(self, names: Collection[str]) -> None:
        """Lets every position do without what is left of some shards."""
        self._start = _without_shards(self._start, names)
        self._marks = [_without_shards(mark, names) for mark in self._marks]

    def to_plain(self) -> list[dict[str, Any]]:
        """Returns the start and the marks as JSON."""
        return [mark.to_plain() for mark in (self._start, *self._marks)]

    @classmethod
    def from_plain(cls, plain: Sequence[dict[str, Any]]) -> Marks:
        """Reads what `to_plain` returned."""
        start, *marks = (Mark(**each) for each in plain)
        return cls(start, marks)


def _without_shards(mark: Mark, names: Collection[str]) -> Mark:
    if not mark.position or not names:
        return mark
    dropped = sorted({*mark.position["dropped"], *names})
    return replace(mark, position={**mark.position, "dropped": dropped})
