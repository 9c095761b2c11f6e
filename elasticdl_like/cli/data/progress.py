"""How far a command is: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN_INTERVAL_S = 10.0


@contextmanager
def progress_of(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yields the function that is told how many are done, of how many; shows it on standard error.

    Args:
        what: is being done, such as `converting`.
        unit: what is counted, in the plural.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            expand=True,
        ) as bar:
            task_id = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task_id, completed=done, total=total)
        return
    start_s = last_s = time.monotonic()

    def print_line(done: int, total: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s > _PLAIN_INTERVAL_S:
            last_s = now_s
            rate = done / (now_s - start_s)
            console.out(f"{what}: {done:,}/{total:,} {unit}  {rate:,.0f} {unit}/s")

    yield print_line
