from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.cli.coverage_bar import coverage_bar, style_of
from watched_job import coverage, strip

NOTHING = [0.0, 0.0, 0.0, 0.0]
COMMITTED = [1.0, 0.0, 0.0, 0.0]
LEASED = [0.0, 0.0, 1.0, 0.0]


def test_each_cell_is_a_character() -> None:
    tentative, quarantined = [0.0, 1.0, 0.0, 0.0], [0.9, 0.0, 0.0, 0.001]
    drawn = coverage(strip(COMMITTED, tentative, LEASED, quarantined, NOTHING))
    assert coverage_bar(drawn, 5) == "██▒x·"


@pytest.mark.parametrize(
    ("cell", "character"),
    [
        ([0.5, 0.0, 0.0, 0.0], "▄"),
        ([0.25, 0.25, 0.0, 0.0], "▄"),
        ([0.9999, 0.0, 0.0, 0.0], "▇"),
        ([0.0001, 0.0, 0.0, 0.0], "▁"),
        ([0.0, 0.0, 0.01, 0.0], "·"),
        ([0.0, 0.0, 0.2, 0.0], "░"),
        ([0.3, 0.0, 0.2, 0.0], "▂"),
        ([0.3, 0.0, 0.7, 0.0], "▒"),
    ],
)
def test_a_part_is_told_by_height_and_shade(cell: list[float], character: str) -> None:
    assert coverage_bar(coverage(strip(cell)), 3) == character * 3


def test_shards_take_room_by_their_records() -> None:
    drawn = coverage(strip(COMMITTED, records=300), strip(NOTHING, LEASED, records=100))
    assert coverage_bar(drawn, 8) == "██████·▒"
    assert coverage_bar(drawn, 2) == "█▄"


def test_without_records_nothing_is_committed() -> None:
    assert coverage_bar(coverage(), 4) == "····"
    assert coverage_bar(coverage(strip(records=0)), 4) == "····"


@given(
    st.lists(st.integers(1, 10**12), min_size=1, max_size=8),
    st.integers(1, 300),
    st.integers(1, 30),
)
def test_what_is_whole_is_drawn_whole(sizes: list[int], width: int, num_cells: int) -> None:
    strips = [strip(*([COMMITTED] * num_cells), records=size) for size in sizes]
    assert coverage_bar(coverage(*strips), width) == "█" * width


def test_what_is_quarantined_stands_out() -> None:
    assert style_of("x") == "bold red"
    assert style_of("▄") == style_of("█") == "green"
