"""What the benchmarks of training share: records, a worker of a master process, epochs of it."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from masters import locator, running_master

from elasticdl_like.config import JobConfig
from elasticdl_like.data_readers.reading import DataReader
from elasticdl_like.data_readers.recordio import Compressor, Dialect, RecordIOWriter
from elasticdl_like.tasks import EpochKey, TaskType
from elasticdl_like.worker.dataset import BatchPipeline, make_pipeline
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.memory import keep_freed_memory
from elasticdl_like.worker.task_stream import TaskStream

keep_freed_memory()  # as a worker does; the other side is in this process and has it too

RECORD_BYTES = 89
FLOATS = 16


def make_examples(count: int) -> list[bytes]:
    """Returns serialized examples of `RECORD_BYTES` bytes each: some floats and a label."""
    rng = random.Random(0)
    distinct = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "x": tf.train.Feature(
                        float_list=tf.train.FloatList(value=[rng.random() for _ in range(FLOATS)])
                    ),
                    "y": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 10])),
                }
            )
        ).SerializeToString()
        for number in range(min(count, 20_000))
    ]
    if {len(record) for record in distinct} != {RECORD_BYTES}:
        raise AssertionError(f"examples of {len(distinct[0])} bytes instead of {RECORD_BYTES}")
    return list(itertools.islice(itertools.cycle(distinct), count))


def cut_unevenly(records: Sequence[bytes]) -> list[bytes]:
    """Returns records of 57 to 121 bytes, 89 on average, of the same contents."""
    return [
        (record + record)[: RECORD_BYTES - 32 + number % 65]
        for number, record in enumerate(records)
    ]


EXAMPLE_FEATURES = {
    "x": tf.io.FixedLenFeature([FLOATS], tf.float32),
    "y": tf.io.FixedLenFeature([], tf.int64),
}


def write_recordio(
    path: Path,
    records: Iterable[bytes],
    compressor: Compressor,
    dialect: Dialect = Dialect.GO,
) -> None:
    """Writes a RecordIO file as people would: the writer's defaults but for the compressor."""
    with RecordIOWriter(path, compressor=compressor, dialect=dialect) as writer:
        for record in records:
            writer.write(record)


def write_tfrecord(path: Path, records: Iterable[bytes], compression: str = "") -> None:
    """Writes a TFRecord file, compressed as a whole by `"GZIP"` or not at all."""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)


@contextmanager
def worker_of_new_master(
    job_directory: Path, **flags: str | int | bool
) -> Iterator[tuple[MasterClient, JobConfig]]:
    """Starts `elasticdl master` as a process, and registers this process with it as a worker."""
    arguments = []
    for name, value in flags.items():
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        else:
            arguments.append(f"--{name}={value}")
    with ExitStack() as stack:
        master = stack.enter_context(running_master(job_directory, *arguments))
        client = MasterClient(locator(master), master_timeout_s=10)
        stack.callback(client.close)
        config, _ = client.register(None, "benchmark")
        stack.enter_context(Heartbeat(client, 2.0))
        yield client, config


class EpochReader:
    """Reads one epoch of a job after the other, as a training loop whose steps take no time.

    Args:
        client: the worker's connection to its master.
        pipeline: makes the batches.
        record_count: the records of an epoch.
    """

    def __init__(self, client: MasterClient, pipeline: BatchPipeline, record_count: int) -> None:
        self._client = client
        self._pipeline = pipeline
        self._record_count = record_count
        self._epoch = 0
        self._step = 0

    def records_per_s(self) -> float:
        """Reads an epoch, each batch being committed like a step, and returns the speed."""
        start_s = time.perf_counter()
        used = 0
        with TaskStream(self._client, EpochKey(TaskType.TRAINING, self._epoch)) as stream:
            for batch in self._pipeline.batches(stream):
                self._step += 1
                stream.commit(self._step, batch.intervals)
                used += sum(interval.size for interval in batch.intervals)
        seconds = time.perf_counter() - start_s
        if used != self._record_count:
            raise AssertionError(f"{used} records instead of {self._record_count}")
        self._epoch += 1
        return used / seconds


def identity(records: Any, mode: str = "", metadata: Any = None) -> Any:
    """Is a `feed_batch` that leaves the records as they are."""
    return records


def epochs_of_new_job(
    stack: ExitStack,
    reader: DataReader,
    data: Path,
    record_count: int,
    *,
    batch: int,
    task_records: int,
    feed_batch: Callable[..., Any] = identity,
    shuffle: bool = False,
) -> EpochReader:
    """Starts a master for a file, and makes this process the worker that reads it.

    Args:
        stack: ends both.
        reader: reads the file in the worker; the master finds its own by the file's name.
        data: the file.
        record_count: the records in it.
        batch: the records of a batch.
        task_records: the records of a task, a multiple of `batch`.
        feed_batch: what the worker makes of a batch.
        shuffle: whether tasks, and the records in each, come in random order.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    client, _ = stack.enter_context(
        worker_of_new_master(
            folder / "job",
            training_data=str(data),
            minibatch_size=batch,
            num_minibatches_per_task=task_records // batch,
            num_epochs=100,
            shuffle=shuffle,
        )
    )
    pipeline = make_pipeline(reader, TaskType.TRAINING, batch, None, feed_batch)
    stack.callback(pipeline.close)
    return EpochReader(client, pipeline, record_count)


def dataset_records_per_s(dataset: Any, record_count: int) -> float:
    """Iterates over a dataset of batches, and returns the speed."""
    start_s = time.perf_counter()
    for _ in dataset:
        pass
    return record_count / (time.perf_counter() - start_s)
