"""What `elasticdl status --watch` shows of a job, as lines of text for a terminal of some size."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from elasticdl_like.activity import Activity
from elasticdl_like.cli.coverage_bar import (
    COMMITTED,
    LEASED,
    QUARANTINED,
    WAITING,
    coverage_bar,
    style_of,
)
from elasticdl_like.cli.output import duration

Document = Mapping[str, Any]

_MOST_EVENTS = 8
_LEAST_EVENTS = 3
_LEAST_WORKERS = 4
_SMALLEST_SHARE = 0.005
_WIDTH_WITH_ALL = 72
_WIDTH_WITH_HOLDINGS = 120
_LONGEST_NAME = 24
_FLUSH_LEFT = ("does", "has")

_STATE_STYLES = {"running": "bold green", "finished": "bold green", "failed": "bold red"}
_SHORT = {
    Activity.TRAINING: "train",
    Activity.EVALUATING: "evaluate",
    Activity.PREDICTING: "predict",
    Activity.SAVING: "save",
    Activity.WAITING_FOR_MASTER: "wait for master",
    Activity.READING: "read",
    Activity.RETRYING: "retry",
    Activity.DECODING: "decode",
    Activity.CONVERTING: "convert",
    Activity.PARSING: "parse",
}


def render_job(
    document: Document, width: int, height: int | None, now_s: float, problem: str = ""
) -> list[Text]:
    """Returns a job as lines that fit.

    Args:
        document: how the job stands, with "coverage" and "events" where these are known.
        width: the longest line, in characters.
        height: the number of lines at most, or None for any number. Events and workers give way.
        now_s: the time, in Unix seconds.
        problem: why the document is not of this moment, or "".
    """
    top = [
        _headline(document, width, now_s),
        *([Text(_one_line(problem), style="bold yellow")] if problem else []),
        *_reason(document),
        *(Text(line) for line in _flow(_progress(document), width)),
        *_coverage(document, width),
    ]
    warnings = _warnings(document)
    workers = sorted(document["workers"], key=lambda each: each["worker_id"])
    events = list(document.get("events", ()))[-_MOST_EVENTS:]
    evaluations = [Text(line) for line in _flow(_evaluation(document), width)]
    num_workers, num_events = _share_out(
        len(workers),
        len(events),
        None if height is None else height - len(top) - len(warnings) - len(evaluations),
    )
    lines = [
        *top,
        *evaluations,
        *(_worker_table(workers[:num_workers], holdings(document), width) if workers else []),
        *_left_out(len(workers) - num_workers),
        *warnings,
        *(_event_lines(events[len(events) - num_events :]) if num_events else []),
    ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines if height is None else lines[:height]


def _headline(document: Document, width: int, now_s: float) -> Text:
    state = document["state"]
    line = Text.assemble(
        "job ",
        (_one_line(document["job"]), "bold"),
        "  ",
        (state, _STATE_STYLES.get(state, "bold yellow")),
    )
    clock = _clock(now_s)
    room = width - len(clock) - 2
    if room < len(state):
        return line
    line.truncate(room, overflow="ellipsis", pad=True)
    return line.append(f"  {clock}", style="dim")


def _reason(document: Document) -> list[Text]:
    reason = _one_line(document["reason"])
    return [Text(reason, style="yellow")] if reason not in ("", document["state"]) else []


def _progress(document: Document) -> list[str]:
    parts = []
    if document["num_epochs"] > 1 or document["step"]:
        parts.append(f"epoch {document['epoch'] + 1}/{document['num_epochs']}")
        parts.append(f"step {document['step']:,}")
    parts.append(f"{document['records']:,}/{document['total_records']:,} records")
    is_running = document["state"] == "running"
    if is_running:
        parts.append(f"{document['records_per_s']:,.0f} records/s")
    if document["loss"] is not None:
        parts.append(f"loss {document['loss']:.4g}")
    if is_running and document["remaining_s"] is not None:
        parts.append(f"{duration(document['remaining_s'])} left")
    together = document["round"]
    if together is not None and is_running:
        name = f"round {together['number']}" if together["number"] else "first round"
        parts.append(
            f"{name} {together['state']} for {duration(together['since_s'])}, "
            f"{len(together['members'])}/{document['workers_wanted']} workers"
        )
    return parts


def _coverage(document: Document, width: int) -> list[Text]:
    coverage = document.get("coverage")
    if not coverage:
        return []
    total = coverage["records"] or 1
    counts = [
        (COMMITTED, "committed", coverage["committed"] + coverage["tentative"]),
        (LEASED, "leased", coverage["leased"]),
        (QUARANTINED, "quarantined", coverage["quarantined"]),
        (WAITING, "waiting", coverage["waiting"]),
    ]
    legend = [
        f"{sign} {name} {_percentage(count / total)}" for sign, name, count in counts if count
    ]
    bar = Text()
    for character in coverage_bar(coverage, width):
        bar.append(character, style=style_of(character))
    name = f"{coverage['type']} epoch {coverage['epoch'] + 1}:"
    return [Text(), bar, *(Text(line) for line in _flow([name, *legend], width))]


def _percentage(share: float) -> str:
    """Returns a share; what is not nothing, or not all, is not shown as such."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"


def _evaluation(document: Document) -> list[str]:
    if not document["evaluations"]:
        return []
    last = document["evaluations"][-1]
    values = [f"{name} {value:.4f}" for name, value in last["metrics"].items()]
    return [f"validation at step {last['step']:,}:", *values]


def _share_out(num_workers: int, num_events: int, room: int | None) -> tuple[int, int]:
    """Returns how many workers and how many events are shown, in so many lines with headers."""
    if room is None:
        return num_workers, num_events
    above_table = 2 if num_workers else 0
    above_events = 2
    room -= above_table
    least_events = min(num_events, _LEAST_EVENTS)
    shown_workers = min(num_workers, max(room - above_events - least_events, _LEAST_WORKERS, 0))
    if shown_workers < num_workers:
        shown_workers = max(shown_workers - 1, 0)  # the line that tells how many more there are
        room -= 1
    shown_events = min(num_events, max(room - shown_workers - above_events, 0))
    return shown_workers, shown_events


def holdings(document: Document) -> dict[int, str]:
    """Returns of what each worker has leased most, as far as the coverage tells: shards."""
    strips: dict[int, list[str]] = {}
    for strip in (document.get("coverage") or {"shards": ()})["shards"]:
        for worker_id in set(strip["workers"]):
            strips.setdefault(worker_id, []).append(_one_line(strip["name"]))
    return {
        worker_id: _end_of(names[0]) + (f" +{len(names) - 1}" if len(names) > 1 else "")
        for worker_id, names in strips.items()
        if worker_id >= 0
    }


def _end_of(name: str) -> str:
    """Returns a name; only the end of a long one, which tells more than its beginning."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _left_out(number: int) -> list[Text]:
    return [Text(f"… and {number:,} more workers", style="dim")] if number else []


def _worker_table(shown: Sequence[Document], held: Mapping[int, str], width: int) -> list[Text]:
    columns = [("worker", [str(each["worker_id"]) for each in shown])]
    if any(each["phase"] for each in shown):
        columns.append(("does", [each["phase"] or "-" for each in shown]))
        ranks = ["-" if each["rank"] is None else str(each["rank"]) for each in shown]
        columns.append(("rank", ranks))
        if width >= _WIDTH_WITH_ALL:
            columns.append(("step", [f"{each['step']:,}" for each in shown]))
    columns.append(("records/s", [f"{each['records_per_s']:,.0f}" for each in shown]))
    if width >= _WIDTH_WITH_HOLDINGS and held:
        columns.append(("has", [held.get(each["worker_id"], "-") for each in shown]))
    if width >= _WIDTH_WITH_ALL or any(each["num_retries"] for each in shown):
        columns.append(("retries", [f"{each['num_retries']:,}" for each in shown]))
    columns.append(("silent", [f"{each['silent_s']:.1f} s" for each in shown]))
    widths = [max(len(name), *map(len, cells), 0) for name, cells in columns]
    room = width - sum(widths) - 2 * len(widths)
    times = ["time", *(_short_shares(each, room) for each in shown)]
    lines = [Text()]
    for row, time_spent in enumerate(times):
        cells = [column[0] if row == 0 else column[1][row - 1] for column in columns]
        text = "  ".join(
            cell.ljust(size) if name in _FLUSH_LEFT else cell.rjust(size)
            for (name, _), cell, size in zip(columns, cells, widths, strict=True)
        )
        lines.append(Text(f"{text}  {time_spent}".rstrip(), style="bold" if row == 0 else ""))
    return lines


def _short_shares(worker: Document, room: int) -> str:
    """Returns what a worker spends its last seconds on, the most first, as far as it fits."""
    shares = worker["recent_time_shares"] or worker["time_shares"]
    if shares is None:
        return ""
    parts = sorted(
        ((share, name) for name, share in (shares["working"] | shares["waiting"]).items()),
        reverse=True,
    )
    text = ""
    for share, name in parts:
        added = f"{', ' if text else ''}{_SHORT[Activity(name)]} {share:.0%}"
        if share < _SMALLEST_SHARE or len(text) + len(added) > room:
            break
        text += added
    return text


def _warnings(document: Document) -> list[Text]:
    found = [
        f"worker {worker['worker_id']}: {worker['starvation']}"
        for worker in document["workers"]
        if worker["starvation"]
    ]
    return [Text(), *(Text(_one_line(each), style="yellow") for each in found)] if found else []


def _event_lines(events: Sequence[Document]) -> list[Text]:
    lines = [Text(), Text("events", style="bold")]
    for event in events:
        style = {"warning": "yellow", "worker_lost": "yellow"}.get(event["kind"], "")
        text = Text(_one_line(event["text"]), style=style)
        lines.append(Text.assemble((_clock(event["time_s"]), "dim"), "  ", text))
    return lines


def _flow(parts: Sequence[str], width: int) -> list[str]:
    """Returns parts in as few lines as they fit in, without a break inside of a part."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += f"  {part}"
        else:
            lines.append(part)
    return lines


def _clock(time_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time_s))


def _one_line(text: str) -> str:
    """Returns text without line breaks, and without what would act on the terminal."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))
