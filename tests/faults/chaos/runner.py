"""Runs many seeds, each in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.chaos.outcome import RESULT_FILE, Outcome
from faults.chaos.processes import TESTS

_LONGEST_S = 400.0


def run_apart(seed: int, directory: Path, keep: bool = False) -> Outcome:
    """Runs one seed in a process of its own.

    Args:
        seed: the seed.
        directory: the seed's directory becomes one in it.
        keep: whether the logs stay even if all is well.
    """
    seed_directory = directory / f"seed-{seed}"
    shutil.rmtree(seed_directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    output_path = directory / f"seed-{seed}.txt"
    outcome = Outcome(seed, "?", logs=str(output_path))
    with output_path.open("wb") as output:
        try:
            subprocess.run(
                [
                    *(sys.executable, "-m", "faults.chaos"),
                    *("--seed", str(seed), "--directory", str(directory)),
                ],
                cwd=TESTS,
                stdout=output,
                stderr=output,
                timeout=_LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            outcome.hung, outcome.problem = True, f"no end within {_LONGEST_S:.0f} s"
            return outcome
    if not (seed_directory / RESULT_FILE).exists():
        text = output_path.read_text(encoding="utf-8", errors="replace")
        outcome.problem = f"the harness itself failed: {text[-1000:]}"
        return outcome
    outcome = Outcome.load(seed_directory)
    output_path.unlink()
    if not (outcome.problem or keep):
        shutil.rmtree(seed_directory)
    return outcome


def run_seeds(
    seeds: Sequence[int], directory: Path, at_a_time: int, keep: bool
) -> Iterator[Outcome]:
    """Runs seeds, some at a time; yields what became of them, in their order.

    Args:
        seeds: the seeds.
        directory: gets a directory for each.
        at_a_time: how many run side by side.
        keep: whether the logs of seeds stay that went well.
    """
    with ThreadPoolExecutor(at_a_time) as pool:
        yield from pool.map(lambda seed: run_apart(seed, directory, keep), seeds)
