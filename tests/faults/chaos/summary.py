"""What a run of the harness prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from faults.chaos.outcome import Outcome


def describe(outcome: Outcome) -> str:
    """Returns what became of a seed, and how to see a failure again."""
    if not outcome.problem:
        return (
            f"seed {outcome.seed:5d}  {outcome.kind:10s}  ok  {outcome.seconds:5.1f} s  "
            f"{outcome.records} records, {outcome.read_again} read again "
            f"(at most {outcome.read_again_bound}), {sum(outcome.fired.values())} events"
        )
    return (
        f"seed {outcome.seed:5d}  {outcome.kind:10s}  FAILED  {outcome.seconds:5.1f} s\n"
        f"    {outcome.problem}\n"
        f"    logs: {outcome.logs}\n"
        f"    replay: make chaos SEED={outcome.seed}"
    )


def print_outcome(outcome: Outcome) -> None:
    """Prints what became of a seed."""
    print(describe(outcome), flush=True)


def print_summary(outcomes: Sequence[Outcome]) -> None:
    """Prints the table of a whole run."""
    fired: Counter[str] = sum((outcome.fired for outcome in outcomes), Counter())
    failed = [outcome.seed for outcome in outcomes if outcome.problem]
    print()
    for name, value in [
        ("seeds", len(outcomes)),
        ("  data plane", sum(outcome.kind == "data plane" for outcome in outcomes)),
        ("  training", sum(outcome.kind == "training" for outcome in outcomes)),
        ("  rounds", sum(outcome.kind == "rounds" for outcome in outcomes)),
        ("records to count", sum(outcome.records for outcome in outcomes)),
        ("missing", sum(outcome.missing for outcome in outcomes)),
        ("doubled", sum(outcome.doubled for outcome in outcomes)),
        ("read again", sum(outcome.read_again for outcome in outcomes)),
        ("  at most", sum(outcome.read_again_bound for outcome in outcomes)),
        ("hangs", sum(outcome.hung for outcome in outcomes)),
        ("failed seeds", len(failed)),
        ("seconds", round(sum(outcome.seconds for outcome in outcomes))),
    ]:
        print(f"{name:40s}{value:>12,}")
    print("\nwhat happened, how often")
    for name, number in sorted(fired.items()):
        print(f"  {name:38s}{number:>12,}")
    for seed in failed:
        print(f"replay: make chaos SEED={seed}")
