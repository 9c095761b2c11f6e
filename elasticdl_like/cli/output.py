"""What a person sees of a job: log lines, progress, ledger."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from elasticdl_like.config import JobKind
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.worker.logs import JsonFormatter

_PLAIN_INTERVAL_S = 10.0
_SHORTEST_BAR = 10


def configure_logging(level: str, log_format: str) -> Console:
    """Sends log lines to standard error; returns the console that shows them.

    Args:
        level: the name of a logging level.
        log_format: "text", or "json" for one object a line.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    handler = _ConsoleHandler(console)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
        )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return console


@contextmanager
def job_reporter(console: Console, log_format: str) -> Iterator[Callable[[JobStatus], None]]:
    """Yields the function that shows how the job stands: a bar in a terminal, else lines."""
    if console.is_terminal and log_format == "text":
        with Progress(
            TextColumn("{task.fields[trip]}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=_SHORTEST_BAR)),
            _StatusColumn(console),
            console=console,
            transient=True,
            expand=True,
        ) as progress:
            task_id = progress.add_task("", total=None, trip="", status=None)

            def show_bar(status: JobStatus) -> None:
                progress.update(
                    task_id,
                    total=status.total_records,
                    completed=status.records,
                    trip=describe_trip(status),
                    status=status,
                )

            yield show_bar
        return
    last_s, last_epoch, last_state = float("-inf"), -1, ""

    def print_line(status: JobStatus) -> None:
        nonlocal last_s, last_epoch, last_state
        is_due = time.monotonic() - last_s > _PLAIN_INTERVAL_S
        if not is_due and (status.epoch, status.state) == (last_epoch, last_state):
            return
        last_s, last_epoch, last_state = time.monotonic(), status.epoch, status.state
        if log_format == "json":
            line = json.dumps({"progress": status.to_plain()})
        else:
            line = f"{describe_trip(status)}  {describe_progress(status)}"
        console.out(line)

    yield print_line


def describe_trip(status: JobStatus) -> str:
    """Returns what the trip over the data is that the job makes now."""
    if status.kind in (JobKind.EVALUATION, JobKind.PREDICTION):
        return status.kind
    return f"epoch {status.epoch + 1}/{status.num_epochs}"


def describe_progress(status: JobStatus, width: int | None = None) -> str:
    """Returns workers if there are several, records, rate, loss and time left in one line.

    Args:
        status: how the job stands.
        width: how long it may be; what matters least gives way. None for any length.
    """
    rate = f"{status.records_per_s:,.0f} records/s"
    loss = "" if status.loss is None else f"loss {status.loss:.4f}"
    workers = ""
    if status.round is not None and (status.workers_wanted > 1 or len(status.round.members) > 1):
        workers = f"{len(status.round.members)}/{status.workers_wanted} workers"
    parts = [workers, f"{status.records:,}/{status.total_records:,} records", rate, loss]
    if status.remaining_s is not None and status.state == "running":
        parts.append(f"{duration(status.remaining_s)} left")
    parts = [part for part in parts if part]
    for least in (workers, loss, rate):
        if width is not None and len("  ".join(parts)) > width and least in parts:
            parts.remove(least)
    return "  ".join(parts)


def ledger_table(ledger: Mapping[str, Any]) -> str:
    """Returns the ledger as a table of text."""
    header = ["type", "epoch", "step", "records", "committed", "leased", "quarantined", "missing"]
    rows = [
        [
            entry["type"],
            str(entry["epoch"]),
            f"{entry['step']:,}" if "step" in entry else "",
            f"{entry['records']:,}",
            f"{entry['committed']:,}",
            f"{entry['leased']:,}",
            f"{entry['quarantined']:,}",
            "not ended" if entry["missing"] is None else f"{entry['missing']:,}",
        ]
        for entry in ledger["epochs"]
    ]
    tentative = [entry["tentative"] for entry in ledger["epochs"]]
    if any(tentative):
        place = header.index("committed") + 1
        header.insert(place, "tentative")
        for row, count in zip(rows, tentative, strict=True):
            row.insert(place, f"{count:,}")
    return format_table(header, rows)


def quarantine_lines(ledger: Mapping[str, Any]) -> list[str]:
    """Returns a line for each run of records that could not be used, of which there may be none."""
    return [
        f"quarantined in {entry['type']} epoch {entry['epoch']}: records "
        f"[{entry['start']}, {entry['end']}) of shard {entry['shard']!r}: "
        f"{' '.join(entry['problem'].split())}"
        for entry in ledger["quarantined"]
    ]


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of text under a header, the first column flush left, the others right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    )


def duration(seconds: float) -> str:
    """Returns a length of time as hours, minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _StatusColumn(ProgressColumn):
    """What fits beside the shortest bar."""

    def __init__(self, console: Console) -> None:
        super().__init__(Column(no_wrap=True))
        self._console = console

    def render(self, task: Task) -> Text:
        status = task.fields["status"]
        if status is None or not (status.step or status.records):
            return Text("waiting for the first records")
        width = self._console.width - len(task.fields["trip"]) - _SHORTEST_BAR - 2
        return Text(describe_progress(status, width))


class _ConsoleHandler(logging.Handler):
    """Prints above the progress bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.out(self.format(record), highlight=False)
