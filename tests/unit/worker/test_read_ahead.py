"""Leases read ahead, several at once, against a task queue in this process."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from queue_master import QueueMaster, make_queue

from elasticdl_like.data_readers import BatchDataReader
from elasticdl_like.data_readers.reading import list_shards
from elasticdl_like.data_readers.recordio import Compressor, RecordIODataReader, RecordIOWriter
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.tasks import EpochKey, Interval, Lease, Shard, Task, TaskType
from elasticdl_like.worker.dataset import make_pipeline
from elasticdl_like.worker.element_iterator import element_iterator
from elasticdl_like.worker.read_ahead import ReadAhead, ReadLease, parts
from elasticdl_like.worker.task_stream import TaskStream

RECORDS = 640
TASK = 16
KEY = EpochKey(TaskType.TRAINING, 0)


class SlowReader(BatchDataReader):
    """Numbers from a storage that is slow enough for threads, and knows who reads at once."""

    reads_in_parallel = True

    def __init__(self, damaged: int = -1) -> None:
        super().__init__()
        self.damaged = damaged
        self.lock = threading.Lock()
        self.reading = 0
        self.most_reading = 0
        self.threads: set[str] = set()

    def create_shards(self) -> dict[str, tuple[int, int]]:
        return {"a": (0, RECORDS)}

    def read_record_batches(self, task: Task) -> Iterator[list[bytes]]:
        with self.lock:
            self.reading += 1
            self.most_reading = max(self.most_reading, self.reading)
            self.threads.add(threading.current_thread().name)
        time.sleep(0.005)
        try:
            if task.start <= self.damaged < task.end:
                raise CorruptDataError("a", self.damaged, "is damaged")
            yield [b"%d" % index for index in range(task.start, task.end)]
        finally:
            with self.lock:
                self.reading -= 1


class OneAtATime(SlowReader):
    reads_in_parallel = False


def new_queue(num_epochs: int = 1) -> QueueMaster:
    return QueueMaster(make_queue([Shard("a", 0, RECORDS)], TASK, num_epochs))


def read_all(ahead: ReadAhead, client: QueueMaster, key: EpochKey = KEY) -> list[int]:
    """Uses up an epoch, and returns its records in the order that they came in."""
    numbers: list[int] = []
    with TaskStream(client, key) as stream:
        for event in ahead.events(stream):
            if isinstance(event, ReadLease):
                lease = event.lease
                records = [int(record) for batch in event.batches for record in batch]
                assert records == [*range(lease.task.start, lease.task.end)]
                numbers += records
                used = Interval(lease.token, lease.start_position, lease.end_position)
                stream.commit(1, [used])
    return numbers


def test_a_slow_source_is_read_by_several_threads_and_comes_in_order() -> None:
    reader = SlowReader()
    ahead = ReadAhead(reader, max_threads=3)
    assert read_all(ahead, new_queue()) == [*range(RECORDS)]
    ahead.close()
    assert 1 < reader.most_reading <= 3


def test_a_reader_that_cannot_is_read_by_the_caller_alone() -> None:
    reader = OneAtATime()
    ahead = ReadAhead(reader, max_threads=3)
    assert read_all(ahead, new_queue()) == [*range(RECORDS)]
    ahead.close()
    assert reader.most_reading == 1
    assert reader.threads == {threading.current_thread().name}


def test_no_more_is_read_ahead_than_asked_for() -> None:
    reader = SlowReader()
    ahead = ReadAhead(reader, max_threads=3, max_bytes=1)
    assert read_all(ahead, new_queue()) == [*range(RECORDS)]
    ahead.close()
    assert reader.most_reading == 1


def test_another_epoch_after_one_that_was_left_in_the_middle() -> None:
    ahead = ReadAhead(SlowReader(), max_threads=2)
    for left_after in (1, 5):
        with TaskStream(new_queue(), KEY) as stream:
            for number, event in enumerate(ahead.events(stream)):
                assert isinstance(event, ReadLease)
                if number == left_after:
                    break
    assert read_all(ahead, new_queue()) == [*range(RECORDS)]
    ahead.close()


def test_nothing_is_forgotten_when_it_is_called_again() -> None:
    client = new_queue()
    ahead = ReadAhead(SlowReader(), max_threads=2)
    starts: list[int] = []
    with TaskStream(client, KEY) as stream:
        while len(starts) < RECORDS // TASK:
            for event in ahead.events(stream):
                if isinstance(event, ReadLease):
                    starts.append(event.lease.task.start)
                break
    ahead.close()
    assert starts == [*range(0, RECORDS, TASK)]


@pytest.mark.parametrize("style", ["feed", "feed_batch"])
def test_a_record_that_cannot_be_read_is_found_among_leases_that_are_read_at_once(style) -> None:
    def parse(records, *_):
        return tf.strings.to_number(records, tf.int32)

    def feed(dataset, *_):
        return dataset.map(parse)

    client = new_queue()
    pipeline = make_pipeline(
        SlowReader(damaged=333),
        TaskType.TRAINING,
        10,
        feed if style == "feed" else None,
        parse if style == "feed_batch" else None,
        read_threads=4,
    )
    numbers: list[int] = []
    with TaskStream(client, KEY) as stream:
        for step, batch in enumerate(pipeline.batches(stream), start=1):
            if batch.problem:
                stream.fail(step, batch.intervals, batch.problem)
            else:
                numbers += batch.data.numpy().tolist()
                stream.commit(step, batch.intervals)
    pipeline.close()
    assert sorted(numbers) == [number for number in range(RECORDS) if number != 333]
    entry = client.queue.epochs.ledger()[0]
    assert (entry.committed, entry.quarantined, entry.missing) == (RECORDS - 1, 1, 0)


# A large lease in parts.

LARGE_RECORD_BYTES = 100_000
LARGE_RECORDS = 120


def large_record(number: int) -> bytes:
    return b"%08d" % number * (LARGE_RECORD_BYTES // 8)


@pytest.fixture
def large_shard(tmp_path: Path) -> Shard:
    """A file of 12 MB, whose records have a chunk each."""
    path = tmp_path / "large"
    with RecordIOWriter(path, compressor=Compressor.NONE, max_chunk_bytes=1) as writer:
        for number in range(LARGE_RECORDS):
            writer.write(large_record(number))
    (shard,) = list_shards(RecordIODataReader(data_origin=str(path)))
    return shard


def lease_of(shard: Shard, start: int, end: int, order_key: int | None = None) -> Lease:
    task = Task(shard.name, 10, 100, version=shard.version, index=shard.index)
    return Lease(7, task, start, end, order_key)


@pytest.mark.parametrize(("start", "end"), [(0, 90), (3, 77), (40, 41)])
def test_the_parts_of_a_lease_are_the_lease(large_shard: Shard, start: int, end: int) -> None:
    lease = lease_of(large_shard, start, end)
    edges = [start]
    for part in parts(lease):
        assert (part.token, part.task, part.start_position) == (7, lease.task, edges[-1])
        edges.append(part.end_position)
    assert edges[-1] == end
    # Of 2 MiB, but for the last.
    assert [last - first for first, last in itertools.pairwise(edges)][:-1] == [
        21 for _ in range((end - start - 1) // 21)
    ]


def test_what_is_small_or_in_random_order_has_no_parts(large_shard: Shard) -> None:
    for lease in (
        lease_of(large_shard, 5, 20),
        lease_of(large_shard, 0, 90, order_key=3),
        Lease(7, Task("a", 0, 1 << 30), 0, 1 << 30),
    ):
        assert parts(lease) == [lease]


@pytest.mark.parametrize("damaged", [None, 0, 57, 119])
@pytest.mark.parametrize("minibatch_size", [1, 16, 64])
def test_only_the_damaged_part_of_a_large_lease_is_read_again(
    large_shard: Shard, damaged: int | None, minibatch_size: int
) -> None:
    """Commits of a lease count in the order of its positions, so that no part may come early."""
    path = Path(large_shard.name)
    if damaged is not None:
        body = bytearray(path.read_bytes())
        body[len(body) * damaged // LARGE_RECORDS + LARGE_RECORD_BYTES // 2] ^= 1
        status = path.stat()
        path.write_bytes(body)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    client = QueueMaster(make_queue([large_shard], LARGE_RECORDS))
    pipeline = make_pipeline(
        RecordIODataReader(data_origin=str(path)),
        TaskType.TRAINING,
        minibatch_size,
        None,
        lambda records, *_: records,
    )
    found: list[bytes] = []
    failed: list[int] = []
    with TaskStream(client, KEY) as stream:
        for step, batch in enumerate(pipeline.batches(stream), start=1):
            if batch.problem:
                failed.append(sum(interval.size for interval in batch.intervals))
                stream.fail(step, batch.intervals, batch.problem)
            else:
                found += batch.data.numpy().tolist()
                assert len(batch.pieces) == 1 or damaged is not None
                stream.commit(step, batch.intervals)
    pipeline.close()
    numbers = [number for number in range(LARGE_RECORDS) if number != damaged]
    assert sorted(found) == [large_record(number) for number in numbers]
    entry = client.queue.epochs.ledger()[0]
    lost = LARGE_RECORDS - len(numbers)
    assert (entry.committed, entry.quarantined, entry.missing) == (len(numbers), lost, 0)
    assert entry.reports_fenced == 0
    assert max(failed, default=0) <= 21


# Iterating.


class Pair(NamedTuple):
    features: object
    label: object


@pytest.mark.parametrize(
    "element",
    [
        np.arange(3),
        {"a": np.arange(3), "b": (np.ones(3), np.array([b"x", b"", b"\0"]))},
        {"b": {"d": np.arange(3), "c": np.ones(3)}, "a": (np.zeros(2), (), np.arange(4))},
        {"pair": Pair(np.arange(3), {"b": np.ones(3), "a": np.zeros(2)}), "last": np.arange(4)},
        (np.arange(3),),
    ],
)
def test_elements_are_those_of_the_dataset(element) -> None:
    dataset = tf.data.Dataset.from_tensors(element).repeat(3)
    found, expected = list(element_iterator(dataset)), list(dataset)
    assert len(found) == 3
    for ours, theirs in zip(found, expected, strict=True):
        tf.nest.assert_same_structure(ours, theirs)
        for left, right in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True):
            assert left.dtype == right.dtype
            assert left.numpy().tolist() == right.numpy().tolist()


def test_sparse_and_ragged_elements() -> None:
    dataset = tf.data.Dataset.from_tensors(
        {"ragged": tf.ragged.constant([[1], [], [2, 3]]), "sparse": tf.sparse.eye(2)}
    )
    (element,) = element_iterator(dataset)
    assert element["ragged"].to_list() == [[1], [], [2, 3]]
    assert tf.sparse.to_dense(element["sparse"]).numpy().tolist() == [[1, 0], [0, 1]]


def test_after_an_error_the_next_element_comes() -> None:
    dataset = tf.data.Dataset.range(3).map(lambda x: 6 // tf.cast(x - 1, tf.int32))
    iterator = element_iterator(dataset)
    assert int(next(iterator)) == -6
    with pytest.raises(tf.errors.InvalidArgumentError):
        next(iterator)
    assert int(next(iterator)) == 6
    assert next(iterator, None) is None


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_strings_of_any_length_get_through(size: int) -> None:
    """Short ones go as a message, long ones as an array, and both can be in one epoch."""

    class Strings(SlowReader):
        def read_record_batches(self, task: Task) -> Iterator[list[bytes]]:
            for records in super().read_record_batches(task):
                yield [record + b"\0" * (size * (task.start // 128 % 2)) for record in records]

    client = new_queue()
    pipeline = make_pipeline(Strings(), TaskType.TRAINING, 10, None, lambda records, *_: records)
    found: list[bytes] = []
    with TaskStream(client, KEY) as stream:
        for step, batch in enumerate(pipeline.batches(stream), start=1):
            found += batch.data.numpy().tolist()
            stream.commit(step, batch.intervals)
    pipeline.close()
    assert [int(record.rstrip(b"\0")) for record in found] == [*range(RECORDS)]
    assert {record.count(b"\0") for record in found} == {0, size}
