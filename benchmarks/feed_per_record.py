"""How fast is `feed` with a per-record map, against the same map in plain tf.data?

The same `feed` function is applied by the worker to what the master leases, and to a
`TFRecordDataset` of the same records with no master: 0.8 or better is asked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import (
    EXAMPLE_FEATURES,
    EpochReader,
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
from elasticdl_like.worker.dataset import make_pipeline

RECORDS = 40_960
BATCH = 256
ROUNDS = 7


def decode(record: Any) -> Any:
    values = tf.io.decode_raw(record, tf.uint8)
    return tf.cast(values[:64], tf.float32) / 16, tf.cast(values[64], tf.int32)


def parse(record: Any) -> Any:
    return tf.io.parse_single_example(record, EXAMPLE_FEATURES)


FEEDS: dict[str, Callable[..., Any]] = {
    "map(decode_raw)": lambda dataset, mode, metadata: dataset.map(decode),
    "map(decode_raw, AUTOTUNE)": lambda dataset, mode, metadata: dataset.map(
        decode, num_parallel_calls=tf.data.AUTOTUNE
    ),
    "map(parse_single_example)": lambda dataset, mode, metadata: dataset.map(parse),
}


def main() -> None:
    records = make_examples(RECORDS)
    rows = []
    with tempfile.TemporaryDirectory() as folder_name, ExitStack() as stack:
        folder = Path(folder_name)
        recordio, tfrecord = folder / "records.recordio", folder / "records.tfrecord"
        write_recordio(recordio, records, Compressor.SNAPPY)
        write_tfrecord(tfrecord, records)
        for number, (name, feed) in enumerate(FEEDS.items()):
            client, config = stack.enter_context(
                worker_of_new_master(
                    folder / f"job-{number}",
                    training_data=str(recordio),
                    minibatch_size=BATCH,
                    num_minibatches_per_task=2,
                    num_epochs=100,
                    shuffle=False,
                )
            )
            pipeline = make_pipeline(
                RecordIODataReader(data_origin=config.data.training_data),
                TaskType.TRAINING,
                BATCH,
                feed,
                None,
            )
            stack.callback(pipeline.close)
            plain = (
                feed(tf.data.TFRecordDataset(str(tfrecord)), "training", None)
                .batch(BATCH)
                .prefetch(tf.data.AUTOTUNE)
            )
            samples = take_turns(
                {
                    "ours": EpochReader(client, pipeline, RECORDS).records_per_s,
                    "plain": lambda plain=plain: dataset_records_per_s(plain, RECORDS),
                },
                ROUNDS,
            )
            rows.append(Row(name, samples["ours"], "TFRecordDataset", samples["plain"], 0.8))
    print(table(rows, "records/s"))


if __name__ == "__main__":
    main()
