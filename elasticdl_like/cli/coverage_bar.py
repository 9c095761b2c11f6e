"""The coverage of an epoch as a line of blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

COMMITTED, LEASED, QUARANTINED, WAITING = "█", "▒", "x", "·"
PARTLY_LEASED = "░"
_COMMITTED_PARTS = " ▁▂▃▄▅▆▇"

_STYLES = {LEASED: "yellow", PARTLY_LEASED: "yellow", QUARANTINED: "bold red", WAITING: "dim"}


@dataclass(frozen=True)
class _Share:
    """How much of a run of records is what; the rest is waiting."""

    records: float
    committed: float
    leased: float
    quarantined: float


def coverage_bar(coverage: Mapping[str, Any], width: int) -> str:
    """Returns the records of an epoch, in the order of the data, as so many characters.

    A character stands for an equal part of the records. One that is quarantined marks it. Otherwise
    its height says how many are committed, and a shade that most, or some, are leased.

    Args:
        coverage: the document `coverage` of a job.
        width: the number of characters.
    """
    total = sum(strip["records"] for strip in coverage["shards"])
    if not total:
        return WAITING * width
    sums = [[0.0, 0.0, 0.0] for _ in range(width)]
    begin = 0.0
    for share in _shares(coverage):
        end = begin + share.records * width / total
        for index in range(int(begin), min(int(end) + 1, width)):
            overlap = min(end, index + 1) - max(begin, index)
            sums[index][0] += overlap * share.committed
            sums[index][1] += overlap * share.leased
            sums[index][2] += overlap * share.quarantined
        begin = end
    return "".join(_character(*each) for each in sums)


def style_of(character: str) -> str:
    """Returns the style, in the words of rich, of a character of a bar."""
    return _STYLES.get(character, "green")


def _shares(coverage: Mapping[str, Any]) -> Iterator[_Share]:
    for strip in coverage["shards"]:
        cells = strip["cells"]
        for committed, tentative, leased, quarantined in cells:
            yield _Share(strip["records"] / len(cells), committed + tentative, leased, quarantined)


def _character(committed: float, leased: float, quarantined: float) -> str:
    eighths = int(8 * committed + 1e-6)
    if quarantined > 1e-9:
        return QUARANTINED
    if eighths >= 8:
        return COMMITTED
    if leased > max(committed, 1 - committed - leased):
        return LEASED
    if eighths:
        return _COMMITTED_PARTS[eighths]
    if 8 * leased >= 1:
        return PARTLY_LEASED
    return _COMMITTED_PARTS[1] if committed > 1e-9 else WAITING
