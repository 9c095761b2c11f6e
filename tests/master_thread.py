"""A master that a thread of the test's own process runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elasticdl_like.config import JobConfig
from elasticdl_like.master.main import Master, MasterConfig, run_master


@contextmanager
def ticking_master(config: JobConfig, job_directory: Path) -> Iterator[Master]:
    """Runs the master of a job, and has it do what is due, as long as the context lasts."""
    stopped = threading.Event()
    with run_master(config, MasterConfig(job_directory)) as running:

        def tick() -> None:
            while not stopped.wait(0.05):
                running.tick()

        thread = threading.Thread(target=tick)
        thread.start()
        try:
            yield running
        finally:
            stopped.set()
            thread.join()
