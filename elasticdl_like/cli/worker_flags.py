"""The flags that say how many workers train a model, and how many records each takes in a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from elasticdl_like.cli.compatibility.reasons import PARAMETER_SERVERS_REFUSED
from elasticdl_like.cli.flag import option, together
from elasticdl_like.config import DistributionStrategy, WorkersConfig
from elasticdl_like.errors import ConfigError

DEFAULT_MINIBATCH_SIZE = 64
"""Records in one step of one worker, unless a flag says so."""

_STRATEGIES = {
    "local": DistributionStrategy.LOCAL,
    "allreduce": DistributionStrategy.ALL_REDUCE,
    "allreducestrategy": DistributionStrategy.ALL_REDUCE,
}

batch_options = together(
    option(
        "--minibatch_size",
        type=click.IntRange(min=1),
        default=None,
        help=f"Records in one step of one worker; {DEFAULT_MINIBATCH_SIZE} by default.",
    ),
    option(
        "--global_batch_size",
        type=click.IntRange(min=0),
        default=0,
        help="Records in one step of all workers together, however many there are; 0 for "
        "--minibatch_size in each.",
    ),
)

workers_options = together(
    option(
        "--num_workers",
        type=click.IntRange(min=1),
        default=1,
        help="Workers that train the model together. `elasticdl scale` changes it while the job "
        "runs.",
    ),
    option(
        "--min_workers",
        type=click.IntRange(min=1),
        default=1,
        help="Training waits until there are so many workers.",
    ),
    option(
        "--max_workers",
        type=click.IntRange(min=0),
        default=0,
        help="The most workers that `elasticdl scale` may ask for; 0 for no limit.",
    ),
    option(
        "--distribution_strategy",
        default="",
        help="How the model is trained: Local in one worker, AllReduce in any number of them, of "
        "which some may come and go. By default AllReduce where there can be more than one.",
    ),
)


def workers_config(flags: Mapping[str, Any]) -> WorkersConfig:
    """Returns how many workers the flags ask for.

    Raises:
        ConfigError: the numbers contradict each other.
    """
    num_workers, least, most = (
        flags[name] for name in ("num_workers", "min_workers", "max_workers")
    )
    if least > num_workers:
        raise ConfigError(
            f"--min_workers {least} is more than --num_workers {num_workers}, so training would "
            "never begin; start more workers or wait for fewer"
        )
    if most and most < num_workers:
        raise ConfigError(
            f"--num_workers {num_workers} is more than --max_workers {most}; raise the limit, or "
            "leave it out for none"
        )
    return WorkersConfig(num_workers, least, most)


def distribution_strategy(text: str, workers: WorkersConfig) -> DistributionStrategy:
    """Returns how so many workers train the model.

    Args:
        text: the value of --distribution_strategy, or "" where it is left out.
        workers: how many workers there will be.

    Raises:
        ConfigError: there is no such strategy, or it is not for so many workers.
    """
    several = max(workers.num_workers, workers.max_workers) > 1
    if not text:
        return DistributionStrategy.ALL_REDUCE if several else DistributionStrategy.LOCAL
    if text.lower() == "parameterserverstrategy":
        raise ConfigError(f"--distribution_strategy {text}: {PARAMETER_SERVERS_REFUSED}")
    strategy = _STRATEGIES.get(text.lower())
    if strategy is None:
        raise ConfigError(
            f"--distribution_strategy {text!r} is not known; there is Local and AllReduce"
        )
    if strategy is DistributionStrategy.LOCAL and several:
        flag = "num_workers" if workers.num_workers > 1 else "max_workers"
        raise ConfigError(
            f"--distribution_strategy {text} trains in one worker, which does not go with "
            f"--{flag} {getattr(workers, flag)}; use AllReduce, or leave one of the two out"
        )
    return strategy


def batch_sizes(flags: Mapping[str, Any], workers: WorkersConfig) -> tuple[int, int]:
    """Returns the minibatch size of a worker, and that of all together or 0 if it is not fixed.

    Raises:
        ConfigError: both are given, or a worker would get no record.
    """
    minibatch_size: int | None = flags["minibatch_size"]
    global_size: int = flags["global_batch_size"]
    if not global_size:
        return minibatch_size or DEFAULT_MINIBATCH_SIZE, 0
    if minibatch_size is not None:
        raise ConfigError(
            f"--global_batch_size {global_size} and --minibatch_size {minibatch_size} both say how "
            "many records are in a step; use one of them"
        )
    most = max(workers.num_workers, workers.max_workers)
    if global_size < most:
        flag = "num_workers" if workers.num_workers == most else "max_workers"
        raise ConfigError(
            f"--global_batch_size {global_size} is less than --{flag} {most}; each worker needs a "
            "record in each step"
        )
    return global_size // workers.num_workers, global_size
