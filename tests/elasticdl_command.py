"""Runs the real command as a process, and cleans up after it whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

_MARKER = "TEST_PROCESS_MARKER"

Found = TypeVar("Found")


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class RunElasticdl(Protocol):
    """The fixture `run_elasticdl`."""

    def __call__(self, *arguments: object, timeout: float = 60) -> Finished: ...


class RunningCommand:
    """A command and all of its descendants, which are known by a variable they inherit.

    The command has a process group of its own, as a command typed into a shell has. Workers leave
    that group, so that the group alone would not be enough to find them.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self._marker = f"{_MARKER}={uuid.uuid4().hex}"
        self._started_s = time.monotonic()
        name, _, value = self._marker.partition("=")
        environment = {
            key: text for key, text in os.environ.items() if not key.startswith("ELASTICDL_")
        }
        self._stdout_path = directory / f"{value}.stdout"
        self._stderr_path = directory / f"{value}.stderr"
        with self._stdout_path.open("wb") as stdout, self._stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                cwd=directory,
                env=environment | {name: value},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def stdout(self) -> str:
        return self._stdout_path.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        return self._stderr_path.read_text(encoding="utf-8", errors="replace")

    def send_line(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def press_ctrl_c(self) -> None:
        """Does what a terminal does: the signal goes to the whole process group."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, timeout: float) -> Finished:
        """Waits for the end of the command; fails with its output if that does not come."""
        try:
            exit_code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.stderr}") from None
        return Finished(
            exit_code,
            self._stdout_path.read_text(encoding="utf-8"),
            self.stderr,
            time.monotonic() - self._started_s,
        )

    def processes(self) -> set[int]:
        """Returns the processes that are left of the command and its descendants."""
        marker = self._marker.encode()
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if marker in (entry / "environ").read_bytes().split(b"\0"):
                        found.add(int(entry.name))
        return found

    def close(self) -> None:
        """Ends what is left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


@contextlib.contextmanager
def running(command: Sequence[object], directory: Path) -> Iterator[RunningCommand]:
    """Runs a command of this Python in a directory, as long as the context lasts."""
    started = RunningCommand([sys.executable, *map(str, command)], directory)
    try:
        yield started
    finally:
        started.close()


def run(*arguments: object, directory: Path, timeout: float = 60) -> Finished:
    """Runs `elasticdl` with these arguments to its end."""
    with running(["-m", "elasticdl_like", *arguments], directory) as command:
        return command.wait(timeout)


def eventually(
    attempt: Callable[[], Found | None], timeout: float, while_running: RunningCommand | None = None
) -> Found:
    """Returns the first result that is true, asking again and again.

    Args:
        attempt: returns something false as long as it is too early.
        timeout: fails after this many seconds.
        while_running: fails with its output as soon as this command has ended.
    """
    deadline_s = time.monotonic() + timeout
    while time.monotonic() < deadline_s:
        ended = while_running is not None and while_running.exit_code is not None
        found = attempt()
        if found:
            return found
        assert not (ended and while_running), f"it ended: {while_running and while_running.stderr}"
        time.sleep(0.02)
    shown = f":\n{while_running.stderr}" if while_running else ""
    raise AssertionError(f"nothing after {timeout} s{shown}")
