"""Real processes that stand in for workers; none is left after a test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from elasticdl_like.platforms.worker_process import MakeCommand, WorkerProcess, start_process
from elasticdl_like.platforms.worker_record import WorkerRecords

PythonWorker = Callable[[str], MakeCommand]
Start = Callable[[WorkerRecords, MakeCommand, Path], WorkerProcess]


@pytest.fixture
def python_worker() -> PythonWorker:
    """Makes command lines that run a piece of Python, and are known by their incarnation."""

    def worker(code: str) -> MakeCommand:
        def make_command(worker_id: int, incarnation: str) -> Sequence[str]:
            return [sys.executable, "-c", code, str(worker_id), incarnation]

        return make_command

    return worker


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts worker 0."""
    started: list[WorkerProcess] = []

    def start_it(records: WorkerRecords, command: MakeCommand, log_path: Path) -> WorkerProcess:
        started.append(start_process(records, 0, command, log_path))
        return started[-1]

    yield start_it
    for process in started:
        process.end()


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "worker-0.log"
