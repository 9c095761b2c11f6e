"""One suite for every reader, and proof that the suite notices what is wrong with a reader."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers import (
    AbstractDataReader,
    BatchDataReader,
    RecordBatch,
)
from elasticdl_like.data_readers.reading import DataReader
from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import Task
from elasticdl_like.testing import ContractError, check_data_reader


class TwoMethods:
    """All that a user must write, and not even derived from anything."""

    counts: Mapping[str, int] = {"a": 23, "b": 1, "c": 2}

    def create_shards(self) -> Any:
        return self.counts

    def read_records(self, task: Any) -> Iterator[Any]:
        for index in range(task.shard.start, task.shard.end):
            yield f"{task.shard_name}{index}".encode()


class FromElsewhere(AbstractDataReader):
    """Shards that do not begin at 0, several of one name, and records that are dicts."""

    def create_shards(self) -> Any:
        return [("a", 1000, 10), ("a", 2000, 7), ("b", 5, 3)]

    def read_records(self, task: Task) -> Iterator[Any]:
        for index in range(task.start, task.end):
            yield {"index": index, "vector": np.arange(index, index + 3), "nothing": float("nan")}


class Columns(BatchDataReader):
    def create_shards(self) -> dict[str, tuple[int, int]]:
        return {"table": (100, 57)}

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        for start in range(task.start, task.end, 8):
            indices = np.arange(start, min(start + 8, task.end))
            yield {
                "number": indices,
                "matrix": np.stack([indices, -indices], axis=1).astype(np.float32),
                "name": np.array([f"{'x' * (index % 5)}{index}" for index in indices]),
            }


class WithDetails(TwoMethods):
    """Has each optional method, and reads by what they gave."""

    def version(self, shard_name: str) -> str:
        return f"{shard_name} 1"

    def locator(self, shard_name: str) -> bytes:
        return shard_name.encode()

    def natural_splits(self, shard_name: str) -> Any:
        return [10, 20]

    def sparse_index(self, shard_name: str) -> Any:
        count = self.counts[shard_name]
        records = sorted({0, min(10, count), count})
        return SparseIndex(array("q", records), array("q", (7 * record for record in records)))

    def read_records(self, task: Any) -> Iterator[Any]:
        assert task.locator == task.shard_name.encode()
        assert task.version in ("", f"{task.shard_name} 1")
        assert task.index is None or task.index.holds(task.start, task.end)
        return super().read_records(task)


class Large(TwoMethods):
    """More than can be read: counts what is."""

    counts: Mapping[str, int] = {f"shard {number:06d}": 10**12 for number in range(10_000)}
    read = 0

    def read_records(self, task: Any) -> Iterator[Any]:
        for record in super().read_records(task):
            Large.read += 1
            yield record


@pytest.mark.parametrize("make_reader", [TwoMethods, FromElsewhere, Columns, WithDetails])
def test_custom_readers(make_reader: Callable[[], DataReader]) -> None:
    check_data_reader(make_reader)


def test_only_a_bounded_part_of_a_large_data_set_is_read() -> None:
    Large.read = 0
    check_data_reader(Large)
    assert 1000 < Large.read < 200_000


# What is wrong with readers.


class TooFew(TwoMethods):
    def read_records(self, task: Any) -> Iterator[Any]:
        return itertools.islice(super().read_records(task), max(task.size - 1, 0))


class TooFewAtTheEnd(TwoMethods):
    """A source that is shorter than its shard says, in a shard of which the end matters."""

    counts: Mapping[str, int] = {"a": 5000}

    def read_records(self, task: Any) -> Iterator[Any]:
        return super().read_records(Task(task.shard_name, task.start, min(task.end, 4999)))


class TooMany(TwoMethods):
    def read_records(self, task: Any) -> Iterator[Any]:
        return itertools.chain(super().read_records(task), [b"one more"])


class EndIgnored(TwoMethods):
    """Right for a whole shard, wrong for its parts."""

    def read_records(self, task: Any) -> Iterator[Any]:
        return super().read_records(Task(task.shard_name, task.start, self.counts[task.shard_name]))


class StartIgnored(TwoMethods):
    def read_records(self, task: Any) -> Iterator[Any]:
        return super().read_records(Task(task.shard_name, 0, task.size))


class OffByOne(TwoMethods):
    """The first task is right, and each later one overlaps the one before."""

    def read_records(self, task: Any) -> Iterator[Any]:
        shift = min(task.start, 1)
        return super().read_records(Task(task.shard_name, task.start - shift, task.end - shift))


class SomethingForEmptyRange(TwoMethods):
    def read_records(self, task: Any) -> Iterator[Any]:
        return super().read_records(task) if task.size else iter([b"surprise"])


class DifferentRecordsEachTime(TwoMethods):
    def __init__(self) -> None:
        self.calls = 0

    def read_records(self, task: Any) -> Iterator[Any]:
        self.calls += 1
        return (record + b"%d" % self.calls for record in super().read_records(task))


class DifferentRecordsInEachInstance(TwoMethods):
    made = itertools.count()

    def __init__(self) -> None:
        self.number = next(self.made)

    def read_records(self, task: Any) -> Iterator[Any]:
        return (record + b"%d" % self.number for record in super().read_records(task))


class KeepsItsPlace(TwoMethods):
    """Reads on where it stopped, as long as tasks come in order; wrong when they do not."""

    def __init__(self) -> None:
        self.place: dict[str, int] = {}

    def read_records(self, task: Any) -> Iterator[Any]:
        start = self.place.get(task.shard_name, 0)
        if start >= self.counts[task.shard_name]:
            start = 0
        self.place[task.shard_name] = start + task.size
        return super().read_records(Task(task.shard_name, start, start + task.size))


class DifferentShardsEachTime(TwoMethods):
    def __init__(self) -> None:
        self.calls = 0

    def create_shards(self) -> Any:
        self.calls += 1
        return {"a": self.calls}


class DifferentShardsInEachInstance(TwoMethods):
    made = itertools.count(1)

    def __init__(self) -> None:
        self.counts = {"a": next(self.made)}


class NeedsItsShards(TwoMethods):
    """Works only in the process that created the shards."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def create_shards(self) -> Any:
        self.known = dict(self.counts)
        return self.known

    def read_records(self, task: Any) -> Iterator[Any]:
        if task.shard_name not in self.known:
            raise KeyError(task.shard_name)
        return super().read_records(task)


class Overlapping(TwoMethods):
    def create_shards(self) -> Any:
        return [("a", 0, 10), ("a", 9, 10)]


class NoRecords(TwoMethods):
    def create_shards(self) -> Any:
        return {"a": 0}


class NotATable(TwoMethods):
    def create_shards(self) -> Any:
        return "a, b and c"


class Raises(TwoMethods):
    def read_records(self, task: Any) -> Iterator[Any]:
        raise OSError("the disk is gone")


class OtherRecordsOneByOne(Columns):
    def read_records(self, task: Task) -> Iterator[Any]:
        return ((number, matrix, "?") for number, matrix, _ in super().read_records(task))


class FewerRecordsOneByOne(Columns):
    def read_records(self, task: Task) -> Iterator[Any]:
        return itertools.islice(super().read_records(task), 3)


class UnequalColumns(Columns):
    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        yield {"a": np.arange(task.size), "b": np.arange(task.size + 1)}


class VersionEachTime(WithDetails):
    calls = itertools.count()

    def version(self, shard_name: str) -> str:
        return str(next(self.calls))


class OtherSplitsElsewhere(WithDetails):
    made = itertools.count(5)

    def __init__(self) -> None:
        self.splits = [next(self.made)]

    def natural_splits(self, shard_name: str) -> Any:
        return self.splits


class SplitsThatDescend(WithDetails):
    def natural_splits(self, shard_name: str) -> Any:
        return [20, 10]


class IndexThatDescends(WithDetails):
    def sparse_index(self, shard_name: str) -> Any:
        return SparseIndex(array("q", [0, 10, 23]), array("q", [0, 100, 50]))


class IndexThatIsShort(WithDetails):
    def sparse_index(self, shard_name: str) -> Any:
        return SparseIndex(array("q", [0, 1]), array("q", [0, 7]))


class OtherRecordsWithoutIndex(WithDetails):
    def read_records(self, task: Any) -> Iterator[Any]:
        return (record + bytes(task.index is None) for record in super().read_records(task))


class NoMethod:
    def create_shards(self) -> Any:
        return {"a": 1}


class CannotBeMade(TwoMethods):
    def __init__(self) -> None:
        raise OSError("no such database")


@pytest.mark.parametrize(
    ("make_reader", "words"),
    [
        (TooFew, r"yielded 22 records instead of 23: .*'a'"),
        (TooFewAtTheEnd, r"yielded 999 records instead of 1000: records \[4000, 5000\)"),
        (TooMany, "more than the 23 records it was asked for"),
        (EndIgnored, r"more than the 1 records it was asked for: records \[0, 1\)"),
        (StartIgnored, "mixes up ranges: record 22 of shard 'a'"),
        (OffByOne, "mixes up ranges"),
        (SomethingForEmptyRange, r"more than the 0 records .* \[0, 0\)"),
        (DifferentRecordsEachTime, r"not deterministic.*record 0 of shard 'a'.*a second time"),
        (DifferentRecordsInEachInstance, "by another instance"),
        (KeepsItsPlace, "mixes up ranges"),
        (DifferentShardsEachTime, "not deterministic.*when called again"),
        (DifferentShardsInEachInstance, "not deterministic.*in another instance"),
        (NeedsItsShards, "raised KeyError"),
        (Overlapping, "overlapping ranges of shard 'a'"),
        (NoRecords, "found no records"),
        (NotATable, "'a, b and c'"),
        (Raises, "OSError: the disk is gone"),
        (OtherRecordsOneByOne, "record 100 of shard 'table'.*from read_records"),
        (FewerRecordsOneByOne, "yielded 3 records.*yielded 57"),
        (UnequalColumns, "differ in length.*'a': 57, 'b': 58"),
        (VersionEachTime, r"version\('a'\) is not deterministic: it returned '0' first, and '3'"),
        (
            OtherSplitsElsewhere,
            r"natural_splits\('a'\) .* \[5\] first, and \[6\] in another",
        ),
        (SplitsThatDescend, r"natural_splits\('a'\) returned '\[20, 10\]': splits ascend"),
        (IndexThatDescends, r"sparse_index\('a'\) does not ascend"),
        (IndexThatIsShort, r"sparse_index\('a'\) does not cover the records \[0, 23\)"),
        (OtherRecordsWithoutIndex, "when .* is read without its version and index"),
        (NoMethod, "no method read_records"),
        (CannotBeMade, "cannot be made: OSError: no such database"),
    ],
)
def test_a_broken_reader_is_told_what_is_wrong(make_reader: Any, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        check_data_reader(make_reader)
