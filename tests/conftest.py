"""What the tests of the real command share."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elasticdl_command import Finished, RunElasticdl, run

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _same_logging() -> Iterator[None]:
    """Undoes what the main function of a process, called in a test, makes of the root logger."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def run_elasticdl(tmp_path: Path) -> RunElasticdl:
    """Runs the command in the test's directory, to its end."""

    def run_here(*arguments: object, timeout: float = 60) -> Finished:
        return run(*arguments, directory=tmp_path, timeout=timeout)

    return run_here


@pytest.fixture(scope="session")
def model_zoo() -> Path:
    return REPOSITORY / "model_zoo"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory, model_zoo: Path) -> Path:
    """The handwritten digits as RecordIO, in `train/` and `validation/`."""
    destination = tmp_path_factory.mktemp("digits")
    script = model_zoo / "digits" / "make_data.py"
    subprocess.run([sys.executable, script, destination], check=True, timeout=60)
    return destination
