from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers import BatchDataReader, RecordBatch
from elasticdl_like.data_readers.reading import (
    DataReader,
    batch_size,
    join_batches,
    list_shards,
    read_task,
    slice_batch,
)
from elasticdl_like.errors import (
    CorruptDataError,
    ReaderError,
    RecordCountError,
    ShardTableError,
)
from elasticdl_like.tasks import Shard, Task, TaskType

TASK = Task("s", 100, 110, 3, TaskType.EVALUATION)


class Numbers:
    """Records are their own indices; keeps the tasks that it was asked for."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def create_shards(self) -> Any:
        return {"b": 1, "s": (100, 5000)}

    def read_records(self, task: Task) -> Iterator[Any]:
        self.tasks.append(task)
        yield from range(task.start, task.end)


class Columns(BatchDataReader):
    def create_shards(self) -> dict[str, tuple[int, int]]:
        return {"s": (100, 5000)}

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        for start in range(task.start, task.end, 3):
            indices = np.arange(start, min(start + 3, task.end))
            yield {"index": indices, "negative": -indices}


def records(batches: Iterator[RecordBatch]) -> list[Any]:
    found: list[Any] = []
    for batch in batches:
        found.extend(zip(*batch.values(), strict=True) if isinstance(batch, dict) else batch)
    return found


def test_list_shards_normalises() -> None:
    assert list_shards(Numbers()) == (Shard("b", 0, 1), Shard("s", 100, 5000))


def test_list_shards_errors() -> None:
    class Raises(Numbers):
        def create_shards(self) -> Any:
            raise OSError("no network")

    class Bad(Numbers):
        def create_shards(self) -> Any:
            return "shards"

    class Typed(Numbers):
        def create_shards(self) -> Any:
            raise CorruptDataError("file", 7, "torn")

    with pytest.raises(ReaderError, match=r"Raises\.create_shards\(\) raised OSError: no network"):
        list_shards(Raises())
    with pytest.raises(ShardTableError, match=r"^Bad"):
        list_shards(Bad())
    with pytest.raises(CorruptDataError, match="file, at byte 7: torn"):
        list_shards(Typed())


@pytest.mark.parametrize("size", [1, 10, 2047, 2048, 2049, 4096, 5000])
def test_read_task_of_single_records(size: int) -> None:
    batches = list(read_task(Numbers(), Task("s", 100, 100 + size)))
    assert records(iter(batches)) == list(range(100, 100 + size))
    assert len(batches) == -(-size // 2048)
    assert all(batches)


def test_read_task_of_batches() -> None:
    assert records(read_task(Columns(), TASK)) == [(i, -i) for i in range(100, 110)]


def test_empty_batches_are_left_out() -> None:
    class Gaps(Columns):
        def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
            yield []
            yield [1] * task.size
            yield []

    assert list(read_task(Gaps(), TASK)) == [[1] * 10]


class WrongCount(Numbers):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def read_records(self, task: Task) -> Iterator[Any]:
        return iter(range(self.count))


class WrongBatchCount(Columns):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        yield from ([index] for index in range(self.count))


@pytest.mark.parametrize("kind", [WrongCount, WrongBatchCount])
@pytest.mark.parametrize("count", [0, 9])
def test_too_few_records(kind: Any, count: int) -> None:
    words = rf"^{kind.__name__} yielded {count} records instead of 10: records \[100, 110\) of.*'s'"
    with pytest.raises(RecordCountError, match=words):
        list(read_task(kind(count), TASK))


@pytest.mark.parametrize("kind", [WrongCount, WrongBatchCount])
@pytest.mark.parametrize("count", [11, 10_000])
def test_too_many_records_are_never_delivered(kind: Any, count: int) -> None:
    delivered: list[RecordBatch] = []
    with pytest.raises(RecordCountError, match=r"more than the 10 records.*\[100, 110\)"):
        delivered.extend(read_task(kind(count), TASK))
    assert sum(map(batch_size, delivered)) <= 10


def test_an_endless_reader_is_stopped() -> None:
    class Endless(Numbers):
        def read_records(self, task: Task) -> Iterator[Any]:
            while True:
                yield b""

    with pytest.raises(RecordCountError):
        list(read_task(Endless(), TASK))


class RaisesAtOnce(Numbers):
    """Not a generator: it raises when it is called, not when it is iterated."""

    def read_records(self, task: Task) -> Iterator[Any]:
        raise KeyError("poison")


class RaisesLater(Numbers):
    def read_records(self, task: Task) -> Iterator[Any]:
        yield 1
        raise KeyError("poison")


class BatchesRaiseAtOnce(Columns):
    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        raise KeyError("poison")


@pytest.mark.parametrize("reader", [RaisesAtOnce(), RaisesLater(), BatchesRaiseAtOnce()])
def test_an_exception_of_the_reader_names_reader_and_range(reader: DataReader) -> None:
    words = rf"{type(reader).__name__} raised KeyError: 'poison', .*\[100, 110\) of shard 's'"
    with pytest.raises(ReaderError, match=words) as caught:
        list(read_task(reader, TASK))
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_reader_that_returns_nothing_at_all() -> None:
    class ForgotToYield(Numbers):
        def read_records(self, task: Task) -> Any:
            return None

    with pytest.raises(ReaderError, match=r"ForgotToYield raised TypeError.*\[100, 110\)"):
        list(read_task(ForgotToYield(), TASK))


def test_our_own_errors_pass_as_they_are() -> None:
    class Corrupt(Numbers):
        def read_records(self, task: Task) -> Iterator[Any]:
            raise CorruptDataError("file", 7, "torn")

    with pytest.raises(CorruptDataError, match="file, at byte 7: torn"):
        list(read_task(Corrupt(), TASK))


def test_slices_and_joins() -> None:
    rows: RecordBatch = [b"a", b"b", b"c", b"d"]
    columns: RecordBatch = {"x": np.arange(4), "y": np.arange(8).reshape(4, 2)}
    assert batch_size(rows) == batch_size(columns) == 4
    assert batch_size([]) == batch_size({}) == 0
    assert slice_batch(rows, 1, 3) == [b"b", b"c"]
    part = slice_batch(columns, 1, 3)
    assert isinstance(part, dict)
    assert part["x"].tolist() == [1, 2]
    assert part["y"].tolist() == [[2, 3], [4, 5]]
    assert join_batches([slice_batch(rows, 0, 1), slice_batch(rows, 1, 4)]) == rows
    joined = join_batches([slice_batch(columns, 0, 3), slice_batch(columns, 3, 4)])
    assert isinstance(joined, dict)
    assert isinstance(columns, dict)
    for name, column in columns.items():
        np.testing.assert_array_equal(joined[name], column)


def test_columns_of_several_lengths_are_refused() -> None:
    class Uneven(Columns):
        def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
            yield {"x": np.zeros(task.size), "y": np.zeros(2 * task.size)}

    with pytest.raises(ReaderError, match=r"differ in length, {'x': 10, 'y': 20}, .* shard 's'"):
        list(read_task(Uneven(), TASK))
