from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.sparse_index import SparseIndex, Stretch


def index_of(*entries: tuple[int, int]) -> SparseIndex:
    records, offsets = zip(*entries, strict=True)
    return SparseIndex(array("q", records), array("q", offsets))


INDEX = index_of((0, 12), (10, 100), (11, 300), (30, 400))


def test_stretches() -> None:
    assert list(INDEX.stretches()) == [
        Stretch(0, 10, 12, 100),
        Stretch(10, 11, 100, 300),
        Stretch(11, 30, 300, 400),
    ]
    assert (INDEX.num_stretches, INDEX.num_records) == (3, 30)
    assert [(each.count, each.size_bytes) for each in INDEX.stretches()] == [
        (10, 88),
        (1, 200),
        (19, 100),
    ]


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [(0, 30, 0, 4), (0, 10, 0, 2), (9, 11, 0, 3), (10, 11, 1, 3), (29, 30, 2, 4), (10, 10, 1, 3)],
)
def test_the_part_that_covers_a_range(start: int, end: int, first: int, last: int) -> None:
    part = INDEX.covering(start, end)
    assert part == SparseIndex(INDEX.records[first:last], INDEX.offsets[first:last])
    assert part.holds(start, end)
    assert part.covering(start, end) == part


@pytest.mark.parametrize(
    ("start", "end", "holds"), [(0, 30, True), (0, 31, False), (-1, 3, False), (5, 4, False)]
)
def test_what_it_holds(start: int, end: int, holds: bool) -> None:
    assert INDEX.holds(start, end) is holds


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 2**40)), max_size=40))
def test_bytes_and_back(steps: list[tuple[int, int]]) -> None:
    records, offsets = array("q", [7]), array("q", [0])
    for records_more, bytes_more in steps:
        records.append(records[-1] + records_more)
        offsets.append(offsets[-1] + bytes_more)
    index = SparseIndex(records, offsets)
    assert SparseIndex.from_bytes(index.to_bytes()) == index


def test_an_index_is_small() -> None:
    spacing = range(0, 100_000 * 65_536, 65_536)
    entries = [(700 * number + number % 7, offset) for number, offset in enumerate(spacing)]
    assert len(index_of(*entries).to_bytes()) < 3 * len(entries)


@pytest.mark.parametrize("body", [b"", b"rubbish", index_of((5, 5), (4, 6)).to_bytes()])
def test_other_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not an index"):
        SparseIndex.from_bytes(body)
