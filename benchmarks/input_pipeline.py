"""How many records/s reach a training loop through master, gRPC and worker, against plain tf.data?

One worker, batches of 256, every batch committed; tasks of 512 records, which is 64 x 8, or of
65,536. Against `TFRecordDataset(...).batch(256).prefetch(...)` on the same records with no master:
1.5 times is asked, 1.2 with `parse_example` for each batch on both sides. Snappy RecordIO against
gzip TFRecord: 2 times. Against a `from_generator` of one element per record: 50 times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import (
    EXAMPLE_FEATURES,
    cut_unevenly,
    dataset_records_per_s,
    epochs_of_new_job,
    identity,
    make_examples,
    tf,
    write_recordio,
    write_tfrecord,
)
from comparison import Row, table, take_turns

from elasticdl_like.data_readers.recordio import Compressor, RecordIODataReader
from elasticdl_like.data_readers.tfrecord import TFRecordDataReader

RECORDS = 307_200
SLOW_RECORDS = 10_000
BATCH = 256
TASK_RECORDS = 64 * 8
LARGE_TASK_RECORDS = 65_536
ROUNDS = 7

TFRECORD = "TFRecordDataset"
TFRECORD_PARSED = "TFRecordDataset, parse_example"
TFRECORD_GZIP = "TFRecordDataset, gzip"
ONE_BY_ONE = "from_generator, one by one"


def parse(records: Any, mode: str = "", metadata: Any = None) -> Any:
    return tf.io.parse_example(records, EXAMPLE_FEATURES)


class Bench:
    """One group of comparisons: the same records in files of each kind, and in memory.

    Args:
        folder: where the files are written.
        stack: ends masters and pipelines.
        records: the records.
        kind: what they are like, for the table.
    """

    def __init__(self, folder: Path, stack: ExitStack, records: Sequence[bytes], kind: str) -> None:
        self._folder = folder
        self._stack = stack
        self._records = records
        self._kind = kind
        self._sides: dict[str, Callable[[], float]] = {}
        self._compared: list[tuple[str, str, float | None]] = []

    def other(self, name: str, measure: Callable[[], float]) -> None:
        """Adds a side without a master."""
        self._sides[name] = measure

    def ours(
        self,
        file: str,
        against: dict[str, float | None],
        feed_batch: Callable[..., Any] = identity,
        task_records: int = TASK_RECORDS,
        shuffle: bool = False,
    ) -> None:
        """Adds a side of ours.

        Args:
            file: "TFRecord", or the compressor of the RecordIO file.
            against: the names of other sides, and the ratio that is asked to each.
            feed_batch: `identity` or `parse`.
            task_records: the records of a task.
            shuffle: whether they come in random order.
        """
        if file == "TFRecord":
            path = self.tfrecord()
            reader: Any = TFRecordDataReader(data_origin=str(path))
            name = "our TFRecord"
        else:
            path = self._folder / f"{file}.recordio"
            if not path.exists():
                write_recordio(path, self._records, Compressor(file))
            reader = RecordIODataReader(data_origin=str(path))
            name = f"RecordIO {file}"
        name += ", parse_example" if feed_batch is parse else ""
        name += ", shuffled" if shuffle else ""
        name += f", {self._kind}, tasks of {task_records:,}"
        self._sides[name] = epochs_of_new_job(
            self._stack,
            reader,
            path,
            len(self._records),
            batch=BATCH,
            task_records=task_records,
            feed_batch=feed_batch,
            shuffle=shuffle,
        ).records_per_s
        self._compared += [(name, other, asked) for other, asked in against.items()]

    def dataset(
        self, map_batch: Callable[..., Any] | None = None, compression: str = ""
    ) -> Callable[[], float]:
        """Returns what measures `TFRecordDataset`."""
        dataset = tf.data.TFRecordDataset(str(self.tfrecord(compression)), compression)
        dataset = dataset.batch(BATCH)
        if map_batch is not None:
            dataset = dataset.map(map_batch, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
        return lambda: dataset_records_per_s(dataset, len(self._records))

    def one_by_one(self) -> Callable[[], float]:
        """Returns what measures a generator of single records."""
        records = self._records[:SLOW_RECORDS]

        def generate() -> Iterator[bytes]:
            yield from records

        dataset = (
            tf.data.Dataset.from_generator(generate, output_signature=tf.TensorSpec([], tf.string))
            .batch(BATCH)
            .prefetch(tf.data.AUTOTUNE)
        )
        return lambda: dataset_records_per_s(dataset, len(records))

    def tfrecord(self, compression: str = "") -> Path:
        """Returns the path of a TFRecord file of the records."""
        path = self._folder / f"records{compression}.tfrecord"
        if not path.exists():
            write_tfrecord(path, self._records, compression)
        return path

    def rows(self) -> list[Row]:
        """Measures all sides in turns."""
        samples = take_turns(self._sides, ROUNDS)
        return [
            Row(ours, samples[ours], other, samples[other], asked)
            for ours, other, asked in self._compared
        ]


def compare_equal(bench: Bench) -> None:
    """Adds the comparisons for records of 89 bytes."""
    bench.other(TFRECORD, bench.dataset())
    bench.other(TFRECORD_PARSED, bench.dataset(parse))
    bench.other(TFRECORD_GZIP, bench.dataset(compression="GZIP"))
    bench.other(ONE_BY_ONE, bench.one_by_one())
    bench.ours("none", {TFRECORD: 1.5, ONE_BY_ONE: 50})
    bench.ours("snappy", {TFRECORD: 1.5, ONE_BY_ONE: 50, TFRECORD_GZIP: 2})
    bench.ours("TFRecord", {TFRECORD: None})
    bench.ours("none", {TFRECORD: 1.5}, task_records=LARGE_TASK_RECORDS)
    bench.ours("snappy", {TFRECORD: 1.5}, task_records=LARGE_TASK_RECORDS)
    bench.ours("snappy", {TFRECORD: None}, shuffle=True)
    bench.ours("none", {TFRECORD_PARSED: 1.2}, parse)
    bench.ours("snappy", {TFRECORD_PARSED: 1.2}, parse)
    bench.ours("none", {TFRECORD_PARSED: 1.2}, parse, task_records=LARGE_TASK_RECORDS)


def compare_uneven(bench: Bench) -> None:
    """Adds the comparisons for records of 57 to 121 bytes."""
    bench.other(TFRECORD, bench.dataset())
    bench.ours("none", {TFRECORD: None})
    bench.ours("snappy", {TFRECORD: None})


def main() -> None:
    records = make_examples(RECORDS)
    rows = []
    for kind, group, compare in (
        ("89 bytes", records, compare_equal),
        ("57-121 bytes", cut_unevenly(records), compare_uneven),
    ):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            bench = Bench(Path(folder), stack, group, kind)
            compare(bench)
            rows += bench.rows()
    print(table(rows, "records/s"))


if __name__ == "__main__":
    main()
