"""What became of one seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULT_FILE = "result.json"


class ChaosError(AssertionError):
    """A promise was broken, or a fault did not fire."""


class HangError(ChaosError):
    """Something did not end in time."""


@dataclass
class Outcome:
    """What became of one seed.

    Attributes:
        seed: the seed.
        kind: "data plane", "training" or "rounds".
        records: records that had to be counted, over all epochs.
        missing: of these, how many were not.
        doubled: how many were counted more than once.
        read_again: records read more than once.
        read_again_bound: how many that may be.
        fired: how often each fault happened.
        hung: whether it did not end in time.
        problem: what is wrong, or "".
        seconds: how long it took.
        logs: where its logs are, if it failed.
    """

    seed: int
    kind: str
    records: int = 0
    missing: int = 0
    doubled: int = 0
    read_again: int = 0
    read_again_bound: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    hung: bool = False
    problem: str = ""
    seconds: float = 0.0
    logs: str = ""

    def save(self, directory: Path) -> None:
        """Writes the outcome beside the logs."""
        text = json.dumps(vars(self), indent=1)
        (directory / RESULT_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Outcome:
        """Reads what `save` wrote."""
        plain: Mapping[str, Any] = json.loads((directory / RESULT_FILE).read_text(encoding="utf-8"))
        return cls(**{**plain, "fired": Counter(plain["fired"])})
