from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers import AbstractDataReader, BatchDataReader, RecordBatch
from elasticdl_like.data_readers.lease_reader import LeaseReader
from elasticdl_like.errors import CorruptDataError, RecordCountError
from elasticdl_like.ordering import position_order
from elasticdl_like.tasks import Lease, Task, TaskType

TASK = Task("s", 100, 110, 3, TaskType.EVALUATION, version="v", locator=b"l")
PARTS = [(0, 10), (0, 1), (9, 10), (3, 8)]


class Numbers(AbstractDataReader):
    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[Task] = []

    def create_shards(self) -> Any:
        return {"s": (100, 10)}

    def read_records(self, task: Task) -> Iterator[int]:
        self.tasks.append(task)
        yield from range(task.start, task.end)


class Columns(BatchDataReader):
    def create_shards(self) -> Any:
        return {"s": (100, 10)}

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        for start in range(task.start, task.end, 3):
            index = np.arange(start, min(start + 3, task.end))
            yield {"index": index, "negative": -index}


def read(reader: LeaseReader, start: int, end: int, key: int | None = None) -> list[Any]:
    found: list[Any] = []
    for batch in reader.read(Lease(1, TASK, start, end, key)):
        found += zip(*batch.values(), strict=True) if isinstance(batch, dict) else batch
    return found


@pytest.mark.parametrize(("start", "end"), PARTS)
def test_in_natural_order_a_lease_is_a_range(start: int, end: int) -> None:
    reader = Numbers()
    assert read(LeaseReader(reader), start, end) == list(range(100 + start, 100 + end))
    assert reader.tasks == [TASK.part(100 + start, 100 + end)]
    assert (reader.tasks[0].epoch, reader.tasks[0].version, reader.tasks[0].locator) == (
        3,
        "v",
        b"l",
    )


@pytest.mark.parametrize(("start", "end"), PARTS)
@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_in_random_order_a_lease_is_in_the_order_of_its_positions(
    start: int, end: int, key: int
) -> None:
    expected = (100 + position_order(10, key)[start:end]).tolist()
    assert read(LeaseReader(Numbers()), start, end, key) == expected
    assert read(LeaseReader(Columns()), start, end, key) == [(each, -each) for each in expected]


def test_the_parts_of_a_task_are_the_whole_and_it_is_read_once() -> None:
    whole = read(LeaseReader(Numbers()), 0, 10, 77)
    assert sorted(whole) == list(range(100, 110)) != whole
    reader = Numbers()
    parts = LeaseReader(reader)
    assert [each for part in ((0, 4), (4, 5), (5, 10)) for each in read(parts, *part, 77)] == whole
    assert reader.tasks == [TASK]


def test_threads_that_need_the_same_task_read_it_once() -> None:
    class Waits(Numbers):
        begun, may_end = threading.Event(), threading.Event()

        def read_records(self, task: Task) -> Iterator[int]:
            self.begun.set()
            assert self.may_end.wait(20)
            yield from super().read_records(task)

    reader = Waits()
    parts = LeaseReader(reader)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(read, parts, 0, 4, 5)
        assert reader.begun.wait(20)
        second = threads.submit(read, parts, 4, 10, 5)
        reader.may_end.set()
        both = first.result() + second.result()
    assert both == (100 + position_order(10, 5)).tolist()
    assert reader.tasks == [TASK]


def test_what_cannot_be_read_is_tried_again() -> None:
    class OnceTorn(Numbers):
        def read_records(self, task: Task) -> Iterator[int]:
            if not self.tasks:
                self.tasks.append(task)
                raise CorruptDataError("file", 7, "torn")
            yield from super().read_records(task)

    parts = LeaseReader(OnceTorn())
    with pytest.raises(CorruptDataError, match="torn"):
        read(parts, 0, 4, 5)
    assert read(parts, 0, 4, 5) == (100 + position_order(10, 5)[:4]).tolist()


def test_the_records_are_counted() -> None:
    class TooFew(Numbers):
        def read_records(self, task: Task) -> Iterator[int]:
            yield from range(task.start, task.end - 1)

    for key in (None, 1):
        with pytest.raises(RecordCountError):
            read(LeaseReader(TooFew()), 0, 10, key)
