"""What the journal has of a job's rounds: the same events give the same record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elasticdl_like.master.lineage import Lineage
from elasticdl_like.master.round_codec import plan_from_plain, plan_to_plain
from elasticdl_like.rounds import RoundPlan


class RoundRecord:
    """The round that runs, or the last one, and what came of those before it.

    Args:
        wanted: how many workers should train.

    Attributes:
        wanted: likewise.
        plan: the round that runs, or the last one; None before the first.
        is_running: whether it runs.
        is_done: whether there is no more work.
        gone: its members that have left or were lost; another worker may have their number by now.
        lineage: which states are of the history that the job goes on with.
        adopted_step: the step that the job went on from last.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.plan: RoundPlan | None = None
        self.is_running = False
        self.is_done = False
        self.gone: set[int] = set()
        self.lineage = Lineage()
        self.adopted_step = 0

    @property
    def number(self) -> int:
        """The number of the round; 0 before the first."""
        return 0 if self.plan is None else self.plan.number

    @property
    def survivors(self) -> list[int]:
        """The members that are still there, by rank."""
        members = () if self.plan is None else self.plan.members
        return [each.worker_id for each in members if each.worker_id not in self.gone]

    def begin(self, plan: RoundPlan) -> None:
        """Begins a round."""
        self.plan, self.is_running = plan, True
        self.gone.clear()

    def end(self, adopted_step: int) -> None:
        """Ends it; the job goes on from a step."""
        self.is_running = False
        self.adopt(adopted_step)

    def adopt(self, step: int) -> None:
        """Goes on from a step: later ones are undone."""
        self.adopted_step = step
        self.lineage.adopt(self.number, step)

    def drop(self, worker_id: int) -> None:
        """Notes that a worker is gone."""
        if worker_id in self.survivors:
            self.gone.add(worker_id)

    def has_state(self, round_number: int, step: int) -> bool:
        """Returns whether the state of a step, as a round left it, is one of this history."""
        if self.plan is not None and round_number == self.number and step < self.plan.start.step:
            return False  # none that the round has made, or begun with
        return self.lineage.has(round_number, step)

    def to_plain(self) -> dict[str, Any]:
        """Returns the record as JSON."""
        return {
            "wanted": self.wanted,
            "plan": None if self.plan is None else plan_to_plain(self.plan),
            "running": self.is_running,
            "done": self.is_done,
            "gone": sorted(self.gone),
            "lineage": self.lineage.to_plain(),
            "adopted_step": self.adopted_step,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> RoundRecord:
        """Reads what `to_plain` returned."""
        record = cls(plain["wanted"])
        record.plan = None if plain["plan"] is None else plan_from_plain(plain["plan"])
        record.is_running, record.is_done = plain["running"], plain["done"]
        record.gone = set(plain["gone"])
        record.lineage = Lineage.from_plain(plain["lineage"])
        record.adopted_step = plain["adopted_step"]
        return record
