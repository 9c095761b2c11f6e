"""`elasticdl status --watch` in a terminal, while the master dies and another goes on."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elasticdl_command import eventually
from elasticdl_like.job_directory import JobDirectory
from training_job import HOLD, WriteModel, elasticdl, held_training, train_arguments

OTHER_SCREEN, USUAL_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command in a terminal of its own.

    Args:
        command: what runs in it.
        columns: its width.
        lines: its height.
    """

    def __init__(self, command: list[object], columns: int, lines: int) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        # The first terminal that the leader of a session opens is the one whose Ctrl-C it gets.
        opened = 'exec "$0" "$@" 0<>"$TERMINAL" 1>&0 2>&0'
        self._process = subprocess.Popen(
            ["sh", "-c", opened, sys.executable, "-m", "elasticdl_like", *map(str, command)],
            env=os.environ | {"TERM": "xterm-256color", "TERMINAL": os.ttyname(other)},
            start_new_session=True,
        )
        self._other: int | None = other  # open until the command has opened it, too
        self._output = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        """Everything that was written to it."""
        return self._output.decode(errors="replace")

    @property
    def screen(self) -> str:
        """What was written since it was drawn anew, without colours."""
        return _ESCAPE.sub("", self.output.rpartition("\x1b[H")[2])

    def type(self, keys: bytes) -> None:
        os.write(self._main, keys)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait(self, timeout: float) -> int:
        """Returns the exit code."""
        code = self._process.wait(timeout)
        self._join()
        return code

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._join()
        os.close(self._main)

    def _join(self) -> None:
        if self._other is not None:
            os.close(self._other)
            self._other = None
        self._reader.join()

    def _read(self) -> None:
        while True:
            try:
                read = os.read(self._main, 65536)
            except OSError:  # nobody has the other side open any more
                return
            self._output += read


@contextmanager
def terminal(*command: object, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    shown = Terminal(list(command), columns, lines)
    try:
        yield shown
    finally:
        shown.close()


def shows(shown: Terminal, *texts: str) -> None:
    """Waits until all of the texts are on the screen."""
    try:
        eventually(lambda: all(text in shown.screen for text in texts), 30)
    except AssertionError:
        raise AssertionError(f"{texts} are not all in:\n{shown.screen}") from None


def test_it_waits_for_a_master_that_dies_and_ends_with_the_job(
    write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    zoo, job = write_model(HOLD), tmp_path / "job"
    with (
        held_training(zoo, data, tmp_path) as first,
        terminal("status", job, "--watch") as table,
        elasticdl(tmp_path, "status", job, "--watch", "--json") as documents,
        elasticdl(tmp_path, "status", job, "--watch") as piped,
    ):
        shows(table, "job model  running", "epoch 2/3  step 15  150/300 records", "leased")
        shows(table, "training epoch 2:", "worker", "events", "worker 0")
        eventually(lambda: "step 15" in piped.stdout and documents.stdout, 30, piped)
        os.kill(first.pid, signal.SIGKILL)
        shows(table, "job model  cut off", "waiting for a master", "step 15")
        with elasticdl(tmp_path, *train_arguments(zoo, data, job)) as second:
            shows(table, "job model  running")
            (tmp_path / "go").touch()
            assert second.wait(90).exit_code == 0
        assert [table.wait(30), documents.wait(30).exit_code, piped.wait(30).exit_code] == [0, 0, 0]
        assert table.output.count(OTHER_SCREEN) == table.output.count(USUAL_SCREEN) == 1
        left = _ESCAPE.sub("", table.output.rpartition(USUAL_SCREEN)[2])
        for text in (left, piped.stdout):
            assert "job model  finished" in text
            assert "300/300 records" in text
            assert "█ committed 100%" in text
        assert "\x1b" not in piped.stdout
        lines = [json.loads(line) for line in documents.stdout.splitlines()]
    states = [each["state"] for each in lines]
    assert list(dict.fromkeys(states)) == ["running", "cut off", "finished"]
    assert (lines[0]["coverage"]["records"], lines[-1]["coverage"]["committed"]) == (100, 100)
    assert all(each["events"] for each in lines)
    assert bool(lines[states.index("cut off")]["problem"])


def test_ctrl_c_ends_it_wherever_the_master_is_and_the_job_goes_on(
    write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    with held_training(write_model(HOLD), data, tmp_path) as command:
        address = JobDirectory(job).endpoint()
        assert address
        watched = ("status", address, "--watch", "--token_file", job / "token")
        with terminal(*watched, columns=60, lines=16) as shown:
            shows(shown, "job model  running", "step 15")
            shown.resize(120, 30)
            shows(shown, "retries", "has")  # for which there was no room
            shown.type(b"\x03")
            assert shown.wait(30) == 130
            left = _ESCAPE.sub("", shown.output.rpartition(USUAL_SCREEN)[2])
            assert "job model  running" in left
            assert "Traceback" not in left
        assert command.exit_code is None
