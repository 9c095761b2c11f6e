from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers.shards import normalise_shards
from elasticdl_like.errors import ShardTableError
from elasticdl_like.tasks import Shard


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"a": (3, 5)}, [("a", 3, 5)]),
        ({"a": [3, 5]}, [("a", 3, 5)]),
        ({"a": 5}, [("a", 0, 5)]),
        (MappingProxyType({"a": 5}), [("a", 0, 5)]),
        ({"a": (np.int32(3), np.uint64(5)), "b": np.int64(1)}, [("a", 3, 5), ("b", 0, 1)]),
        ([("a", 3, 5)], [("a", 3, 5)]),
        ((["a", 3, 5],), [("a", 3, 5)]),
        ([("a", 5)], [("a", 0, 5)]),
        ([("a", (3, 5))], [("a", 3, 5)]),
        ({"b": 1, "a": (7, 2)}, [("a", 7, 2), ("b", 0, 1)]),
        ([("a", 10, 5), ("a", 0, 10)], [("a", 0, 10), ("a", 10, 5)]),
        ([("a", 5, 5), ("b", 5, 5)], [("a", 5, 5), ("b", 5, 5)]),
        ({"a": 0, "b": 1}, [("b", 0, 1)]),
        ([("a", 0, 10), ("a", 5, 0)], [("a", 0, 10)]),
        ({"": 1}, [("", 0, 1)]),
        ({"a": (2**62, 2**62 - 1)}, [("a", 2**62, 2**62 - 1)]),
    ],
)
def test_accepted(table: Any, expected: list[tuple[str, int, int]]) -> None:
    shards = normalise_shards(table, "Reader")
    assert shards == tuple(Shard(*each) for each in expected)
    assert {type(number) for shard in shards for number in (shard.first, shard.count)} == {int}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, "returned None"),
        ("a", "returned 'a'"),
        (5, "returned 5"),
        ({"a", "b"}, "returned {.*(set)"),
        (iter([("a", 1)]), "returned <list_iterator"),
        ({}, "no records"),
        ([], "no records"),
        ({"a": 0}, "no records"),
        ({"a": (5, 0), "b": 0}, "no records"),
        ({"a": -1}, "first index 0 and -1 records"),
        ({"a": (-1, 5)}, "first index -1 and 5 records"),
        ({"a": (5, -1)}, "first index 5 and -1 records"),
        ({"a": (2**62, 2**62)}, "below 2"),
        ({"a": 2**63}, "below 2"),
        ({"a": 1.0}, "returned 1.0 .*for shard 'a'"),
        ({"a": (0, 1.5)}, r"\(0, 1.5\) .*for shard 'a'"),
        ({"a": np.float64(3)}, "for shard 'a'"),
        ({"a": True}, "returned True .*for shard 'a'"),
        ({"a": (False, 3)}, "for shard 'a'"),
        ({"a": np.True_}, "for shard 'a'"),
        ({"a": "5"}, "returned '5'"),
        ({"a": "05"}, "returned '05'"),
        ({"a": None}, "returned None .*for shard 'a'"),
        ({"a": (0, None)}, "for shard 'a'"),
        ({"a": ()}, "for shard 'a'"),
        ({"a": (1,)}, "for shard 'a'"),
        ({"a": (0, 1, 2)}, "for shard 'a'"),
        ({"a": range(2)}, "for shard 'a'"),
        ({1: 5}, "the shard name 1"),
        ({b"a": 5}, "the shard name b'a'"),
        ({None: 5}, "the shard name None"),
        (["a"], "the entry 'a'"),
        (["ab"], "the entry 'ab'"),
        (["abc"], "the entry 'abc'"),
        (("a", 0, 5), "the entry 'a'"),
        ([("a",)], "the entry"),
        ([("a", 0, 5, 6)], "the entry"),
        ([("a", 0, 5), None], "the entry None"),
        ([("a", 0, 5), ("a", 4, 5)], r"'a': \[0, 5\) and \[4, 9\)"),
        ([("a", 4, 5), ("a", 0, 5)], r"'a': \[0, 5\) and \[4, 9\)"),
        ([("a", 5), ("a", 5)], "overlapping"),
        ([("a", 0, 10), ("a", 2, 3)], "overlapping"),
    ],
)
def test_refused(table: Any, words: str) -> None:
    with pytest.raises(ShardTableError, match=words) as caught:
        normalise_shards(table, "MyReader")
    assert str(caught.value).startswith("MyReader.create_shards() ")


def test_a_long_table_is_not_shown_whole() -> None:
    with pytest.raises(ShardTableError) as caught:
        normalise_shards("x" * 10_000, "Reader")
    assert len(str(caught.value)) < 400
