from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import pytest

from elasticdl_like.data_readers.reading import list_shards
from elasticdl_like.data_readers.shard_details import MAX_LOCATOR_BYTES
from elasticdl_like.errors import DataError, ReaderError, ShardTableError
from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import Shard, Task

INDEX = SparseIndex(array("q", [0, 4, 8, 20]), array("q", [0, 40, 80, 200]))


class Plain:
    def create_shards(self) -> Any:
        return [("a", 0, 6), ("a", 8, 12), ("b", 0, 1)]

    def read_records(self, task: Task) -> Any:
        raise NotImplementedError


class Described(Plain):
    def version(self, shard_name: str) -> str:
        return f"version of {shard_name}"

    def locator(self, shard_name: str) -> bytes:
        return shard_name.encode()

    def natural_splits(self, shard_name: str) -> list[int]:
        return [0, 3, 6, 8, 10, 15, 20] if shard_name == "a" else []

    def sparse_index(self, shard_name: str) -> SparseIndex | None:
        return INDEX if shard_name == "a" else None


def test_a_reader_of_two_methods() -> None:
    assert list_shards(Plain()) == (Shard("a", 0, 6), Shard("a", 8, 12), Shard("b", 0, 1))


def test_each_run_of_records_gets_its_part() -> None:
    first, second, other = list_shards(Described())
    assert (first.version, first.locator) == ("version of a", b"a")
    assert (list(first.splits), list(second.splits)) == ([3], [10, 15])
    assert (first.index, second.index) == (INDEX.covering(0, 6), INDEX.covering(8, 20))
    assert other == Shard("b", 0, 1, "version of b", b"b")


def with_method(name: str, method: Callable[..., Any]) -> Plain:
    return type("Wrong", (Plain,), {name: method})()


@pytest.mark.parametrize(
    ("method", "value", "words"),
    [
        ("version", 3, "a version is a string"),
        ("locator", "text", "a locator is bytes"),
        ("locator", bytes(MAX_LOCATOR_BYTES + 1), "at most 65536"),
        ("natural_splits", [3, 3], "splits ascend"),
        ("natural_splits", [1.5], "integer"),
        ("natural_splits", 7, "not iterable"),
        ("sparse_index", {}, "a SparseIndex or None"),
        ("sparse_index", INDEX.covering(0, 8), r"does not cover the records \[8, 20\)"),
    ],
)
def test_what_is_refused(method: str, value: Any, words: str) -> None:
    reader = with_method(method, lambda self, shard_name: value)
    with pytest.raises(ShardTableError, match=rf"Wrong\.{method}\('a'\).*{words}"):
        list_shards(reader)


def test_exceptions() -> None:
    def fail(self: Any, shard_name: str) -> str:
        raise error

    error: Exception = KeyError("x")
    with pytest.raises(ReaderError, match=r"Wrong\.version\('a'\) raised KeyError"):
        list_shards(with_method("version", fail))
    error = DataError("gone")
    with pytest.raises(DataError, match=r"^gone$"):
        list_shards(with_method("version", fail))
