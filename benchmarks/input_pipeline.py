"""How many records/s reach a training loop through master, gRPC and worker, against plain tf.data?

One worker, RecordIO files, batches of 256 and tasks of 512 records, every batch committed. Against
`TFRecordDataset(...).batch(256).prefetch(...)` on the same records with no master: 1.0 or better
is asked. Against a `from_generator` of one element per record: 50 times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import (
    EXAMPLE_FEATURES,
    EpochReader,
    cut_unevenly,
    dataset_records_per_s,
    make_examples,
    tf,
    worker_of_new_master,
    write_recordio,
    write_tfrecord,
)
from comparison import Row, table, take_turns

from elasticdl_like.data_readers.recordio import Compressor, RecordIODataReader
from elasticdl_like.tasks import TaskType
from elasticdl_like.worker.dataset import FeedBatchPipeline

RECORDS = 307_200
SLOW_RECORDS = 10_000
BATCH = 256
ROUNDS = 7


def identity(records: Any, mode: str = "", metadata: Any = None) -> Any:
    return records


def parse(records: Any, mode: str = "", metadata: Any = None) -> Any:
    return tf.io.parse_example(records, EXAMPLE_FEATURES)


class Bench:
    """One group of comparisons: the same records as RecordIO, as TFRecord and in memory."""

    def __init__(self, folder: Path, stack: ExitStack, records: Sequence[bytes]) -> None:
        self._folder = folder
        self._stack = stack
        self._records = records
        self._tfrecord = folder / "records.tfrecord"
        write_tfrecord(self._tfrecord, records)

    def ours(
        self, compressor: Compressor, feed_batch: Callable[..., Any], shuffle: bool = False
    ) -> Callable[[], float]:
        path = self._folder / f"{compressor}.recordio"
        if not path.exists():
            write_recordio(path, self._records, compressor)
        client, config = self._stack.enter_context(
            worker_of_new_master(
                Path(tempfile.mkdtemp(dir=self._folder)) / "job",
                training_data=str(path),
                minibatch_size=BATCH,
                num_minibatches_per_task=2,
                num_epochs=100,
                shuffle=shuffle,
            )
        )
        pipeline = FeedBatchPipeline(
            RecordIODataReader(data_origin=config.data.training_data),
            TaskType.TRAINING,
            BATCH,
            feed_batch,
        )
        self._stack.callback(pipeline.close)
        return EpochReader(client, pipeline, len(self._records)).records_per_s

    def tfrecord(self, map_batch: Callable[..., Any] | None) -> Callable[[], float]:
        dataset = tf.data.TFRecordDataset(str(self._tfrecord)).batch(BATCH)
        if map_batch is not None:
            dataset = dataset.map(map_batch, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
        return lambda: dataset_records_per_s(dataset, len(self._records))

    def one_by_one(self) -> Callable[[], float]:
        records = self._records[:SLOW_RECORDS]

        def generate() -> Iterator[bytes]:
            yield from records

        dataset = (
            tf.data.Dataset.from_generator(generate, output_signature=tf.TensorSpec([], tf.string))
            .batch(BATCH)
            .prefetch(tf.data.AUTOTUNE)
        )
        return lambda: dataset_records_per_s(dataset, len(records))


def main() -> None:
    records = make_examples(RECORDS)
    rows: list[Row] = []
    for kind, group in (("89 bytes", records), ("57-121 bytes", cut_unevenly(records))):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            bench = Bench(Path(folder), stack, group)
            sides = {
                "TFRecordDataset": bench.tfrecord(None),
                "snappy": bench.ours(Compressor.SNAPPY, identity),
                "none": bench.ours(Compressor.NONE, identity),
            }
            if group is records:
                sides |= {
                    "TFRecordDataset, parse_example": bench.tfrecord(parse),
                    "snappy, parse_example": bench.ours(Compressor.SNAPPY, parse),
                    "none, parse_example": bench.ours(Compressor.NONE, parse),
                    "from_generator, one by one": bench.one_by_one(),
                    "snappy, shuffled": bench.ours(Compressor.SNAPPY, identity, shuffle=True),
                }
            samples = take_turns(sides, ROUNDS)

        def compare(
            ours: str, other: str, asked: float | None, kind: str = kind, samples: Any = samples
        ) -> None:
            rows.append(Row(f"{ours} ({kind})", samples[ours], other, samples[other], asked))

        compare("none", "TFRecordDataset", 1.0)
        compare("snappy", "TFRecordDataset", 1.0)
        if group is records:
            compare("none, parse_example", "TFRecordDataset, parse_example", 1.0)
            compare("snappy, parse_example", "TFRecordDataset, parse_example", 1.0)
            compare("none", "from_generator, one by one", 50)
            compare("snappy", "from_generator, one by one", 50)
            compare("snappy, shuffled", "TFRecordDataset", None)
    print(table(rows, "records/s"))


if __name__ == "__main__":
    main()
