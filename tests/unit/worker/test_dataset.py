"""From leases to batches, against a task queue in this process."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from queue_master import QueueMaster
from queue_master import make_queue as make_queue_of

from elasticdl_like.data_readers import AbstractDataReader, BatchDataReader
from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import EpochKey, Shard, Task, TaskType
from elasticdl_like.worker.blocks import Batch
from elasticdl_like.worker.dataset import BatchPipeline, make_pipeline
from elasticdl_like.worker.task_stream import TaskStream


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
    shards = [Shard("a", 0, 100), Shard("b", 0, 37)]
    return make_queue_of(shards, size, num_epochs, shuffle_seed)


def parse_batch(records, mode, metadata):
    return tf.strings.to_number(records, tf.int32)


def run_epoch(pipeline: BatchPipeline, client: QueueMaster, epoch: int) -> list[Batch]:
    """Uses every batch of an epoch up, or says that it cannot be used."""
    batches = []
    with TaskStream(client, EpochKey(TaskType.TRAINING, epoch)) as stream:
        for step, batch in enumerate(pipeline.batches(stream), start=1):
            batches.append(batch)
            if batch.problem:
                stream.fail(step, batch.intervals, batch.problem)
            else:
                stream.commit(step, batch.intervals)
    return batches


def numbers_of(batches: list[Batch]) -> list[int]:
    return np.concatenate([each.data.numpy() for each in batches if not each.problem]).tolist()


def numbers_of_pieces(batch: Batch) -> list[int]:
    """The records of a batch, in natural order, as its pieces tell."""
    numbers: list[int] = []
    for piece in batch.pieces:
        base = piece.lease.task.start + (0 if piece.lease.task.shard_name == "a" else 1000)
        numbers += range(base + piece.start_position, base + piece.end_position)
    return numbers


@pytest.mark.parametrize("shuffle_seed", [None, 3])
@pytest.mark.parametrize("minibatch_size", [1, 10, 16, 64, 1000])
def test_feed_batch_uses_every_record_of_every_epoch_once(minibatch_size, shuffle_seed):
    client = QueueMaster(make_queue(num_epochs=2, shuffle_seed=shuffle_seed))
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
    assert [entry.missing for entry in client.queue.epochs.ledger()] == [0, 0]
    assert (orders[0] == ALL_NUMBERS) == (shuffle_seed is None)
    assert (orders[0] == orders[1]) == (shuffle_seed is None)


def test_batch_holds_exactly_the_records_of_its_pieces():
    client = QueueMaster(make_queue(num_epochs=1, shuffle_seed=None))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 10, None, parse_batch)
    for batch in run_epoch(pipeline, client, 0):
        assert batch.data.numpy().tolist() == numbers_of_pieces(batch)
    pipeline.close()


def feed_shuffled(dataset, mode, metadata):
    return dataset.map(lambda record: tf.strings.to_number(record, tf.int32)).shuffle(1024)


@pytest.mark.parametrize("minibatch_size", [1, 10, 64, 1000])
def test_feed_uses_every_record_of_every_epoch_once(minibatch_size):
    client = QueueMaster(make_queue(num_epochs=2, shuffle_seed=5))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, minibatch_size, feed_shuffled, None)
    for epoch in range(2):
        batches = run_epoch(pipeline, client, epoch)
        numbers = np.concatenate([batch.data.numpy() for batch in batches]).tolist()
        assert sorted(numbers) == ALL_NUMBERS
    assert client.queue.ended


def test_feed_commits_a_lease_with_the_batch_that_takes_its_last_element():
    client = QueueMaster(make_queue(num_epochs=1, shuffle_seed=None))
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
    client = QueueMaster(make_queue(num_epochs=1))
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
    client = QueueMaster(make_queue(num_epochs=1))
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
    client = QueueMaster(make_queue(num_epochs=1, shuffle_seed=1))
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
    client = QueueMaster(make_queue(num_epochs=1, shuffle_seed=1))
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

    client = QueueMaster(make_queue(num_epochs=1))
    pipeline = make_pipeline(
        OneReader(), TaskType.TRAINING, 10, None, lambda records, mode, metadata: records[0] + 1
    )
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    assert batches[0].data.numpy().tolist() == list(range(1, 11))


BAD = {20, 21, 22, 57, 1036}


class DamagedReader(NumberReader):
    """Some records cannot be read: the batches before them can."""

    def read_record_batches(self, task):
        for batch in super().read_record_batches(task):
            for record in batch:
                if int(record) in BAD:
                    raise OSError(f"record {int(record)} is damaged")
            yield batch


class ShortReader(NumberReader):
    """Record 20 is left out."""

    def read_record_batches(self, task):
        for batch in super().read_record_batches(task):
            yield [record for record in batch if record != b"20"]


class LongReader(NumberReader):
    """A range that has record 20 in it has one too many."""

    def read_record_batches(self, task):
        yield from super().read_record_batches(task)
        if task.shard_name == "a" and task.start <= 20 < task.end:
            yield [b"21"]


class WrongTypeReader(NumberReader):
    """Some records are not bytes."""

    def read_record_batches(self, task):
        for batch in super().read_record_batches(task):
            yield [1.5 if int(record) in BAD else record for record in batch]


@pytest.mark.parametrize("shuffle_seed", [None, 3])
@pytest.mark.parametrize("style", ["feed", "feed_batch"])
@pytest.mark.parametrize(
    ("reader", "bad", "said"),
    [
        (DamagedReader(), BAD, r"OSError: record \d+ is damaged"),
        (ShortReader(), {20}, "yielded 0 records instead of 1"),
        (LongReader(), {20}, "more than the 1 records it was asked for"),
        (WrongTypeReader(), BAD, "expected bytes, found float"),
    ],
)
def test_records_that_cannot_be_read_are_found_and_all_others_used_once(
    style, reader, bad, said, shuffle_seed
):
    client = QueueMaster(make_queue(num_epochs=1, shuffle_seed=shuffle_seed))
    feed = {"feed": feed_shuffled, "feed_batch": None}[style]
    feed_batch = {"feed": None, "feed_batch": parse_batch}[style]
    pipeline = make_pipeline(reader, TaskType.TRAINING, 10, feed, feed_batch)
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    assert sorted(numbers_of(batches)) == [each for each in ALL_NUMBERS if each not in bad]
    entry = client.queue.epochs.ledger()[0]
    assert (entry.committed, entry.quarantined, entry.missing) == (137 - len(bad), len(bad), 0)
    assert client.queue.ended
    assert re.search(said, client.queue.epochs.last_unusable.problem)


@pytest.mark.parametrize("style", ["feed", "feed_batch"])
def test_a_lease_that_cannot_be_read_is_used_in_no_part(style):
    client = QueueMaster(make_queue(num_epochs=1, size=64))
    feed = {"feed": feed_shuffled, "feed_batch": None}[style]
    feed_batch = {"feed": None, "feed_batch": parse_batch}[style]
    pipeline = make_pipeline(DamagedReader(), TaskType.TRAINING, 10, feed, feed_batch)
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    # Its first readings, of seven records each, were as they should be.
    assert batches[0].data is None
    assert numbers_of_pieces(batches[0]) == [*range(64)]
    assert "is damaged" in batches[0].problem


def parse_int(records, *_):
    return tf.strings.to_number(tf.strings.regex_replace(records, "^(20|57|1036)$", "x"), tf.int32)


def parse_in_python(records, *_):
    def parse(array):
        if set(array.numpy()) & {b"20", b"57", b"1036"}:
            raise KeyError("no such record")
        return array.numpy().astype(np.int32)

    return tf.ensure_shape(tf.py_function(parse, [records], tf.int32), [None])


@pytest.mark.parametrize("shuffle_seed", [None, 3])
@pytest.mark.parametrize("minibatch_size", [1, 10, 64])
@pytest.mark.parametrize("feed_batch", [parse_int, parse_in_python])
def test_records_that_feed_batch_cannot_parse_are_found_and_all_others_used_once(
    feed_batch, minibatch_size, shuffle_seed
):
    client = QueueMaster(make_queue(num_epochs=1, shuffle_seed=shuffle_seed))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, minibatch_size, None, feed_batch)
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    assert sorted(numbers_of(batches)) == [n for n in ALL_NUMBERS if n not in (20, 57, 1036)]
    assert client.queue.epochs.ledger()[0].quarantined == 3
    assert "feed_batch failed on records" in client.queue.epochs.last_unusable.problem
    if shuffle_seed is None:
        for batch in batches:
            assert batch.problem or batch.data.numpy().tolist() == numbers_of_pieces(batch)


def feed_numbers(dataset, mode, metadata):
    return dataset.map(lambda record: tf.strings.to_number(record, tf.int32))


@pytest.mark.parametrize("feeds", [(feed_numbers, None), (None, parse_batch)])
@pytest.mark.parametrize("minibatch_size", [1, 10, 1000])
def test_batches_have_the_records_that_they_were_made_of(feeds, minibatch_size):
    client = QueueMaster(make_queue(num_epochs=1))
    pipeline = make_pipeline(
        NumberReader(),
        TaskType.TRAINING,
        minibatch_size,
        *feeds,
        in_round=True,
        keep_records=True,
    )
    batches = [batch for batch in run_epoch(pipeline, client, 0) if not batch.idle]
    pipeline.close()
    assert sorted(numbers_of(batches)) == ALL_NUMBERS
    for batch in batches:
        assert list(map(int, batch.records)) == batch.data.numpy().tolist()


def test_halves_of_a_batch_have_their_records():
    def parse(records, mode, metadata):
        numbers = parse_batch(records, mode, metadata)
        with tf.control_dependencies([tf.debugging.assert_none_equal(numbers, 13)]):
            return tf.identity(numbers)

    client = QueueMaster(make_queue(num_epochs=1))
    pipeline = make_pipeline(
        NumberReader(), TaskType.TRAINING, 10, None, parse, in_round=True, keep_records=True
    )
    batches = [batch for batch in run_epoch(pipeline, client, 0) if not batch.idle]
    pipeline.close()
    assert sorted(numbers_of(batches)) == [number for number in ALL_NUMBERS if number != 13]
    for batch in batches:
        if not batch.problem:
            assert list(map(int, batch.records)) == batch.data.numpy().tolist()


def test_a_feed_batch_that_always_fails_ends_the_epoch_all_the_same():
    client = QueueMaster(make_queue(num_epochs=1))
    pipeline = make_pipeline(
        NumberReader(),
        TaskType.TRAINING,
        10,
        None,
        lambda records, *_: tf.strings.to_number(tf.strings.join(["x", records]), tf.int32),
    )
    batches = run_epoch(pipeline, client, 0)
    pipeline.close()
    assert all(batch.problem for batch in batches)
    assert client.queue.epochs.ledger()[0].quarantined == len(ALL_NUMBERS)


def test_what_is_no_fault_of_the_records_is_an_error_of_the_model_file():
    def unfinished(records, *_):
        def fail(array):
            raise NotImplementedError("not yet")

        return tf.py_function(fail, [records], tf.int32)

    client = QueueMaster(make_queue())
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 10, None, unfinished)
    with pytest.raises(ModelDefinitionError, match=r"feed_batch failed on .*NotImplementedError"):
        run_epoch(pipeline, client, 0)
    pipeline.close()


def test_a_record_that_feed_cannot_parse_is_an_error_of_the_model_file():
    client = QueueMaster(make_queue(shuffle_seed=None))
    pipeline = make_pipeline(
        NumberReader(), TaskType.TRAINING, 10, lambda dataset, *_: dataset.map(parse_int), None
    )
    with pytest.raises(
        ModelDefinitionError, match=r"feed failed on .*records \[16, 32\) of shard 'a'.*: Invalid"
    ):
        run_epoch(pipeline, client, 0)
    pipeline.close()


def test_a_batch_without_feed_is_always_aligned():
    client = QueueMaster(make_queue(num_epochs=1))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 10, None, parse_batch)
    assert all(batch.aligned for batch in run_epoch(pipeline, client, 0))
    pipeline.close()


@pytest.mark.parametrize("minibatch_size", [1, 8, 10, 16, 1000])
def test_with_feed_a_batch_is_aligned_when_what_was_seen_is_what_was_committed(minibatch_size):
    client = QueueMaster(make_queue(num_epochs=1, shuffle_seed=2))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, minibatch_size, feed_shuffled, None)
    seen = committed = 0
    found = []
    for batch in run_epoch(pipeline, client, 0):
        seen += len(batch.data)
        committed += sum(interval.size for interval in batch.intervals)
        assert batch.aligned == (seen == committed)
        found.append(batch.aligned)
    assert found[-1]
    assert all(found) == (minibatch_size == 1000)


def test_with_feed_an_aligned_batch_comes_soon_when_it_is_asked_for():
    client = QueueMaster(make_queue(num_epochs=1, size=16))
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 11, feed_shuffled, None)
    numbers = []
    aligned_at = []
    with TaskStream(client, EpochKey(TaskType.TRAINING, 0)) as stream:
        batches = pipeline.batches(stream)
        for step, batch in enumerate(batches, start=1):
            numbers += batch.data.numpy().tolist()
            stream.commit(step, batch.intervals)
            if step == 1:
                assert not batch.aligned
                stream.align()
            elif batch.aligned:
                aligned_at.append(len(numbers))
    # Either the reading had not got to the end of the data, and there is a short batch before
    # it, or it had. All is read in both cases.
    assert sorted(numbers) == ALL_NUMBERS
    assert aligned_at[-1] == len(ALL_NUMBERS)


@pytest.mark.parametrize("style", ["feed", "feed_batch"])
def test_the_spec_of_a_batch_is_known_without_one(style):
    feed = {"feed": feed_shuffled, "feed_batch": None}[style]
    feed_batch = {"feed": None, "feed_batch": parse_batch}[style]
    pipeline = make_pipeline(NumberReader(), TaskType.TRAINING, 10, feed, feed_batch)
    assert pipeline.element_spec == tf.TensorSpec([None], tf.int32)


def test_a_feed_that_does_not_return_a_dataset_is_refused():
    with pytest.raises(ModelDefinitionError, match=r"not a tf\.data\.Dataset"):
        make_pipeline(NumberReader(), TaskType.TRAINING, 10, lambda *_: 1, None)
