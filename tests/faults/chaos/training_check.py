"""Proof that the counting model has seen every record of every epoch exactly once."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.master.recovery import load_core
from faults.chaos.data_check import check_ledger
from faults.chaos.outcome import ChaosError, Outcome
from faults.chaos.training_plan import KILLS_WORKER, TrainingPlan

Counts = NDArray[np.float32]


def check_counts(plan: TrainingPlan, directory: Path, job: Path, outcome: Outcome) -> None:
    """Compares every weight of the model with the number of epochs, and looks at the ledger.

    Args:
        plan: the job.
        directory: where the run has written.
        job: the job directory in which it ended.
        outcome: gets the figures.

    Raises:
        ChaosError: a record is missing or doubled, or too much was done again.
    """
    problems = []
    outcome.records = plan.num_records * plan.num_epochs
    found = {"the model at the end of training": np.load(directory / "counts.npy")}
    found["the last checkpoint"] = checkpoint_weights(newest_checkpoint(job), plan.num_records)
    if plan.writes_output:
        found["model.keras"] = keras_weights(directory / "output" / "model.keras", plan.num_records)
    for where, counts in found.items():
        wrong = np.flatnonzero(counts != plan.num_epochs)
        if wrong.size:
            problems.append(
                f"{where}: {wrong.size} of {counts.size} records do not count "
                f"{plan.num_epochs}, as {_some(counts, wrong)}"
            )
        surplus = counts - plan.num_epochs
        outcome.missing = max(outcome.missing, int(-surplus[surplus < 0].sum()))
        outcome.doubled = max(outcome.doubled, int(surplus[surplus > 0].sum()))
    _check_done_again(plan, directory, outcome, problems)
    ledger_epochs = _first_epoch(job)
    problems += check_ledger(job, plan.num_epochs, plan.num_records, ledger_epochs)
    if problems:
        raise ChaosError("; ".join(problems))


def checkpoint_weights(checkpoint: Path, num_records: int) -> Counts:
    """Returns the counts that a checkpoint holds."""
    with np.load(checkpoint / "model.npz") as arrays:
        for name in (each for each in arrays.files if each.isdigit()):
            if arrays[name].shape == (num_records, 1):
                counts: Counts = arrays[name].ravel()
                return counts
    raise ChaosError(f"{checkpoint} has no counts")


def newest_checkpoint(job: Path) -> Path:
    """Returns the newest checkpoint of a job."""
    found = sorted((job / "checkpoints").glob("checkpoint-*"))
    if not found:
        raise ChaosError(f"there is no checkpoint in {job}")
    return found[-1]


def keras_weights(path: Path, num_records: int) -> Counts:
    """Returns the counts that a trained model holds."""
    import h5py

    found: list[Counts] = []

    def look(name: str, value: object) -> None:
        if isinstance(value, h5py.Dataset) and value.shape == (num_records, 1):
            found.append(value[()].ravel())

    with zipfile.ZipFile(path) as archive:
        stored = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(stored) as weights:
        weights.visititems(look)
    if len(found) != 1:
        raise ChaosError(f"{path} has {len(found)} arrays of counts")
    return found[0]


def _check_done_again(
    plan: TrainingPlan, directory: Path, outcome: Outcome, problems: list[str]
) -> None:
    """Bounds the steps that were done again by what lay between checkpoints."""
    steps = len((directory / "steps.txt").read_text(encoding="utf-8").splitlines())
    kills = sum(blow.kind in KILLS_WORKER for blow in plan.blows) + bool(plan.moves_at_step)
    lives = len((directory / "lives.txt").read_text(encoding="utf-8").splitlines())
    outcome.fired["lives"] += lives
    task_records = plan.minibatch_size * max(
        plan.num_minibatches_per_task, plan.minibatches_per_task_after
    )
    if plan.checkpoint_steps and not any("disk" in blow.kind for blow in plan.blows):
        # One checkpoint may be in the making and another one wait for it; each comes when the
        # leases that were read are used up.
        between = 3 * plan.checkpoint_steps * plan.minibatch_size + 2 * task_records
    else:
        between = 2 * plan.num_records
    # A step may be smaller than others where the data, or what there was to lease, ended.
    tasks = plan.num_records // min(task_records, plan.group_records or task_records)
    partial = plan.num_epochs * (tasks + len(plan.shards) + 1)
    trained_again = max(steps * plan.minibatch_size - outcome.records, 0)
    trained_again_bound = kills * between + partial * plan.minibatch_size
    if trained_again > trained_again_bound:
        problems.append(
            f"{trained_again} records were trained on again, more than {trained_again_bound}"
        )
    # What is read ahead cannot be more than the rest of the epoch.
    read = sum(map(int, (directory / "read.txt").read_text(encoding="utf-8").split()))
    outcome.read_again = max(read - outcome.records, 0)
    outcome.read_again_bound = kills * (between + plan.num_records)
    if outcome.read_again > outcome.read_again_bound:
        problems.append(
            f"{outcome.read_again} records were read again, more than {outcome.read_again_bound}"
        )
    if lives > kills + 1:
        problems.append(f"the worker had {lives} lives for {kills} kills")


def _first_epoch(job: Path) -> int:
    """Returns the first epoch that the ledger of a job has to have."""
    return min(epoch.key.epoch for epoch in load_core(job).queue.epochs)


def _some(counts: Counts, wrong: NDArray[np.int64]) -> str:
    shown = {int(index): float(counts[index]) for index in wrong[:5]}
    return json.dumps(shown)
