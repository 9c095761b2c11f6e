"""From leases to batches, against a task queue in this process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import tensorflow as tf

from elasticdl_like.data_readers import AbstractDataReader, BatchDataReader
from elasticdl_like.errors import ModelDefinitionError, ReaderError, RecordCountError
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import Commit, EpochKey, Shard, Task, TaskType
from elasticdl_like.worker.dataset import Batch, BatchPipeline, make_pipeline
from elasticdl_like.worker.master_client import LeaseReply
from elasticdl_like.worker.task_stream import TaskStream

WORKER = 0


class QueueClient:
    """The two-way conversation with a master, without the wire."""

    def __init__(self, queue: TaskQueue) -> None:
        self.queue = queue
        self._lock = threading.Lock()

    def commit_and_lease(
        self, key: EpochKey, commits: Sequence[Commit], max_leases: int, loss: float | None
    ) -> LeaseReply:
        with self._lock:
            fenced = [each.step for each in commits if not self.queue.commit(WORKER, key, each)]
            answer, leases = self.queue.request(WORKER, key, max_leases)
        return LeaseReply(answer, leases, fenced)


class NumberReader(BatchDataReader):
    """Record i of shard `a` or `b` is the text of a number that no other record has."""

    def create_shards(self) -> dict[str, tuple[int, int]]:
        return {"a": (0, 100), "b": (0, 37)}

    def read_record_batches(self, task: Task) -> Iterator[list[bytes]]:
        base = 0 if task.shard_name == "a" else 1000
        numbers = [b"%d" % (base + index) for index in range(task.start, task.end)]
        for start in range(0, len(numbers), 7):
            yield numbers[start : start + 7]


ALL_NUMBERS = [*range(100), *range(1000, 1037)]


def make_queue(num_epochs: int = 2, shuffle_seed: int | None = None, size: int = 16) -> TaskQueue:
    table = ShardTable([Shard("a", 0, 100), Shard("b", 0, 37)], records_per_task=size)
    return TaskQueue(table, None, num_epochs, shuffle_seed)


def parse_batch(records, mode, metadata):
    return tf.strings.to_number(records, tf.int32)


def run_epoch(pipeline: BatchPipeline, client: QueueClient, epoch: int) -> list[Batch]:
    batches = []
    with TaskStream(client, EpochKey(TaskType.TRAINING, epoch)) as stream:
        for step, batch in enumerate(pipeline.batches(stream), start=1):
            batches.append(batch)
            stream.commit(step, batch.intervals)
    return batches


@pytest.mark.parametrize("shuffle_seed", [None, 3])
@pytest.mark.parametrize("minibatch_size", [1, 10, 16, 64, 1000])
def test_feed_batch_uses_every_record_of_every_epoch_once(minibatch_size, shuffle_seed):
    client = QueueClient(make_queue(num_epochs=2, shuffle_seed=shuffle_seed))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, minibatch_size, None, parse_batch)
    orders = []
    for epoch in range(2):
        batches = run_epoch(pipeline, client, epoch)
        numbers = np.concatenate([batch.data.numpy() for batch in batches]).tolist()
        assert sorted(numbers) == ALL_NUMBERS
        # All batches but the last are full, and each is made of as many records as it holds.
        assert [len(batch.data) for batch in batches[:-1]] == [minibatch_size] * (len(batches) - 1)
        for batch in batches:
            assert sum(interval.size for interval in batch.intervals) == len(batch.data)
        orders.append(numbers)
    pipeline.close()
    assert client.queue.ended
    assert [entry.missing for entry in client.queue.ledger()] == [0, 0]
    assert (orders[0] == ALL_NUMBERS) == (shuffle_seed is None)
    assert (orders[0] == orders[1]) == (shuffle_seed is None)


def test_batch_holds_exactly_the_records_of_its_pieces():
    client = QueueClient(make_queue(num_epochs=1, shuffle_seed=None))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 10, None, parse_batch)
    for batch in run_epoch(pipeline, client, 0):
        expected = []
        for piece in batch.pieces:
            base = piece.lease.task.start + (0 if piece.lease.task.shard_name == "a" else 1000)
            expected += range(base + piece.start_position, base + piece.end_position)
        assert batch.data.numpy().tolist() == expected
    pipeline.close()


def feed_shuffled(dataset, mode, metadata):
    return dataset.map(lambda record: tf.strings.to_number(record, tf.int32)).shuffle(1024)


@pytest.mark.parametrize("minibatch_size", [1, 10, 64, 1000])
def test_feed_uses_every_record_of_every_epoch_once(minibatch_size):
    client = QueueClient(make_queue(num_epochs=2, shuffle_seed=5))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, minibatch_size, feed_shuffled, None)
    for epoch in range(2):
        batches = run_epoch(pipeline, client, epoch)
        numbers = np.concatenate([batch.data.numpy() for batch in batches]).tolist()
        assert sorted(numbers) == ALL_NUMBERS
    assert client.queue.ended


def test_feed_commits_a_lease_with_the_batch_that_takes_its_last_element():
    client = QueueClient(make_queue(num_epochs=1, shuffle_seed=None))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 10, feed_shuffled, None)
    seen: Counter[str] = Counter()
    committed: Counter[str] = Counter()
    for batch in run_epoch(pipeline, client, 0):
        for number in batch.data.numpy().tolist():
            seen["a" if number < 1000 else "b"] += 1
        for piece in batch.pieces:
            committed[piece.lease.task.shard_name] += piece.interval.size
        # What is committed has been seen; what is not is less than a task and a batch away.
        for shard in ("a", "b"):
            assert committed[shard] <= seen[shard] < committed[shard] + 16 + 1
    assert committed == {"a": 100, "b": 37}


def test_feed_that_filters_everything_uses_the_records_up_without_a_step():
    client = QueueClient(make_queue(num_epochs=1))
    pipeline = make_pipeline(
        NumberReader(),
        TaskType.TRAINING,
        10,
        lambda dataset, mode, metadata: dataset.filter(lambda record: record == b"1020"),
        None,
    )
    batches = run_epoch(pipeline, client, 0)
    assert [batch.data.numpy().tolist() for batch in batches if batch.data is not None] == [
        [b"1020"]
    ]
    assert client.queue.ended


def test_feed_that_repeats_sees_each_record_as_often_as_it_says():
    client = QueueClient(make_queue(num_epochs=1))
    pipeline = make_pipeline(
        NumberReader(),
        TaskType.TRAINING,
        10,
        lambda dataset, mode, metadata: dataset.repeat(2),
        None,
    )
    batches = run_epoch(pipeline, client, 0)
    counts = Counter(np.concatenate([batch.data.numpy() for batch in batches]).tolist())
    assert counts == {b"%d" % number: 2 for number in ALL_NUMBERS}


class TupleReader(AbstractDataReader):
    """A reader of two methods, whose records are tuples."""

    records_output_types = (tf.int64, tf.string)

    def create_shards(self):
        return {"a": 100, "b": 37}

    def read_records(self, task):
        for index in range(task.start, task.end):
            yield index, task.shard_name


def test_reader_of_two_methods_with_tuples():
    client = QueueClient(make_queue(num_epochs=1, shuffle_seed=1))
    pipeline = make_pipeline(
        TupleReader(), TaskType.TRAINING, 10, None, lambda records, mode, metadata: records
    )
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    pairs = [
        pair
        for batch in batches
        for pair in zip(batch.data[0].numpy().tolist(), batch.data[1].numpy().tolist(), strict=True)
    ]
    expected = [(i, b"a") for i in range(100)] + [(i, b"b") for i in range(37)]
    assert sorted(pairs) == sorted(expected)


class ColumnReader(BatchDataReader):
    output_signature = {"x": "float32", "vector": tf.TensorSpec([2], tf.int64)}  # noqa: RUF012

    def create_shards(self):
        return {"a": 100, "b": 37}

    def read_record_batches(self, task):
        x = np.arange(task.start, task.end, dtype=np.float32)
        yield {"x": x, "vector": np.stack([x, -x], axis=1).astype(np.int64)}


def test_reader_of_columns():
    client = QueueClient(make_queue(num_epochs=1, shuffle_seed=1))
    pipeline = make_pipeline(
        ColumnReader(), TaskType.TRAINING, 10, None, lambda records, mode, metadata: records
    )
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    assert {batch.data["vector"].shape[1] for batch in batches} == {2}
    for batch in batches:
        np.testing.assert_array_equal(batch.data["x"], batch.data["vector"][:, 0])
    x = np.concatenate([batch.data["x"] for batch in batches])
    assert sorted(x) == sorted([*range(100), *range(37)])


def test_a_tuple_of_one_stays_a_tuple():
    class OneReader(TupleReader):
        records_output_types = (tf.int64,)

        def read_records(self, task):
            return ((index,) for index in range(task.start, task.end))

    client = QueueClient(make_queue(num_epochs=1))
    pipeline = make_pipeline(
        OneReader(), TaskType.TRAINING, 10, None, lambda records, mode, metadata: records[0] + 1
    )
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    assert batches[0].data.numpy().tolist() == list(range(1, 11))


class ShortReader(NumberReader):
    def read_record_batches(self, task):
        yield [b"1"] * (task.size - 1)


class RaisingReader(NumberReader):
    def read_record_batches(self, task):
        raise RuntimeError("the service is gone")
        yield


class WrongTypeReader(NumberReader):
    def read_record_batches(self, task):
        yield [1.5] * task.size


@pytest.mark.parametrize("style", ["feed", "feed_batch"])
@pytest.mark.parametrize(
    ("reader", "error", "said"),
    [
        (ShortReader(), RecordCountError, "15 records instead of 16"),
        (RaisingReader(), ReaderError, "RuntimeError: the service is gone"),
        (WrongTypeReader(), ReaderError, "expected bytes, found float"),
    ],
)
def test_errors_of_the_reader_come_out_as_they_are(style, reader, error, said):
    client = QueueClient(make_queue())
    feed = {"feed": feed_shuffled, "feed_batch": None}[style]
    feed_batch = {"feed": None, "feed_batch": parse_batch}[style]
    pipeline = make_pipeline(reader, TaskType.TRAINING, 10, feed, feed_batch)
    with pytest.raises(error, match=said):
        run_epoch(pipeline, client, 0)
    pipeline.close()


@pytest.mark.parametrize("style", ["feed", "feed_batch"])
def test_a_record_that_cannot_be_parsed_is_an_error_of_the_model_file(style):
    def parse(records, *_):
        return tf.io.decode_raw(tf.strings.join(["x", records]), tf.int64)

    client = QueueClient(make_queue())
    feed = {"feed": lambda dataset, *_: dataset.map(parse), "feed_batch": None}[style]
    feed_batch = {"feed": None, "feed_batch": parse}[style]
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 10, feed, feed_batch)
    with pytest.raises(ModelDefinitionError, match=style):
        run_epoch(pipeline, client, 0)
    pipeline.close()


def test_a_feed_that_does_not_return_a_dataset_is_refused():
    with pytest.raises(ModelDefinitionError, match=r"not a tf\.data\.Dataset"):
        make_pipeline(NumberReader(), TaskType.TRAINING, 10, lambda *_: 1, None)
