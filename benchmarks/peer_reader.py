"""Reads records with another framework, for `peers_input.py`, in a Python that has it.

Imports nothing of this project. Each reader writes the records in its own format, in the way that
suits reading them in order, and yields lists of records as bytes objects, or tensors of them:

* grain: an ArrayRecord file of groups of one record, as it demands; `MapDataset.source(...)`,
  batched into lists, with the threads and the buffer that are its defaults.
* array_record: a file of groups of 256 records, each read by one call for a range.
* mosaicml-streaming: shards of 64 MB, neither compressed nor hashed, `StreamingDataset` in order.
* webdataset: tar files of 64 MB, `WebDataset` without decoding.
* litdata: chunks of 64 MB, `StreamingDataset` in order; it yields views into a mapped file, which
  are copied, because a record is to be in memory.
* tf.data service: 8 TFRecord files, dynamic sharding, one worker in another process, over
  loopback; the worker makes the batches, not compressed.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Batches = Callable[[], Iterator[Any]]
"""Starts to read all records, in batches."""

SHARD_BYTES = 64_000_000


def grain(folder: Path, records: Iterable[bytes], batch: int) -> Batches:
    import grain as grain_module
    from array_record.python import array_record_data_source

    path = _array_record(folder, records, "group_size:1,uncompressed")
    source = array_record_data_source.ArrayRecordDataSource([path])
    dataset = grain_module.MapDataset.source(source).batch(batch, batch_fn=list)
    return lambda: iter(dataset.to_iter_dataset())


def array_record(folder: Path, records: Iterable[bytes], batch: int) -> Batches:
    from array_record.python import array_record_module

    path = _array_record(folder, records, f"group_size:{batch},uncompressed")
    reader = array_record_module.ArrayRecordReader(path)
    count = reader.num_records()

    def batches() -> Iterator[Any]:
        for start in range(0, count, batch):
            yield reader.read(start, min(start + batch, count))

    return batches


def _array_record(folder: Path, records: Iterable[bytes], options: str) -> str:
    from array_record.python import array_record_module

    path = str(folder / "records.array_record")
    writer = array_record_module.ArrayRecordWriter(path, options)
    for record in records:
        writer.write(record)
    writer.close()
    return path


def mosaicml_streaming(folder: Path, records: Iterable[bytes], batch: int) -> Batches:
    import streaming

    directory = str(folder / "mds")
    with streaming.MDSWriter(
        out=directory, columns={"record": "bytes"}, size_limit=SHARD_BYTES
    ) as writer:
        for record in records:
            writer.write({"record": record})
    dataset = streaming.StreamingDataset(local=directory, batch_size=batch)
    return lambda: _batched((sample["record"] for sample in dataset), batch)


def webdataset(folder: Path, records: Iterable[bytes], batch: int) -> Batches:
    import webdataset as webdataset_module

    pattern = str(folder / "records-%06d.tar")
    with webdataset_module.ShardWriter(
        pattern, maxsize=SHARD_BYTES, maxcount=10**9, verbose=0
    ) as writer:
        for number, record in enumerate(records):
            writer.write({"__key__": f"{number:09d}", "bin": record})
    paths = sorted(map(str, folder.glob("*.tar")))
    dataset = webdataset_module.WebDataset(paths, shardshuffle=False)
    return lambda: _batched((sample["bin"] for sample in dataset), batch)


def litdata(folder: Path, records: Iterable[bytes], batch: int) -> Batches:
    import litdata as litdata_module
    from litdata.streaming import Cache

    directory = str(folder / "litdata")
    cache = Cache(directory, chunk_bytes=SHARD_BYTES)
    for number, record in enumerate(records):
        cache[number] = record
    cache.done()
    cache.merge()
    dataset = litdata_module.StreamingDataset(directory, shuffle=False)
    return lambda: _batched(map(bytes, dataset), batch)


def tf_data_service(folder: Path, records: Iterable[bytes], batch: int) -> Batches:
    import tensorflow as tf

    paths = [str(folder / f"{number}.tfrecord") for number in range(8)]
    writers = [tf.io.TFRecordWriter(path) for path in paths]
    for number, record in enumerate(records):
        writers[number // batch % len(writers)].write(record)
    for writer in writers:
        writer.close()
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    server = context.Process(target=_serve, args=(dispatcher.target, ready), daemon=True)
    server.start()
    if not ready.wait(60):
        raise RuntimeError("the worker of the tf.data service did not start")
    dataset = (
        tf.data.Dataset.from_tensor_slices(paths)
        .flat_map(tf.data.TFRecordDataset)
        .batch(batch)
        .apply(
            service.distribute(service.ShardingPolicy.DYNAMIC, dispatcher.target, compression=None)
        )
        .prefetch(tf.data.AUTOTUNE)
    )

    def batches() -> Iterator[Any]:
        # The servers live as long as somebody has them.
        yield from dataset if dispatcher and server else ()

    return batches


def _serve(dispatcher: str, ready: Any) -> None:
    import tensorflow as tf

    service = tf.data.experimental.service
    server = service.WorkerServer(service.WorkerConfig(dispatcher.removeprefix("grpc://")))
    ready.set()
    server.join()


def _batched(records: Iterable[bytes], batch: int) -> Iterator[list[bytes]]:
    iterator = iter(records)
    while found := list(itertools.islice(iterator, batch)):
        yield found


def _check(batches: Iterator[Any], records: Iterator[bytes]) -> None:
    """Compares what is read with what was written; the order does not matter."""
    lists = (batch if isinstance(batch, list) else batch.numpy() for batch in batches)
    if sorted(itertools.chain.from_iterable(lists)) != sorted(records):
        raise AssertionError("other records were read than were written")


def main() -> None:
    """Takes the reader, a file of records, their size, a folder, and the size of batches.

    Begins to read, for each line on stdin, and goes on for that many seconds or to the end of the
    records; answers with a line of JSON: the number of records, and the seconds that it took.
    """
    name, source, record_bytes, folder, batch = sys.argv[1:]
    readers = (grain, array_record, mosaicml_streaming, webdataset, litdata, tf_data_service)
    read = next(reader for reader in readers if reader.__name__ == name)

    def records() -> Iterator[bytes]:
        with Path(source).open("rb") as file:
            while record := file.read(int(record_bytes)):
                yield record

    batches = read(Path(folder), records(), int(batch))
    _check(batches(), records())
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        count = 0
        start_s = now_s = time.perf_counter()
        reading = batches()
        for found in reading:
            count += len(found)
            now_s = time.perf_counter()
            if now_s - start_s > float(line):
                break
        del reading
        print(json.dumps({"records": count, "seconds": now_s - start_s}), file=answers, flush=True)


if __name__ == "__main__":
    main()
