"""How many rows/s of a MaxCompute table reach a worker, against pyodps's own loop?

One table of 10 columns of numbers, on the server of the tests, in a process of its own; what it
sends is encoded before. One worker, through master and gRPC, with the journal, every batch of 4,096
committed, tasks of 65,536 rows; `feed_batch` gets the columns. Against pyodps's
`open_arrow_reader`, batch by batch, with no master and no arrays: 0.8 is asked. Against ElasticDL's
way, `str(record[c])` of each cell in record mode: 5 times. With a server that sends each reply at
4 MiB/s, 4 threads against 1: 3.5 times.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import EpochReader, identity, worker_of_new_master
from comparison import Row, table, take_turns
from odps.tunnel import TableTunnel

from elasticdl_like.data_readers.odps import ODPSDataReader
from elasticdl_like.data_readers.odps import reader as odps_reader
from elasticdl_like.tasks import Task, TaskType
from elasticdl_like.worker.dataset import make_pipeline

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from odps_server import Action, Control, Fault, Kind, odps_server_process

ROWS = 1 << 20
THROTTLED_ROWS = 1 << 18
SLOW_ROWS = 20_000
BATCH = 4096
TASK_ROWS = 1 << 16
# So slow that the processor has nothing to do with it.
BYTES_PER_S = 4 << 20
ROUNDS = 5
THROTTLED_ROUNDS = 3

# As with a table that is larger than what is kept: each epoch fetches each row.
odps_reader._KEPT_BYTES = 1 << 24

TYPES = {
    "id": "bigint",
    **{f"float_{number}": "float" for number in range(5)},
    "price": "double",
    "user": "bigint",
    "shop": "int",
    "label": "int",
}


def make_rows(count: int) -> pa.Table:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"id": np.arange(count)}
    for number in range(5):
        columns[f"float_{number}"] = rng.standard_normal(count, np.float32)
    columns["price"] = np.round(rng.gamma(2.0, 20.0, count), 2)
    columns["user"] = rng.zipf(1.3, count) % 100_000
    columns["shop"] = rng.integers(0, 1000, count, np.int32)
    columns["label"] = rng.integers(0, 2, count, np.int32)
    return pa.table(columns)


def ours(origin: str, count: int, stack: ExitStack, num_threads: int = 4) -> Callable[[], float]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    client, config = stack.enter_context(
        worker_of_new_master(
            folder / "job",
            training_data=origin,
            minibatch_size=BATCH,
            num_minibatches_per_task=TASK_ROWS // BATCH,
            num_epochs=100,
            shuffle=False,
        )
    )
    reader = ODPSDataReader(data_origin=config.data.training_data, num_threads=num_threads)
    pipeline = make_pipeline(reader, TaskType.TRAINING, BATCH, None, identity)
    stack.callback(pipeline.close)
    return EpochReader(client, pipeline, count).records_per_s


def reader_alone(origin: str, count: int, num_threads: int = 4) -> Callable[[], float]:
    reader = ODPSDataReader(data_origin=origin, num_threads=num_threads)
    (shard,) = reader.create_shards()

    def read() -> int:
        batches = reader.read_record_batches(Task(shard, 0, count))
        return sum(len(batch["id"]) for batch in batches)

    return lambda: rows_per_s(read, count)


def arrow_loop(server: Control, name: str, count: int) -> Callable[[], float]:
    session = TableTunnel(server.client()).create_download_session(name)

    def read() -> int:
        done = 0
        with session.open_arrow_reader(0, count) as reader:
            while (batch := reader.read_next_batch()) is not None:
                done += batch.num_rows
        return done

    return lambda: rows_per_s(read, count)


def cell_by_cell(server: Control, name: str, count: int) -> Callable[[], float]:
    session = TableTunnel(server.client()).create_download_session(name)

    def read() -> int:
        done = 0
        with session.open_record_reader(0, count) as reader:
            for record in reader:
                [str(record[column]) for column in TYPES]
                done += 1
        return done

    return lambda: rows_per_s(read, count)


def rows_per_s(read: Callable[[], int], count: int) -> float:
    start_s = time.perf_counter()
    done = read()
    seconds = time.perf_counter() - start_s
    if done != count:
        raise AssertionError(f"{done} rows instead of {count}")
    return done / seconds


def at_full_speed(server: Control, stack: ExitStack) -> list[Row]:
    server.add_table("rows", TYPES, rows=make_rows(ROWS))
    origin = f"odps://{server.project}/rows"
    worker, alone = "a worker", "the reader alone"
    loop, cells = "open_arrow_reader", "str(record[c]) of each cell"
    samples = take_turns(
        {
            loop: arrow_loop(server, "rows", ROWS),
            worker: ours(origin, ROWS, stack),
            alone: reader_alone(origin, ROWS),
            cells: cell_by_cell(server, "rows", SLOW_ROWS),
        },
        ROUNDS,
    )
    return [
        Row(worker, samples[worker], loop, samples[loop], 0.8),
        Row(worker, samples[worker], cells, samples[cells], 5),
        Row(alone, samples[alone], loop, samples[loop], None),
    ]


def throttled(server: Control, stack: ExitStack) -> list[Row]:
    server.add_table("few", TYPES, rows=make_rows(THROTTLED_ROWS))
    origin = f"odps://{server.project}/few"
    four, one = "4 threads, throttled", "1 thread, throttled"
    sides = {
        four: ours(origin, THROTTLED_ROWS, stack),
        one: ours(origin, THROTTLED_ROWS, stack, num_threads=1),
        f"{four}, alone": reader_alone(origin, THROTTLED_ROWS),
        f"{one}, alone": reader_alone(origin, THROTTLED_ROWS, num_threads=1),
    }
    slow = Fault(Action.SLOW_STREAM, kind=Kind.DATA, times=None, bytes_per_s=BYTES_PER_S)
    server.add_fault(slow)
    samples = take_turns(sides, THROTTLED_ROUNDS)
    server.clear_faults()
    return [
        Row(each, samples[each], other, samples[other], 3.5)
        for each, other in ((four, one), (f"{four}, alone", f"{one}, alone"))
    ]


def main() -> None:
    with odps_server_process("--batch_rows", "16384") as server, ExitStack() as stack:
        # For the masters too, which are processes of their own.
        os.environ |= {
            "MAXCOMPUTE_PROJECT": server.project,
            "MAXCOMPUTE_AK": server.access_id,
            "MAXCOMPUTE_SK": server.access_key,
            "MAXCOMPUTE_ENDPOINT": server.endpoint,
            "MAXCOMPUTE_TUNNEL_ENDPOINT": server.tunnel_endpoint,
        }
        rows = at_full_speed(server, stack) + throttled(server, stack)
    print(table(rows, "rows/s"))


if __name__ == "__main__":
    main()
