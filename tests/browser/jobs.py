"""Jobs to look at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from elasticdl_command import RunningCommand, eventually
from elasticdl_like.job_directory import JobDirectory

# Starts a job with more flags, as the fixture `start_job` says.
StartJob = Callable[..., AbstractContextManager[RunningCommand]]

# The canvas of the coverage picture.
COVERAGE = "#coverage-canvas"


def link_of(job: Path, command: RunningCommand) -> str:
    """Returns the link to a job's status page, as soon as there is one."""
    return eventually(JobDirectory(job).status_page, 60, command)
