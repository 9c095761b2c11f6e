"""The seeded orders: bijections, pinned for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.ordering import (
    derive_key,
    derived_keys,
    mix,
    permuted,
    permuted_run,
    position_order,
)

KEYS = st.integers(0, 2**64 - 1)
bounded = settings(derandomize=True, deadline=None, max_examples=60)


def order(size: int, key: int) -> list[int]:
    return [permuted(index, size, key) for index in range(size)]


@bounded
@given(st.integers(1, 700), KEYS)
def test_permuted_is_a_bijection(size: int, key: int) -> None:
    assert sorted(order(size, key)) == list(range(size))


@bounded
@given(st.integers(0, 700), KEYS)
def test_position_order_is_a_bijection(size: int, key: int) -> None:
    found = position_order(size, key)
    assert found.dtype == np.int64
    assert found.shape == (size,)
    assert sorted(found.tolist()) == list(range(size))


@bounded
@given(st.integers(1, 2**62), KEYS, st.data())
def test_permuted_stays_in_range_however_large(size: int, key: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert 0 <= permuted(index, size, key) < size


@bounded
@given(st.integers(1, 2**62) | st.integers(1, 100), KEYS, st.data())
def test_many_at_once_are_the_same_as_one_by_one(size: int, key: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start, min(size, start + 50)))
    assert permuted_run(start, end, size, key) == [
        permuted(index, size, key) for index in range(start, end)
    ]
    assert derived_keys(key, start, end) == [derive_key(key, part) for part in range(start, end)]


# Golden values. A change here changes what a journal or a checkpoint of an older version means:
# these numbers are never to be adapted to the code.


def test_mix_is_splitmix64() -> None:
    assert mix(0) == 0xE220A8397B1DCDAF  # the published first output for the seed 0
    assert mix(1) == 0x910A2DEC89025CC1
    assert mix(2**64 - 1) == 0xE4D971771B652C20


def test_derived_keys_are_pinned() -> None:
    assert derive_key() == 0
    assert derive_key(7, 0) == 0xCAA6944B372D94BA
    assert derive_key(0, 7) == 0xDC79AC6D1AD0F260
    assert derive_key(-1) == 0x5DC20AA7B2A27137


@pytest.mark.parametrize(
    ("size", "key", "expected"),
    [
        (1, 5, [0]),
        (10, 1, [6, 5, 7, 4, 0, 3, 8, 2, 9, 1]),
        (10, 0xCAA6944B372D94BA, [7, 4, 0, 6, 2, 3, 8, 1, 9, 5]),
        (
            17,
            0xDEADBEEFCAFEF00D,
            [14, 8, 12, 3, 16, 2, 0, 6, 9, 4, 15, 1, 5, 7, 10, 11, 13],
        ),
    ],
)
def test_order_of_tasks_is_pinned(size: int, key: int, expected: list[int]) -> None:
    assert order(size, key) == expected


def test_order_of_very_many_tasks_is_pinned() -> None:
    assert [permuted(index, 10**12, 42) for index in range(4)] == [
        865552522123,
        180938823608,
        688031788163,
        999034151018,
    ]


@pytest.mark.parametrize(
    ("size", "key", "expected"),
    [
        (1, 5, [0]),
        (10, 1, [9, 0, 5, 4, 8, 1, 2, 6, 7, 3]),
        (10, 0xCAA6944B372D94BA, [9, 5, 7, 1, 2, 8, 3, 4, 6, 0]),
        (
            17,
            0xDEADBEEFCAFEF00D,
            [16, 6, 0, 3, 9, 5, 14, 11, 1, 2, 10, 7, 15, 4, 12, 8, 13],
        ),
    ],
)
def test_order_of_positions_is_pinned(size: int, key: int, expected: list[int]) -> None:
    assert position_order(size, key).tolist() == expected


def test_every_key_gives_another_order() -> None:
    keys = [derive_key(seed, epoch) for seed in range(10) for epoch in range(10)]
    assert len(set(keys)) == 100
    assert len({tuple(order(50, key)) for key in keys}) == 100
    assert len({tuple(position_order(50, key).tolist()) for key in keys}) == 100


def test_a_record_is_at_any_position_equally_often() -> None:
    # 1000 orders of 8: each of the 64 places is expected 125 times, with a deviation of 10.5.
    for make in (order, lambda size, key: position_order(size, key).tolist()):
        counts = np.zeros((8, 8), np.int64)
        for key in range(1000):
            counts[np.arange(8), make(8, derive_key(key))] += 1
        assert counts.min() > 75
        assert counts.max() < 175
