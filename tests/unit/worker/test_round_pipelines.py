"""Batches for a round: none spans what it must not, and nobody waits for data that is not there."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import tensorflow as tf
from queue_master import WORKER, QueueMaster, make_queue

from elasticdl_like.data_readers import BatchDataReader
from elasticdl_like.errors import CorruptDataError, MasterLostError
from elasticdl_like.tasks import (
    Commit,
    EpochKey,
    Interval,
    LeaseRequest,
    Shard,
    Task,
    TaskType,
)
from elasticdl_like.worker.blocks import IDLE, Batch
from elasticdl_like.worker.dataset import BatchPipeline, make_pipeline
from elasticdl_like.worker.task_stream import TaskStream

RECORDS = 137
TASK = 32
TIMEOUT_S = 20.0
STYLES = ("feed", "feed_batch")


def key(epoch: int = 0) -> EpochKey:
    return EpochKey(TaskType.TRAINING, epoch)


class Numbers(BatchDataReader):
    """Record i is the text of i. Reading can be held up, and can fail."""

    reads_in_parallel = True

    def __init__(self, damaged: frozenset[int] = frozenset()) -> None:
        super().__init__()
        self.damaged = damaged
        self.may_read = threading.Event()
        self.may_read.set()
        self.is_reading = threading.Event()

    def create_shards(self) -> dict[str, tuple[int, int]]:
        return {"a": (0, RECORDS)}

    def read_record_batches(self, task: Task) -> Iterator[list[bytes]]:
        self.is_reading.set()
        assert self.may_read.wait(TIMEOUT_S)
        numbers = range(task.start, task.end)
        if not self.damaged.isdisjoint(numbers):
            raise CorruptDataError("a", task.start, "is damaged")
        yield [b"%d" % number for number in numbers]


def master(num_epochs: int = 1, shuffle_seed: int | None = None) -> QueueMaster:
    return QueueMaster(make_queue([Shard("a", 0, RECORDS)], TASK, num_epochs, shuffle_seed))


def to_numbers(records, *_):
    return tf.strings.to_number(records, tf.int32)


def feed_numbers(dataset, *_):
    return dataset.map(to_numbers, num_parallel_calls=tf.data.AUTOTUNE)


def round_pipeline(
    style: str, reader: Numbers | None = None, feed=feed_numbers, in_round: bool = True
) -> BatchPipeline:
    return make_pipeline(
        reader or Numbers(),
        TaskType.TRAINING,
        10,
        feed if style == "feed" else None,
        to_numbers if style == "feed_batch" else None,
        in_round=in_round,
    )


def use(stream: TaskStream, step: int, batch: Batch) -> None:
    if batch.problem:
        stream.fail(step, batch.intervals, batch.problem)
    else:
        stream.commit(step, batch.intervals)


def run_epoch(pipeline: BatchPipeline, client: QueueMaster, epoch: int = 0) -> list[Batch]:
    """Uses up an epoch; returns its batches without the idle ones."""
    used = []
    with TaskStream(client, key(epoch)) as stream:
        for step, batch in enumerate(pipeline.batches(stream), start=1):
            if not batch.idle:
                use(stream, step, batch)
                used.append(batch)
    return used


def numbers_of(batches: list[Batch]) -> list[int]:
    return [int(each) for batch in batches if batch.data is not None for each in batch.data]


def numbers_of_pieces(batch: Batch) -> list[int]:
    """The records of a batch that is not shuffled, as its pieces tell."""
    return [
        piece.lease.task.start + position
        for piece in batch.pieces
        for position in range(piece.start_position, piece.end_position)
    ]


def until_idle(batches: Iterator[Batch]) -> list[Batch]:
    """Takes the batches before the first idle one, and that one."""
    taken = [*itertools.takewhile(lambda batch: not batch.idle, batches)]
    assert all(batch.pieces for batch in taken)
    return taken


def until_not_idle(batches: Iterator[Batch]) -> Batch | None:
    return next((batch for batch in batches if not batch.idle), None)


def first_batch(batches: Iterator[Batch], reader: Numbers) -> Batch:
    """Takes batches until there is a real one, and checks that none is idle while it is read."""
    while True:
        is_reading = reader.is_reading.is_set()
        batch = next(batches)
        if not batch.idle:
            return batch
        assert not is_reading


@pytest.mark.parametrize("shuffle_seed", [None, 3])
@pytest.mark.parametrize("style", STYLES)
def test_every_record_of_every_epoch_is_used_once(style, shuffle_seed):
    client = master(num_epochs=2, shuffle_seed=shuffle_seed)
    pipeline = round_pipeline(style)
    for epoch in range(2):
        batches = run_epoch(pipeline, client, epoch)
        assert sorted(numbers_of(batches)) == [*range(RECORDS)]
        assert all(batch.aligned for batch in batches)
    pipeline.close()
    assert client.queue.ended


@pytest.mark.parametrize("style", STYLES)
def test_while_there_is_nothing_to_lease_a_member_is_idle_and_does_not_wait(style):
    client = master()
    pipeline = round_pipeline(style)
    with TaskStream(client, key()) as stream:
        batches = pipeline.batches(stream)
        taken = until_idle(batches)
        # All of it, the last and smaller batch too: the epoch could not end without.
        assert sorted(numbers_of(taken)) == [*range(RECORDS)]
        assert [next(batches) for _ in range(50)] == [IDLE] * 50
        for step, batch in enumerate(taken, start=1):
            stream.commit(step, batch.intervals)
        assert until_not_idle(batches) is None
    pipeline.close()
    assert client.queue.ended


@pytest.mark.parametrize("style", STYLES)
def test_it_goes_on_when_there_are_leases_again_and_does_not_take_reading_for_idleness(style):
    client = master()
    reader = Numbers()
    pipeline = round_pipeline(style, reader)
    with TaskStream(client, key()) as stream, ThreadPoolExecutor() as threads:
        batches = pipeline.batches(stream)
        for _ in range(3):  # each time anew
            until_idle(batches)
            reader.may_read.clear()
            reader.is_reading.clear()
            with client.changed:
                client.queue.take_back(WORKER, lost=True)
            asked = threads.submit(first_batch, batches, reader)
            assert reader.is_reading.wait(TIMEOUT_S)
            with pytest.raises(TimeoutError):
                asked.result(timeout=0.1)
            reader.may_read.set()
            first = asked.result(TIMEOUT_S)
        taken = [first, *until_idle(batches)]
        assert sorted(numbers_of(taken)) == [*range(RECORDS)]
        for step, batch in enumerate(taken, start=1):
            stream.commit(step, batch.intervals)
        assert until_not_idle(batches) is None
    pipeline.close()
    assert client.queue.ended


@pytest.mark.parametrize("style", STYLES)
def test_a_member_that_never_gets_a_lease_is_idle_from_the_beginning_to_the_end(style):
    client = master()
    request = LeaseRequest(WORKER + 1, "life", 1, key(), [], RECORDS)
    _, leases = client.queue.request(request)
    pipeline = round_pipeline(style)
    with TaskStream(client, key()) as stream:
        batches = pipeline.batches(stream)
        assert until_idle(batches) == []
        used = [Interval(lease.token, lease.start_position, lease.end_position) for lease in leases]
        with client.changed:
            client.queue.commit(WORKER + 1, key(), Commit(1, used))
        assert until_not_idle(batches) is None
    pipeline.close()
    assert client.queue.ended


@pytest.mark.parametrize("style", STYLES)
def test_alignment_is_no_idleness(style):
    client = master()
    pipeline = round_pipeline(style)
    used = []
    with TaskStream(client, key()) as stream:
        for step, batch in enumerate(pipeline.batches(stream), start=1):
            if not batch.idle:
                stream.align()
                use(stream, step, batch)
                used.append(batch)
            else:
                # Only for the answer to the last commits.
                assert sum(interval.size for each in used for interval in each.intervals) == RECORDS
    pipeline.close()
    assert sorted(numbers_of(used)) == [*range(RECORDS)]


@pytest.mark.parametrize("style", STYLES)
def test_an_error_of_the_stream_is_not_taken_for_idleness(style):
    client = master()
    pipeline = round_pipeline(style)

    def lose_master(*args, **kwargs):
        raise MasterLostError("gone")

    with pytest.raises(MasterLostError), TaskStream(client, key()) as stream:  # noqa: PT012
        batches = pipeline.batches(stream)
        until_idle(batches)
        client.commit_and_lease = lose_master
        until_not_idle(batches)
    pipeline.close()


@pytest.mark.parametrize("style", STYLES)
def test_closing_the_stream_ends_idleness(style):
    client = master()
    pipeline = round_pipeline(style)
    stream = TaskStream(client, key())
    with stream:
        batches = pipeline.batches(stream)
        until_idle(batches)
        stream.close()
        assert until_not_idle(batches) is None
    pipeline.close()


def test_with_feed_a_batch_is_a_part_of_one_lease():
    batches = run_epoch(pipeline := round_pipeline("feed"), master())
    pipeline.close()
    for batch in batches:
        [piece] = batch.pieces
        assert numbers_of([batch]) == numbers_of_pieces(batch)
        assert piece.start_position % 10 == 0
    assert [len(batch.data) for batch in batches] == [10, 10, 10, 2] * 4 + [9]
    assert pipeline.element_spec == tf.TensorSpec([None], tf.int32)


def test_with_feed_a_batch_is_what_feed_makes_of_its_part():
    def feed(dataset, *_):
        # Of [0, 10) nothing is left, of the others 2 of each number below 20 or above 100.
        return (
            feed_numbers(dataset)
            .filter(lambda number: number >= 10 and (number < 20 or number >= 100))
            .repeat(2)
            .shuffle(100)
        )

    client = master()
    pipeline = round_pipeline("feed", feed=feed)
    batches = run_epoch(pipeline, client)
    pipeline.close()
    kept = [*range(10, 20), *range(100, RECORDS)]
    assert Counter(numbers_of(batches)) == Counter(kept + kept)
    for batch in batches:
        theirs = [number for number in numbers_of_pieces(batch) if number in kept]
        assert (batch.data is None) == (not theirs)
        if theirs:
            assert len(batch.pieces) == 1
            assert Counter(numbers_of([batch])) == Counter(theirs + theirs)
    assert client.queue.ended


def test_with_feed_that_leaves_nothing_all_is_used_up_and_the_epoch_ends():
    client = master()
    pipeline = round_pipeline("feed", feed=lambda dataset, *_: dataset.filter(lambda _: False))
    batches = run_epoch(pipeline, client)
    pipeline.close()
    assert [batch.data for batch in batches] == [None] * len(batches)
    assert client.queue.epochs.ledger()[0].committed == RECORDS


@pytest.mark.parametrize("style", STYLES)
def test_records_that_cannot_be_read_are_found_and_all_others_used_once(style):
    damaged = frozenset({0, 31, 32, 136})
    client = master(shuffle_seed=3)
    pipeline = round_pipeline(style, Numbers(damaged))
    batches = run_epoch(pipeline, client)
    pipeline.close()
    assert sorted(numbers_of(batches)) == [each for each in range(RECORDS) if each not in damaged]
    entry = client.queue.epochs.ledger()[0]
    assert (entry.quarantined, entry.missing) == (len(damaged), 0)


@pytest.mark.parametrize("in_round", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_what_is_read_ahead_of_a_lease_that_cannot_be_read_is_used_as_well(style, in_round):
    class Slow(Numbers):
        def read_record_batches(self, task):
            time.sleep(0.005)  # for reading ahead; nothing is gained by splitting a task of one
            yield from super().read_record_batches(task)

    damaged = frozenset(range(1, 60, 2))
    client = QueueMaster(make_queue([Shard("a", 0, 60)], 1))
    pipeline = round_pipeline(style, Slow(damaged), in_round=in_round)
    batches = run_epoch(pipeline, client)
    pipeline.close()
    assert sorted(numbers_of(batches)) == [*range(0, 60, 2)]
    assert client.queue.epochs.ledger()[0].quarantined == len(damaged)
