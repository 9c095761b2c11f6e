"""The marks of a job: every position in the data that it can go back to, or soon can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master.plan import Mark

# A checkpoint is published long before so many others are begun, or never.
_MOST_UNPUBLISHED = 16
# Two for each round that ended before it had finished a step.
_MOST_HELD = 16


class Marks:
    """Marks in the order of their steps.

    Beside those of checkpoints there are *held* marks: those of steps whose state was in the hands
    of a worker when its round ended.

    Args:
        start: where the job began; it stays for ever.
        marks: those after it.
        held: those that are held.
    """

    def __init__(self, start: Mark, marks: Iterable[Mark] = (), held: Iterable[Mark] = ()) -> None:
        self._start = start
        self._marks = list(marks)
        self._held = {mark.step: mark for mark in held}

    @property
    def start(self) -> Mark:
        """Where the job began."""
        return self._start

    @property
    def published(self) -> Sequence[Mark]:
        """The marks whose checkpoint is published, the oldest first; before them the start."""
        return [self._start, *(mark for mark in self._marks if mark.checkpoint)]

    @property
    def adoptable_steps(self) -> list[int]:
        """The steps that can be gone back to, in ascending order."""
        return sorted({mark.step for mark in self.published} | self._held.keys())

    def adoptable(self, step: int) -> Mark | None:
        """Returns the mark to go back to for a step, or None.

        Where the step has a checkpoint, the mark names it, even if the mark is a held one.
        """
        published = next((mark for mark in reversed(self.published) if mark.step == step), None)
        held = self._held.get(step)
        if held is None or published is None:
            return held or published
        return replace(held, checkpoint=published.checkpoint)

    def find(self, step: int) -> Mark | None:
        """Returns the newest mark of a step, its checkpoint published or not yet."""
        return next((mark for mark in reversed(self._marks) if mark.step == step), None)

    def add(self, mark: Mark) -> None:
        """Adds a mark whose checkpoint is being written."""
        self._marks.append(mark)
        unpublished = [each for each in self._marks if not each.checkpoint]
        if len(unpublished) > _MOST_UNPUBLISHED:
            self._marks.remove(unpublished[0])

    def hold(self, mark: Mark) -> None:
        """Holds a mark of a step whose state a worker has."""
        self._held[mark.step] = mark
        if len(self._held) > _MOST_HELD:
            del self._held[min(self._held)]

    def let_go(self, firm_step: int) -> None:
        """Drops the held marks, if every worker of a round has the state of a later step."""
        if self._held and firm_step > max(self._held):
            self._held = {}

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
        self._held = {mark.step: mark for mark in self._held.values() if mark.step <= step}

    def drop_shards(self, names: Collection[str]) -> None:
        """Lets every position do without what is left of some shards."""
        self._start = _without_shards(self._start, names)
        self._marks = [_without_shards(mark, names) for mark in self._marks]
        self._held = {step: _without_shards(mark, names) for step, mark in self._held.items()}

    def to_plain(self) -> list[dict[str, Any]]:
        """Returns the start and the marks as JSON."""
        return [mark.to_plain() for mark in (self._start, *self._marks)]

    def held_to_plain(self) -> list[dict[str, Any]]:
        """Returns the held marks as JSON."""
        return [mark.to_plain() for mark in self._held.values()]

    @classmethod
    def from_plain(
        cls, plain: Sequence[dict[str, Any]], held: Sequence[dict[str, Any]] = ()
    ) -> Marks:
        """Reads what `to_plain` and `held_to_plain` returned."""
        start, *marks = (Mark(**each) for each in plain)
        return cls(start, marks, (Mark(**each) for each in held))


def _without_shards(mark: Mark, names: Collection[str]) -> Mark:
    if not mark.position or not names:
        return mark
    dropped = sorted({*mark.position["dropped"], *names})
    return replace(mark, position={**mark.position, "dropped": dropped})
