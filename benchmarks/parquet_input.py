"""How many rows/s of a Parquet file reach a training loop, against pyarrow's own scan into NumPy?

One file of 10 columns of numbers, in row groups of 65,536 rows, as pyarrow writes it (snappy). One
worker, through master and gRPC, with the journal, every batch committed; `feed_batch` gets the
columns. Against `ParquetFile.iter_batches(65_536)` and `to_numpy` of each column, with no master
and no TensorFlow: 0.7 is asked. Against a `from_generator` of one element per row, as ElasticDL
does: 50 times. "One batch again and again" is a `tf.data.Dataset.from_tensors(…).repeat()` that
does nothing: what an iterator of TensorFlow takes to give Python 10 tensors.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import EpochReader, dataset_records_per_s, tf, worker_of_new_master
from comparison import Row, table, take_turns

from elasticdl_like.data_readers.parquet import ParquetDataReader
from elasticdl_like.data_readers.parquet import reader as parquet_reader
from elasticdl_like.tasks import TaskType
from elasticdl_like.worker.dataset import make_pipeline

ROWS = 1 << 21
GROUP_ROWS = 1 << 16
SLOW_ROWS = 10_000
ROUNDS = 7

# As with a file that is larger than what is kept: each epoch decodes each row group.
parquet_reader._KEPT_BYTES = 1 << 24


def write(path: Path) -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"id": np.arange(ROWS)}
    for number in range(5):
        columns[f"float {number}"] = rng.standard_normal(ROWS, np.float32)
    columns["price"] = np.round(rng.gamma(2.0, 20.0, ROWS), 2)
    columns["user"] = rng.zipf(1.3, ROWS) % 100_000
    columns["shop"] = rng.integers(0, 1000, ROWS, np.int32)
    columns["label"] = rng.integers(0, 2, ROWS, np.int32)
    pq.write_table(pa.table(columns), path, row_group_size=GROUP_ROWS)


def identity(records: Any, mode: str, metadata: Any) -> Any:
    return records


def ours(
    path: Path, stack: ExitStack, minibatch_size: int, task_rows: int, shuffle: bool = False
) -> Callable[[], float]:
    job_directory = stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent))
    client, config = stack.enter_context(
        worker_of_new_master(
            Path(job_directory) / "job",
            training_data=str(path),
            minibatch_size=minibatch_size,
            num_minibatches_per_task=task_rows // minibatch_size,
            num_epochs=100,
            shuffle=shuffle,
        )
    )
    pipeline = make_pipeline(
        ParquetDataReader(data_origin=config.data.training_data),
        TaskType.TRAINING,
        minibatch_size,
        None,
        identity,
    )
    stack.callback(pipeline.close)
    return EpochReader(client, pipeline, ROWS).records_per_s


def scan_rows_per_s(path: Path) -> float:
    start_s = time.perf_counter()
    rows = 0
    for batch in pq.ParquetFile(path).iter_batches(GROUP_ROWS):
        columns = {name: batch.column(name).to_numpy() for name in batch.schema.names}
        rows += len(columns["id"])
    seconds = time.perf_counter() - start_s
    if rows != ROWS:
        raise AssertionError(f"{rows} rows instead of {ROWS}")
    return rows / seconds


def one_batch_again_and_again(path: Path, minibatch_size: int) -> Callable[[], float]:
    columns = pq.read_table(path).slice(0, minibatch_size)
    batch = {name: columns.column(name).to_numpy() for name in columns.column_names}
    dataset = tf.data.Dataset.from_tensors(batch).repeat(ROWS // minibatch_size)
    return lambda: dataset_records_per_s(dataset, ROWS)


def row_by_row(path: Path) -> Callable[[], float]:
    first = pq.read_table(path).slice(0, SLOW_ROWS)
    rows = list(zip(*(column.to_pylist() for column in first.columns), strict=True))

    def generate() -> Iterator[tuple[Any, ...]]:
        yield from rows

    signature = tuple(
        tf.TensorSpec([], tf.as_dtype(field.type.to_pandas_dtype())) for field in first.schema
    )
    dataset = (
        tf.data.Dataset.from_generator(generate, output_signature=signature)
        .batch(256)
        .prefetch(tf.data.AUTOTUNE)
    )
    return lambda: dataset_records_per_s(dataset, len(rows))


def main() -> None:
    scan, generator = "pyarrow's scan into NumPy", "from_generator, row by row, batches of 256"
    floor = "one batch of 256 again and again"
    small = "batches of 256, tasks of 512"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "rows.parquet"
        write(path)
        our_sides = {
            "batches of 4,096, tasks of 65,536": ours(path, stack, 4096, 1 << 16),
            "batches of 4,096, tasks of 4,096": ours(path, stack, 4096, 4096),
            "batches of 256, tasks of 65,536": ours(path, stack, 256, 1 << 16),
            small: ours(path, stack, 256, 512),
            "batches of 256, tasks of 512, shuffled": ours(path, stack, 256, 512, shuffle=True),
        }
        other_sides = {
            scan: lambda: scan_rows_per_s(path),
            floor: one_batch_again_and_again(path, 256),
            generator: row_by_row(path),
        }
        samples = take_turns(our_sides | other_sides, ROUNDS)
    rows = [Row(name, samples[name], scan, samples[scan], 0.7) for name in our_sides]
    rows.append(Row(small, samples[small], generator, samples[generator], 50))
    rows.append(Row(small, samples[small], floor, samples[floor], None))
    rows.append(Row(floor, samples[floor], scan, samples[scan], None))
    print(table(rows, "rows/s"))


if __name__ == "__main__":
    main()
