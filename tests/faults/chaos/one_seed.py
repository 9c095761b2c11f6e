"""Runs one seed, whatever kind it is, in this process."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

from faults.chaos.data_plan import make_data_plan
from faults.chaos.data_plane import DataPlaneRun
from faults.chaos.outcome import HangError, Outcome

_TRAINING_EVERY = 7


def is_training(seed: int) -> bool:
    """Whether a seed trains the counting model; the others run the data plane alone."""
    return seed % _TRAINING_EVERY == 0


def run_seed(seed: int, directory: Path) -> Outcome:
    """Runs a seed and returns, and writes down, what became of it.

    Args:
        seed: decides everything.
        directory: gets data, job, logs and result; it is made, and must not exist.
    """
    directory.mkdir(parents=True)
    outcome = Outcome(seed, "training" if is_training(seed) else "data plane", logs=str(directory))
    started_s = time.monotonic()
    try:
        if is_training(seed):
            # Imported where it is needed: most seeds do without.
            from faults.chaos.training import TrainingRun
            from faults.chaos.training_plan import make_training_plan

            TrainingRun(make_training_plan(seed), directory, outcome).run()
        else:
            DataPlaneRun(make_data_plan(seed), directory, outcome).run()
    except HangError as error:
        outcome.hung, outcome.problem = True, str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this seed's result
        outcome.problem = f"{type(error).__name__}: {error}"
        (directory / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
    outcome.seconds = time.monotonic() - started_s
    outcome.save(directory)
    return outcome
