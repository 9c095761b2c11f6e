"""`elasticdl status --watch`: how a job stands, again and again, until it ends."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live

from elasticdl_like.cli.output import duration
from elasticdl_like.cli.status_source import CUT_OFF
from elasticdl_like.cli.watch_view import render_job
from elasticdl_like.errors import ClusterUnavailableError, MasterUnavailableError
from elasticdl_like.job_directory import JobState

_INTERVAL_S = 1.0
_PLAIN_INTERVAL_S = 10.0
_REFRESHES_PER_S = 2.0
_PLAIN_WIDTH = 100

_ENDED = (JobState.FINISHED, JobState.FAILED, JobState.INTERRUPTED)
_EXIT_CODE_OF_CTRL_C = 130

Ask = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Sight:
    """What is known of a job at some moment.

    Attributes:
        document: how it stands, or stood when there was last an answer.
        problem: why there is none now, or "".
    """

    document: dict[str, Any]
    problem: str = ""

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.document["state"] in _ENDED


class Watcher:
    """Remembers what was last known of a job whose master may go, and come back.

    Args:
        ask: returns how the job stands, as `StatusSource.ask` does.
        clock: monotonic time in seconds.
    """

    def __init__(self, ask: Ask, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._last: dict[str, Any] = {}
        self._answered_s = clock()

    def look(self) -> Sight:
        """Returns what is known now.

        Raises:
            ElasticdlError: there is no such job; for a master that was never there, too.
        """
        try:
            document = self._ask()
        except (MasterUnavailableError, ClusterUnavailableError) as error:
            if not self._last:
                raise
            silence = duration(self._clock() - self._answered_s)
            return Sight(self._last, f"no answer for {silence}, still trying: {error}")
        self._answered_s = self._clock()
        self._last = document
        if document["state"] == CUT_OFF:
            return Sight(self._last, "waiting for a master that goes on with the job")
        return Sight(self._last)


def watch(ask: Ask, as_json: bool) -> int:
    """Shows a job on standard output until it ends, or until Ctrl-C.

    In a terminal that is a table which is drawn anew each second; elsewhere a block of text each 10
    seconds, or one JSON document a line and second.

    Args:
        ask: returns how the job stands, as `StatusSource.ask` does.
        as_json: whether to print JSON.

    Returns:
        The exit code: 0 when the job has finished, 1 when it failed or was interrupted, 130 after
        Ctrl-C.

    Raises:
        ElasticdlError: there is no such job.
    """
    watcher = Watcher(ask, time.monotonic)
    console = Console(highlight=False)
    show = _show_plain
    if as_json:
        show = _show_json
    elif sys.stdout.isatty() and not console.is_dumb_terminal:
        show = _show_table
    try:
        last = show(console, _sights(watcher))
    except KeyboardInterrupt:
        return _EXIT_CODE_OF_CTRL_C
    return 0 if last.document["state"] == JobState.FINISHED else 1


def _sights(watcher: Watcher) -> Iterator[Sight]:
    """Yields what is known each second; what the job is at its end comes last."""
    while True:
        sight = watcher.look()
        yield sight
        if sight.ended:
            return
        time.sleep(_INTERVAL_S)


def _show_json(console: Console, sights: Iterator[Sight]) -> Sight:
    for sight in sights:
        click.echo(json.dumps(sight.document | {"problem": sight.problem}))
    return sight


def _show_plain(console: Console, sights: Iterator[Sight]) -> Sight:
    shown_s, shown = float("-inf"), ("", False)
    for sight in sights:
        now_s = time.monotonic()
        look = (sight.document["state"], bool(sight.problem))
        if look == shown and now_s - shown_s < _PLAIN_INTERVAL_S:
            continue
        shown_s, shown = now_s, look
        lines = render_job(sight.document, _PLAIN_WIDTH, None, time.time(), sight.problem)
        click.echo("".join(f"{line.plain.rstrip()}\n" for line in lines))
    return sight


def _show_table(console: Console, sights: Iterator[Sight]) -> Sight:
    """Draws on the terminal's other screen; the last state stays on the usual one."""
    sight = next(sights)
    table = _Table(sight)
    try:
        with Live(table, console=console, screen=True, refresh_per_second=_REFRESHES_PER_S):
            for sight in sights:
                table.sight = sight
    finally:
        for line in render_job(table.sight.document, console.width, None, time.time()):
            console.print(line, no_wrap=True, overflow="crop")
    return sight


class _Table:
    """Draws itself to the size that the terminal has at that moment."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = console.size
        sight = self.sight
        for line in render_job(sight.document, width, height, time.time(), sight.problem):
            line.no_wrap = True
            yield line
