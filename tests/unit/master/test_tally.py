from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.master.tally import Tally

RUNS = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda each: (each[0], sum(each)))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(RUNS, max_size=5))
def test_runs_count_what_single_ordinals_count(runs: list[tuple[int, int]]) -> None:
    by_run, one_by_one = Tally(), Tally()
    for start, end in runs:
        by_run.add_run(start, end)
        one_by_one.add(range(start, end))
    assert by_run == one_by_one
    ordinals = [ordinal for run in runs for ordinal in range(*run)]
    assert by_run.to_plain() == [len(ordinals), sum(ordinals), sum(n * n for n in ordinals)]


@pytest.mark.parametrize("missing", range(8))
@pytest.mark.parametrize("doubled", range(8))
def test_one_record_for_another_shows(missing: int, doubled: int) -> None:
    counted = [doubled if ordinal == missing else ordinal for ordinal in range(8)]
    tally = Tally()
    tally.add(counted)
    assert (tally == Tally.of_run(0, 8)) == (missing == doubled)


def test_two_records_for_two_others_of_the_same_sum_show() -> None:
    tally = Tally()
    tally.add([0, 2, 2, 2, 4, 5])  # 1 and 3 are missing; 2 is there three times
    assert tally.count == 6
    assert tally.total == Tally.of_run(0, 6).total
    assert tally != Tally.of_run(0, 6)


def test_sums_beyond_64_bits_are_exact() -> None:
    many = 10**18
    tally = Tally.of_run(0, many)
    assert tally.squares == (many - 1) * many * (2 * many - 1) // 6 > 2**64
    parts = Tally.of_run(0, 7).plus(Tally.of_run(7, many))
    assert parts == tally
    assert parts.plus(Tally.of_run(many, many)) == tally


def test_plus_changes_neither() -> None:
    one, other = Tally.of_run(0, 3), Tally.of_run(3, 5)
    assert one.plus(other) == Tally.of_run(0, 5)
    assert (one, other) == (Tally.of_run(0, 3), Tally.of_run(3, 5))
    assert Tally(*one.to_plain()) == one
    assert one != 3
