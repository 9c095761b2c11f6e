"""Runs one seed, whatever kind it is, in this process."""

from __future__ import annotations

import time
import traceback
from enum import StrEnum
from pathlib import Path

from faults.chaos.data_plan import make_data_plan
from faults.chaos.data_plane import DataPlaneRun
from faults.chaos.outcome import HangError, Outcome

_TRAINING_EVERY = 7
_ROUNDS_EVERY = 6


class Kind(StrEnum):
    """What a seed's job does."""

    DATA_PLANE = "data plane"
    TRAINING = "training"
    ROUNDS = "rounds"


def kind_of(seed: int) -> Kind:
    """Returns whether a seed trains the counting model, alone or in rounds; most do not."""
    if seed % _TRAINING_EVERY == 0:
        return Kind.TRAINING
    return Kind.ROUNDS if seed % _ROUNDS_EVERY == _ROUNDS_EVERY - 1 else Kind.DATA_PLANE


def run_seed(seed: int, directory: Path) -> Outcome:
    """Runs a seed and returns, and writes down, what became of it.

    Args:
        seed: decides everything.
        directory: gets data, job, logs and result; it is made, and must not exist.
    """
    directory.mkdir(parents=True)
    outcome = Outcome(seed, kind_of(seed).value, logs=str(directory))
    started_s = time.monotonic()
    try:
        _run(seed, directory, outcome)
    except HangError as error:
        outcome.hung, outcome.problem = True, str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this seed's result
        outcome.problem = f"{type(error).__name__}: {error}"
        (directory / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
    outcome.seconds = time.monotonic() - started_s
    outcome.save(directory)
    return outcome


def _run(seed: int, directory: Path, outcome: Outcome) -> None:
    # What trains a model is imported where it is needed: most seeds do without.
    match kind_of(seed):
        case Kind.DATA_PLANE:
            DataPlaneRun(make_data_plan(seed), directory, outcome).run()
        case Kind.TRAINING:
            from faults.chaos.training import TrainingRun
            from faults.chaos.training_plan import make_training_plan

            TrainingRun(make_training_plan(seed), directory, outcome).run()
        case Kind.ROUNDS:
            from faults.chaos.round_plan import make_many_workers_plan
            from faults.chaos.round_run import ManyWorkersRun

            ManyWorkersRun(make_many_workers_plan(seed), directory, outcome).run()
