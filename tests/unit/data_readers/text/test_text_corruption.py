"""Damaged text and csv files: a typed error that names the file, or the records that are there."""

from __future__ import annotations

import csv
import io
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from elasticdl_like.data_readers import BatchDataReader
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.text import TextDataReader
from elasticdl_like.data_readers.text.csv_reader import CsvDataReader
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task

RECORDS = 400
CSV_TYPES = {"number": "int64", "fraction": "float64", "text": "string"}
HEADER = b"number,fraction,text\r\n"

MakeReader = Callable[[Path], BatchDataReader]


def text_reader(path: Path) -> BatchDataReader:
    return TextDataReader(data_origin=str(path))


def csv_reader(path: Path) -> BatchDataReader:
    return CsvDataReader(data_origin=str(path), column_types=CSV_TYPES)


def text_bytes() -> bytes:
    return b"".join(b"line %d %s\r\n" % (n, b"x" * (n % 7)) for n in range(RECORDS))


def csv_bytes() -> bytes:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(CSV_TYPES)
    writer.writerows((n, n / 3, f'{n}, "a"\nb' if n % 5 == 0 else f"t{n}") for n in range(RECORDS))
    return written.getvalue().encode()


def flips(data: bytes, first: int = 0) -> Iterator[bytes]:
    rng = random.Random(0)
    for _ in range(250):
        damaged = bytearray(data)
        damaged[rng.randrange(first, len(data))] = rng.choice(
            [*b'\n\r",0a', 0, 255, rng.randrange(256)]
        )
        if damaged != data:
            yield bytes(damaged)


def cuts_and_insertions(data: bytes) -> Iterator[bytes]:
    rng = random.Random(1)
    for _ in range(120):
        position = rng.randrange(len(data))
        yield data[:position]
        yield data[:position] + rng.randbytes(rng.randrange(1, 9)) + data[position:]


def read_all(reader: BatchDataReader) -> list[object]:
    records: list[object] = []
    for shard in list_shards(reader):
        for start in range(shard.first, shard.end, 150):
            task = Task(shard.name, start, min(start + 150, shard.end))
            for batch in read_task(reader, task):
                records.extend(
                    zip(*batch.values(), strict=True) if isinstance(batch, dict) else batch
                )
    return records


def text_records(data: bytes) -> list[object]:
    lines = (line.removesuffix(b"\r") for line in data.split(b"\n"))
    return [line for line in lines if line]


def csv_records(data: bytes) -> list[object]:
    text = data.decode("latin-1")
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row][1:]
    return [(int(a), float(b), c.encode("latin-1")) for a, b, c in rows]


KINDS = pytest.mark.parametrize(
    ("suffix", "data", "make_reader", "records_of"),
    [
        (".txt", text_bytes(), text_reader, text_records),
        (".csv", csv_bytes(), csv_reader, csv_records),
    ],
)


@KINDS
def test_damage_before_indexing(
    tmp_path: Path,
    suffix: str,
    data: bytes,
    make_reader: MakeReader,
    records_of: Callable[[bytes], list[object]],
) -> None:
    path = tmp_path / f"a{suffix}"
    refused: list[str] = []
    for damaged in [*flips(data), *cuts_and_insertions(data)]:
        path.write_bytes(damaged)
        try:
            found = read_all(make_reader(path))
        except (DataError, ConfigError) as error:
            refused.append(str(error))
        else:
            assert found == records_of(damaged)
    # Any bytes are text; many are no csv.
    assert len(refused) <= 1 if suffix == ".txt" else 50 < len(refused) < 450
    assert all(str(path) in message and "\n" not in message for message in refused)


@KINDS
def test_damage_after_indexing_that_the_version_does_not_show(
    tmp_path: Path,
    suffix: str,
    data: bytes,
    make_reader: MakeReader,
    records_of: Callable[[bytes], list[object]],
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    status = path.stat()
    refused: list[str] = []
    for damaged in flips(data, first=len(HEADER)):
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        reader = make_reader(path)
        (shard,) = list_shards(reader)
        path.write_bytes(damaged)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        try:
            found = read_all(reader)
        except DataError as error:
            refused.append(str(error))
        else:
            assert len(found) == shard.count == RECORDS
            if len(records_of(damaged)) == RECORDS:
                assert found == records_of(damaged)
    assert 10 < len(refused) < 200
    assert all(str(path) in message for message in refused)


@KINDS
def test_damage_after_indexing_that_the_version_shows(
    tmp_path: Path,
    suffix: str,
    data: bytes,
    make_reader: MakeReader,
    records_of: Callable[[bytes], list[object]],
) -> None:
    path = tmp_path / f"a{suffix}"
    for damaged in cuts_and_insertions(data):
        path.write_bytes(data)
        reader = make_reader(path)
        (shard,) = list_shards(reader)
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="changed"):
            list(read_task(reader, Task(shard.name, 0, shard.count)))
