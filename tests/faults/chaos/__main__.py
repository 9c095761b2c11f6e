"""Runs seeds of the chaos harness: `make chaos N=200`, or `make chaos SEED=17` for one of them."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from faults.chaos.one_seed import run_seed
from faults.chaos.runner import run_seeds
from faults.chaos.summary import print_outcome, print_summary


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.chaos", description=__doc__)
    parser.add_argument("--number", type=int, default=200, help="how many seeds, from --first on")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--at_a_time", type=int, default=2, help="seeds that run side by side")
    parser.add_argument("--directory", type=Path, help="where logs go; those of failures are kept")
    parser.add_argument("--keep", action="store_true", help="keep the logs of all seeds")
    arguments = parser.parse_args()
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="chaos-"))
    if arguments.seed is not None:
        seed_directory = directory / f"seed-{arguments.seed}"
        shutil.rmtree(seed_directory, ignore_errors=True)
        outcome = run_seed(arguments.seed, seed_directory)
        print_outcome(outcome)
        return bool(outcome.problem)
    seeds = range(arguments.first, arguments.first + arguments.number)
    outcomes = []
    for outcome in run_seeds(seeds, directory, arguments.at_a_time, arguments.keep):
        print_outcome(outcome)
        outcomes.append(outcome)
    print_summary(outcomes)
    return any(outcome.problem for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
