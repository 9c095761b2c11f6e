"""How many MB/s of large records reach a training loop, against `TFRecordDataset`?

One worker, through master and gRPC, every batch committed; 315 MB of random bytes in one file, all
of it in the page cache. Records of 4 KiB in batches of 256, and of 100 KiB in batches of 32; tasks
of 512 records, which is 64 x 8. RecordIO is not compressed; its go dialect has a CRC-32 and its
python dialect, like TFRecord, a CRC-32C, and all are checked. Against
`TFRecordDataset(...).batch(...).prefetch(...)` on the same records with no master: 1.0 is asked.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import (
    dataset_records_per_s,
    epochs_of_new_job,
    tf,
    write_recordio,
    write_tfrecord,
)
from comparison import Row, table, take_turns

from elasticdl_like.data_readers.recordio import Compressor, Dialect, RecordIODataReader
from elasticdl_like.data_readers.tfrecord import TFRecordDataReader

TASK_RECORDS = 64 * 8
ROUNDS = 7
TFRECORD = "TFRecordDataset"


@dataclass(frozen=True)
class Size:
    """One size of records, and how they are read."""

    name: str
    record_bytes: int
    record_count: int
    batch: int

    def records(self) -> Iterator[bytes]:
        """Yields the records; they repeat after a while, but lie in other places then."""
        rng = random.Random(0)
        distinct = [
            rng.randbytes(self.record_bytes) for _ in range((32 << 20) // self.record_bytes)
        ]
        for number in range(self.record_count):
            yield distinct[number % len(distinct)]


SIZES = (Size("4 KiB", 4 << 10, 76_800, 256), Size("100 KiB", 100 << 10, 3_072, 32))


def measure(size: Size, folder: Path, stack: ExitStack) -> list[Row]:
    """Measures all kinds of files of records of one size, in turns."""
    tfrecord = folder / "records.tfrecord"
    write_tfrecord(tfrecord, size.records())
    readers: dict[str, tuple[Path, Any]] = {
        "our TFRecord": (tfrecord, TFRecordDataReader(data_origin=str(tfrecord)))
    }
    for dialect in Dialect:
        path = folder / f"{dialect}.recordio"
        write_recordio(path, size.records(), Compressor.NONE, dialect)
        readers[f"RecordIO, {dialect}"] = (path, RecordIODataReader(data_origin=str(path)))
    dataset = tf.data.TFRecordDataset(str(tfrecord)).batch(size.batch).prefetch(tf.data.AUTOTUNE)

    def in_mb(records_per_s: Callable[[], float]) -> Callable[[], float]:
        return lambda: records_per_s() * size.record_bytes / 1e6

    sides = {TFRECORD: in_mb(lambda: dataset_records_per_s(dataset, size.record_count))}
    for name, (path, reader) in readers.items():
        epochs = epochs_of_new_job(
            stack,
            reader,
            path,
            size.record_count,
            batch=size.batch,
            task_records=TASK_RECORDS,
        )
        sides[name] = in_mb(epochs.records_per_s)
    samples = take_turns(sides, ROUNDS)
    return [
        Row(f"{name}, {size.name}", samples[name], TFRECORD, samples[TFRECORD], 1.0)
        for name in readers
    ]


def main() -> None:
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            rows += measure(size, Path(folder), stack)
    print(table(rows, "MB/s"))


if __name__ == "__main__":
    main()
