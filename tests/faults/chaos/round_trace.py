"""What the trainers of a run have written down of their rounds (`zoo/round_points.py`)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.chaos.points import TRACE_FILE

Worker = tuple[int, str]
"""A worker's number, and the incarnation of its agent."""


@dataclass
class Life:
    """One trainer.

    Attributes:
        start_step: the step that its round went on from.
        steps: the steps that it has finished, and the digest of its weights after each.
        records: how many records of its own each step has used.
        ended_step: the last finished step as it told its agent at its end; None if it was killed.
        holds_state: whether it left the state of that step to its agent.
        packed: the digest of that state.
        outcome: why it ended, or "".
    """

    round: int
    rank: int
    size: int
    worker: Worker
    start_step: int
    steps: dict[int, str] = field(default_factory=dict)
    records: Counter[int] = field(default_factory=Counter)
    ended_step: int | None = None
    holds_state: bool = False
    packed: str = ""
    outcome: str = ""


@dataclass(frozen=True)
class Trace:
    """All that was written down.

    Attributes:
        lives: of all trainers, by round and rank.
        lines: everything, in the order in which it was written.
    """

    lives: Sequence[Life]
    lines: Sequence[Mapping[str, Any]]

    @property
    def rounds(self) -> dict[int, list[Life]]:
        """The trainers of each round, by rank."""
        found: dict[int, list[Life]] = defaultdict(list)
        for life in sorted(self.lives, key=lambda life: (life.round, life.rank)):
            found[life.round].append(life)
        return dict(found)

    def of(self, what: str) -> list[Mapping[str, Any]]:
        """Returns the lines of one kind."""
        return [line for line in self.lines if line["what"] == what]


class TraceFile:
    """The file that the trainers of a run write their lines to.

    Args:
        directory: that of the run.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / TRACE_FILE
        self._offset = 0
        self._lines: list[dict[str, Any]] = []

    def lines(self) -> Sequence[Mapping[str, Any]]:
        """Returns the lines that there are so far; of the file it reads only what is new."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._offset += len(whole)
            self._lines += map(json.loads, whole.splitlines())
        return self._lines

    def last_step(self) -> int:
        """Returns the highest step that any trainer has finished so far."""
        return max((line["step"] for line in self.lines() if line["what"] == "step"), default=0)


def read_trace(directory: Path) -> Trace:
    """Reads the trace of a run that has ended."""
    lines = TraceFile(directory).lines()
    lives: list[Life] = []
    life_of: dict[int, Life] = {}
    for line in lines:
        if line["what"] == "begins":
            worker = (line["worker"], line["incarnation"])
            begun = Life(line["round"], line["rank"], line["size"], worker, line["start_step"])
            lives.append(begun)
            life_of[line["pid"]] = begun
            continue
        life = life_of.get(line["pid"])
        if life is None:
            continue
        if line["what"] == "step":
            life.steps[line["step"]] = line["digest"]
        elif line["what"] == "commit":
            life.records[line["step"]] += line["records"]
        elif line["what"] == "packs":
            life.packed = line["digest"]
        elif line["what"] == "ends":
            life.ended_step, life.holds_state = line["step"], line["holds_state"]
            life.outcome = line["outcome"]
    return Trace(lives, lines)
