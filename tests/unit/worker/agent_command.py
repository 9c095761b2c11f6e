"""`elasticdl worker` with another trainer, and with less patience than the real one has."""

from __future__ import annotations

import functools
import sys

import elasticdl_like.worker.main
from elasticdl_like.cli.main import main
from elasticdl_like.worker import trainer_handle
from elasticdl_like.worker.agent import Agent

if __name__ == "__main__":
    elasticdl_like.worker.main.Agent = functools.partial(  # type: ignore[misc, assignment]
        Agent, trainer="stand_in_trainer:run_trainer"
    )
    trainer_handle._LONGEST_SILENCE_S = 4.0
    trainer_handle._END_GRACE_S = 1.0
    trainer_handle._FORK_TIMEOUT_S = 2.0
    sys.argv[0] = "elasticdl"
    main()
