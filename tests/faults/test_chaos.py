"""A few dozen quick seeds of the chaos harness; `make chaos N=200` runs many (docs/faults.md)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.chaos.one_seed import Kind, kind_of
from faults.chaos.outcome import Outcome
from faults.chaos.runner import run_apart
from faults.chaos.summary import describe

DATA_PLANE_SEEDS = [seed for seed in range(1, 25) if kind_of(seed) is Kind.DATA_PLANE]
# Its command is killed while the worker trains.
TAKE_OVER_SEED = 28
TRAINING_SEEDS = [TAKE_OVER_SEED, 35]
# Deaths while a state is sent, a worker lost for good, connections cut, scaling up and down.
ROUNDS_SEEDS = [11, 107, 155]
SEEDS = [*TRAINING_SEEDS, *ROUNDS_SEEDS, *DATA_PLANE_SEEDS]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[int, Future[Outcome]]]:
    """Runs the seeds that are selected, one a processor; each test waits for its own."""
    selected = [
        item.callspec.params["seed"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
        if "seed" in item.fixturenames
    ]
    seeds = dict.fromkeys([TAKE_OVER_SEED, *selected])
    # Not pytest's own temporary directory: the logs of a failure are to be there afterwards.
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    yield {seed: pool.submit(run_apart, seed, directory) for seed in seeds}
    pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_record_counts_exactly_once(seed: int, outcomes: dict[int, Future[Outcome]]) -> None:
    outcome = outcomes[seed].result()
    assert not outcome.problem, describe(outcome)
    assert (outcome.missing, outcome.doubled, outcome.hung) == (0, 0, False)
    assert outcome.records > 0
    assert outcome.fired


def test_worker_that_outlives_the_command_is_taken_over(
    outcomes: dict[int, Future[Outcome]],
) -> None:
    outcome = outcomes[TAKE_OVER_SEED].result()
    assert outcome.fired["kill command: before commit"] == 1, describe(outcome)
    assert outcome.fired["worker taken over"] == 1, describe(outcome)
