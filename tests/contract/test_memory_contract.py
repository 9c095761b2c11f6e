from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers.memory import ArrayDataReader, GeneratorDataReader
from elasticdl_like.testing import check_data_reader

ARRAYS: dict[str, Any] = {
    "columns": {
        "image": np.arange(2500 * 6, dtype=np.uint8).reshape(2500, 2, 3),
        "name": np.array([f"number {number}" for number in range(2500)]),
        "label": [number % 3 for number in range(2500)],
    },
    "array": np.random.default_rng(0).random((1200, 4)),
    "bytes": [b"", b"one", *(bytes([number % 256]) * (number % 9) for number in range(3000))],
}


def squares(start: int, end: int) -> Iterator[tuple[int, float]]:
    return ((number, number**2 / 3) for number in range(start, end))


@pytest.mark.parametrize("records", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("shard_size", [None, 700, 1, 5000])
def test_arrays_keep_the_contract(records: Any, shard_size: int | None) -> None:
    check_data_reader(lambda: ArrayDataReader(records, shard_size))


@pytest.mark.parametrize("shard_size", [None, 10**9, 6000])
def test_generators_keep_the_contract(shard_size: int | None) -> None:
    count = 10**12 if shard_size != 6000 else 20_000
    check_data_reader(lambda: GeneratorDataReader(squares, count, ("int64", "float64"), shard_size))
