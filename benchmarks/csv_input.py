"""How many csv rows/s reach a training loop through master, gRPC and worker, against tf.data?

One worker, rows of 5 integers and 5 floats, 79 bytes on average, batches of 256 and tasks of 512 or
65,536 records, every batch committed. Against `tf.data.experimental.CsvDataset(…).batch(256)` on
the same file with no master: 3 times is asked. Against a `from_generator` of one row at a time: 50
times. And how fast rows are found, which the master does once for a file.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import EpochReader, dataset_records_per_s, tf, worker_of_new_master
from comparison import Figure, Row, figure_table, table, take_turns

from elasticdl_like.data_readers.text.csv_reader import CsvDataReader
from elasticdl_like.tasks import TaskType
from elasticdl_like.worker.dataset import make_pipeline

RECORDS = 307_200
SLOW_RECORDS = 10_000
BATCH = 256
ROUNDS = 7
SCANNED_BYTES = 1 << 30

INTEGERS = [f"i{number}" for number in range(5)]
FLOATS = [f"f{number}" for number in range(5)]
COLUMN_TYPES = dict.fromkeys(INTEGERS, "int64") | dict.fromkeys(FLOATS, "float32")


def identity(records: Any, mode: str = "", metadata: Any = None) -> Any:
    return records


def make_rows(count: int) -> list[tuple[Any, ...]]:
    """Returns rows of 5 integers and 5 floats."""
    rng = random.Random(0)
    return [
        (*(rng.randrange(10**6) for _ in INTEGERS), *(round(rng.random(), 6) for _ in FLOATS))
        for _ in range(count)
    ]


def write_csv(path: Path, rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as file:
        file.write(",".join(COLUMN_TYPES) + "\n")
        for row in rows:
            file.write(",".join(map(str, row)) + "\n")


def ours(path: Path, stack: ExitStack, task_records: int, shuffle: bool) -> Callable[[], float]:
    client, config = stack.enter_context(
        worker_of_new_master(
            Path(tempfile.mkdtemp(dir=path.parent)) / "job",
            training_data=str(path),
            minibatch_size=BATCH,
            num_minibatches_per_task=task_records // BATCH,
            num_epochs=100,
            shuffle=shuffle,
        )
    )
    reader = CsvDataReader(data_origin=config.data.training_data, column_types=COLUMN_TYPES)
    pipeline = make_pipeline(reader, TaskType.TRAINING, BATCH, None, identity)
    stack.callback(pipeline.close)
    return EpochReader(client, pipeline, RECORDS).records_per_s


def csv_dataset(path: Path) -> Callable[[], float]:
    types = [tf.int64] * len(INTEGERS) + [tf.float32] * len(FLOATS)
    dataset = tf.data.experimental.CsvDataset(str(path), types, header=True)
    dataset = dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return lambda: dataset_records_per_s(dataset, RECORDS)


def one_by_one(rows: list[tuple[Any, ...]]) -> Callable[[], float]:
    def generate() -> Iterator[tuple[Any, ...]]:
        yield from rows

    signature = tuple(tf.TensorSpec([], dtype) for dtype in COLUMN_TYPES.values())
    dataset = (
        tf.data.Dataset.from_generator(generate, output_signature=signature)
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
    return lambda: dataset_records_per_s(dataset, len(rows))


def scan_speeds(path: Path, long_path: Path) -> list[float]:
    """Returns how many GB/s are scanned for rows in a file of those of `path`, many times."""
    header, rows = path.read_bytes().split(b"\n", 1)
    with long_path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(SCANNED_BYTES // len(rows)):
            file.write(rows)
    speeds = []
    for _ in range(ROUNDS):
        reader = CsvDataReader(data_origin=str(long_path), column_types=COLUMN_TYPES)
        start_s = time.perf_counter()
        reader.create_shards()
        speeds.append(long_path.stat().st_size / (time.perf_counter() - start_s) / 1e9)
    return speeds


def main() -> None:
    rows = make_rows(RECORDS)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "rows.csv"
        write_csv(path, rows)
        # First, as in a master: what trains later in this process leaves the allocator slower.
        speeds = scan_speeds(path, Path(folder) / "long.csv")
        small, large, shuffled = "tasks of 512", "tasks of 65,536", "tasks of 512, shuffled"
        other, slow = "CsvDataset", "from_generator, one by one"
        samples = take_turns(
            {
                other: csv_dataset(path),
                small: ours(path, stack, 512, shuffle=False),
                large: ours(path, stack, 65_536, shuffle=False),
                shuffled: ours(path, stack, 512, shuffle=True),
                slow: one_by_one(rows[:SLOW_RECORDS]),
            },
            ROUNDS,
        )
        print(
            table(
                [
                    Row(small, samples[small], other, samples[other], 3),
                    Row(large, samples[large], other, samples[other], 3),
                    Row(shuffled, samples[shuffled], other, samples[other], None),
                    Row(small, samples[small], slow, samples[slow], 50),
                ],
                "rows/s",
            )
        )
    print()
    print(figure_table([Figure("rows found in a file of 1 GiB, GB/s", speeds)]))


if __name__ == "__main__":
    main()
