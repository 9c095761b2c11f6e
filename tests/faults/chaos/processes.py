"""Processes under test: started, stopped, killed, and made to say where they hang."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults.chaos.outcome import HangError

_DUMP_WAIT_S = 3.0
_CLOCK_FILE = "clock-jumps"
TESTS = Path(__file__).parents[2]


class ChaosProcess:
    """A Python process with a log, in a session of its own.

    Args:
        arguments: what follows the interpreter on the command line.
        log_path: gets its standard output and error.
        environment: variables beside those of this process.
    """

    def __init__(
        self, arguments: Sequence[object], log_path: Path, environment: Mapping[str, str]
    ) -> None:
        self.log_path = log_path
        self.stopped = False
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("ELASTICDL_")
        }
        with log_path.open("ab") as log:
            self._log_start_bytes = log.tell()
            self._process = subprocess.Popen(
                # The stacks of all threads go to the log when it gets SIGABRT.
                [sys.executable, "-X", "faulthandler", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=log_path.parent,
                env=inherited | {"PYTHONPATH": str(TESTS)} | dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    @property
    def log(self) -> str:
        """What this process has written to its log."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start_bytes)
            return log.read().decode("utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if the process is there."""
        if self.running:
            self._process.send_signal(number)
            if number is signal.SIGKILL:
                self._process.wait()

    def stop(self) -> None:
        """Holds the process."""
        self.signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self) -> None:
        """Lets a held process go on."""
        self.signal(signal.SIGCONT)
        self.stopped = False

    def wait(self, timeout_s: float) -> bool:
        """Waits for the end of the process; returns whether it came in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def dump_stacks(self) -> None:
        """Makes a process that hangs write where it is, which ends it."""
        self.go_on()
        self.signal(signal.SIGABRT)
        self.wait(_DUMP_WAIT_S)

    def close(self) -> None:
        """Ends the process."""
        self.signal(signal.SIGKILL)


def jumping_clock(directory: Path) -> dict[str, str]:
    """Returns the variables that make a process's wall clock jump.

    Args:
        directory: where `clock_jumps` finds what came of it.
    """
    path = Path(__file__).with_name("clock")
    return {"PYTHONPATH": f"{path}:{TESTS}", "CHAOS_CLOCK": str(directory / _CLOCK_FILE)}


def clock_jumps(directory: Path) -> int:
    """Returns how many processes have seen their clock jump."""
    path = directory / _CLOCK_FILE
    return path.stat().st_size if path.exists() else 0


@contextmanager
def full_disk(pid: int, limit_bytes: int) -> Iterator[None]:
    """Lets a process write no file beyond a size as long as the context lasts.

    The process gets EFBIG, which it has to treat as it would ENOSPC; Python ignores the signal.
    """
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


class Deadline:
    """The end of patience with one seed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at_s = time.monotonic() + seconds

    def check(self, what: str) -> None:
        """Raises `HangError` when time is up.

        Args:
            what: what is waited for, as "the job".
        """
        if time.monotonic() > self._at_s:
            raise HangError(f"{what} did not end within {self._seconds:.0f} s")


def elasticdl_json(*arguments: object, directory: Path) -> tuple[int, Any, str]:
    """Runs `elasticdl … --json`; returns exit code, document and standard error."""
    finished = subprocess.run(
        [sys.executable, "-m", "elasticdl_like", *map(str, arguments), "--json"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    document = json.loads(finished.stdout) if finished.stdout.strip() else None
    return finished.returncode, document, finished.stderr
