"""Two sides measured in turns, and the table of what came out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison: samples of both sides, taken in turns; more is better."""

    name: str
    ours: Sequence[float]
    other_name: str
    other: Sequence[float]
    asked: float | None

    @property
    def ratios(self) -> list[float]:
        return [ours / other for ours, other in zip(self.ours, self.other, strict=True)]


def table(rows: Iterable[Row], unit: str) -> str:
    """Returns the rows as a Markdown table; each trio is minimum / median / maximum."""
    lines = [
        f"| ours | against | ratio: median (min-max) | asked | ours, {unit} | other, {unit} |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = statistics.median(row.ratios)
        asked = "-" if row.asked is None else f"{row.asked:g}, "
        if row.asked is not None:
            asked += "reached" if ratio >= row.asked else "**missed**"
        lines.append(
            f"| {row.name} | {row.other_name} "
            f"| {ratio:.2f} ({min(row.ratios):.2f}-{max(row.ratios):.2f}) | {asked} "
            f"| {trio(row.ours)} | {trio(row.other)} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class Figure:
    """Samples of one quantity, and the limit that their median should keep."""

    name: str
    samples: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None


def figure_table(figures: Iterable[Figure]) -> str:
    """Returns the figures as a Markdown table; each trio is minimum / median / maximum."""
    lines = ["| what | minimum / median / maximum | asked |", "|---|---|---|"]
    for figure in figures:
        median = statistics.median(figure.samples)
        asked, kept = "-", True
        if figure.at_most is not None:
            asked, kept = f"at most {figure.at_most:,g}", median <= figure.at_most
        elif figure.at_least is not None:
            asked, kept = f"at least {figure.at_least:,g}", median >= figure.at_least
        if asked != "-":
            asked += ", reached" if kept else ", **missed**"
        lines.append(f"| {figure.name} | {trio(figure.samples)} | {asked} |")
    return "\n".join(lines)


def trio(samples: Sequence[float]) -> str:
    """Returns minimum / median / maximum."""
    values = (min(samples), statistics.median(samples), max(samples))
    return " / ".join(f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" for value in values)


def take_turns(
    sides: Mapping[str, Callable[[], float]], rounds: int, warm_up_rounds: int = 1
) -> dict[str, list[float]]:
    """Measures all sides once in each round, and returns the samples of each."""
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for index in range(warm_up_rounds + rounds):
        for name, measure in sides.items():
            value = measure()
            if index >= warm_up_rounds:
                samples[name].append(value)
    return samples
