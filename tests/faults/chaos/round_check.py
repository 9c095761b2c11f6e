"""Proof that several workers have trained one model on every record of every epoch exactly once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from faults.chaos.data_check import check_ledger
from faults.chaos.outcome import ChaosError, Outcome
from faults.chaos.round_plan import ManyWorkersPlan
from faults.chaos.round_trace import Life, Trace, read_trace
from faults.chaos.training_check import Counts, checkpoint_weights, keras_weights, newest_checkpoint


def check_rounds(plan: ManyWorkersPlan, directory: Path, job: Path, outcome: Outcome) -> Trace:
    """Compares weights, steps and ledger with what they have to be.

    Args:
        plan: the job.
        directory: where the run has written.
        job: the job directory.
        outcome: gets the figures.

    Returns:
        What the trainers have written down.

    Raises:
        ChaosError: a record is missing or doubled, members did not agree, or a finished step
            was done again.
    """
    trace = read_trace(directory)
    outcome.records = plan.num_records * plan.num_epochs
    outcome.fired["rounds"] += len(trace.rounds)
    outcome.fired["lives"] += len(trace.lives)
    problems = [
        *_check_counts(plan, directory, job, outcome),
        *trace_problems(plan, trace),
        *_check_read_again(plan, directory, trace, outcome),
        *check_ledger(
            job, plan.num_epochs, plan.num_records, begun_epochs=1 if plan.stops_early else 0
        ),
    ]
    if problems:
        raise ChaosError("; ".join(problems))
    return trace


def trace_problems(plan: ManyWorkersPlan, trace: Trace) -> list[str]:
    """Returns what is wrong with what the trainers have written down."""
    return [
        *_check_agreement(trace),
        *_check_steps_kept(trace),
        *_check_chief(trace),
        *_check_done_again(plan, trace),
    ]


def _check_counts(plan: ManyWorkersPlan, directory: Path, job: Path, outcome: Outcome) -> list[str]:
    problems = []
    found: dict[str, Counts] = {
        path.stem: np.load(path) for path in sorted(directory.glob("counts-*-*[0-9].npy"))
    }
    if not found:
        problems.append("no trainer has come to the end of training")
    found["the last checkpoint"] = checkpoint_weights(newest_checkpoint(job), plan.num_records)
    if plan.writes_output:
        path = directory / "output" / "model.keras"
        found["model.keras"] = keras_weights(path, plan.num_records)
    for where, counts in found.items():
        wrong = np.flatnonzero(counts != plan.num_epochs)
        if wrong.size:
            shown = {int(index): float(counts[index]) for index in wrong[:5]}
            problems.append(
                f"{where}: {wrong.size} of {counts.size} records do not count "
                f"{plan.num_epochs}, as {shown}"
            )
        surplus = counts - plan.num_epochs
        outcome.missing = max(outcome.missing, int(-surplus[surplus < 0].sum()))
        outcome.doubled = max(outcome.doubled, int(surplus[surplus > 0].sum()))
    return problems


def _check_agreement(trace: Trace) -> list[str]:
    """All members have the same weights after the same step, and at most one step between them."""
    problems = []
    for number, members in trace.rounds.items():
        digests: dict[int, set[str]] = {}
        for life in members:
            for step, digest in life.steps.items():
                digests.setdefault(step, set()).add(digest)
            if life.packed and life.ended_step is not None and life.holds_state:
                digests.setdefault(life.ended_step, set()).add(life.packed)
            steps = list(life.steps)
            if steps != list(range(life.start_step + 1, life.start_step + 1 + len(steps))):
                problems.append(f"round {number}, rank {life.rank}: finished steps {steps}")
        apart = [step for step, found in digests.items() if len(found) > 1]
        if apart:
            problems.append(f"round {number}: members differ after steps {apart}")
        last = [max(life.steps, default=life.start_step) for life in members]
        if max(last) - min(last) > 1 and len(members) == members[0].size:
            problems.append(f"round {number}: the last steps of its members are {last}")
        if len({life.start_step for life in members}) > 1:
            problems.append(f"round {number}: members began at different steps")
    return problems


def _check_steps_kept(trace: Trace) -> list[str]:
    """No round goes back behind what an agent holds that takes part in it."""
    problems = []
    held: dict[tuple[int, str], tuple[int, int]] = {}
    for number, members in trace.rounds.items():
        for life in members:
            step, in_round = held.get(life.worker, (0, 0))
            if life.start_step < step:
                problems.append(
                    f"round {number} goes on from step {life.start_step}, although worker "
                    f"{life.worker[0]} holds step {step} of round {in_round}"
                )
        for life in members:
            if life.steps:
                # Its trainer has a later state than its agent, which gives up the earlier one.
                held.pop(life.worker, None)
            if life.holds_state and life.ended_step is not None:
                held[life.worker] = (life.ended_step, number)
    return problems


def _check_chief(trace: Trace) -> list[str]:
    """The callbacks are called by the chief alone, and each round has one."""
    problems = []
    for number, members in trace.rounds.items():
        if len({life.rank for life in members}) != len(members):
            problems.append(f"round {number}: two members of one rank")
    called = ("training begins", "epoch begins", "epoch ends")
    problems += [
        f"{what!r} was called by rank {line['rank']}"
        for what in called
        for line in trace.of(what)
        if line["rank"] != 0
    ]
    return problems


def _check_done_again(plan: ManyWorkersPlan, trace: Trace) -> list[str]:
    """Bounds what was done again: with a survivor the one step that it had not finished."""
    problems = []
    for before, after in pairwise(trace.rounds.values()):
        begun = max((step for life in before for step in life.records), default=0)
        again = max(begun - after[0].start_step, 0)
        bound = 1 if _has_survivor(before, after) else _steps_between_checkpoints(plan)
        if again > bound:
            problems.append(
                f"round {after[0].round} does {again} steps again, more than {bound}: it goes on "
                f"from step {after[0].start_step}, round {before[0].round} got to step {begun}"
            )
    return problems


def _check_read_again(
    plan: ManyWorkersPlan, directory: Path, trace: Trace, outcome: Outcome
) -> list[str]:
    """Counts what was done again, and bounds what was read again."""
    kept: Counter[int] = Counter()
    for members in trace.rounds.values():
        # A later round has the last word on what a step was made of.
        for step in {step for life in members for step in life.records}:
            kept[step] = sum(life.records[step] for life in members)
    trained = sum(life.records.total() for life in trace.lives)
    outcome.fired["records trained again"] += trained - kept.total()
    # What is read ahead cannot be more than the rest of the epoch.
    read = sum(map(int, (directory / "read.txt").read_text(encoding="utf-8").split()))
    outcome.read_again = max(read - outcome.records, 0)
    outcome.read_again_bound = len(trace.lives) * plan.num_records
    if plan.group_records > plan.minibatch_size * plan.num_minibatches_per_task:
        # Every member decodes the groups that it has a part of.
        most_members = max(life.size for life in trace.lives)
        outcome.read_again_bound += (most_members - 1) * outcome.records
    if outcome.read_again <= outcome.read_again_bound:
        return []
    return [f"{outcome.read_again} records were read again, more than {outcome.read_again_bound}"]


def _has_survivor(before: list[Life], after: list[Life]) -> bool:
    """Whether an agent that holds the state of the earlier round is in the later one."""
    there = {life.worker for life in after}
    return any(life.holds_state and life.worker in there for life in before)


def _steps_between_checkpoints(plan: ManyWorkersPlan) -> int:
    most_steps = plan.num_epochs * (plan.num_records // plan.minibatch_size + len(plan.shards) + 1)
    if not plan.checkpoint_steps:
        return most_steps
    # One checkpoint may be in the making and another one wait for it; each comes when the leases
    # that were read are used up.
    return 3 * plan.checkpoint_steps + 2 * plan.num_minibatches_per_task + 2
