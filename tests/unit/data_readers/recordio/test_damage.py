"""Damage that comes after a file was indexed, which neither its size nor its time tells of."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.recordio import (
    Compressor,
    Dialect,
    RecordIODataReader,
    RecordIOWriter,
)
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.tasks import Task

RECORDS = [random.Random(number).randbytes(number % 400) for number in range(1500)]
DAMAGES = 60


def flipped_bit(rng: random.Random, content: bytearray) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def zeros(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content))
    end = min(start + rng.randrange(1, 5000), len(content))
    content[start:end] = bytes(end - start)


def noise(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content))
    end = min(start + rng.randrange(1, 50), len(content))
    content[start:end] = rng.randbytes(end - start)


def shifted(rng: random.Random, content: bytearray) -> None:
    """A byte is lost, another one comes in at the end."""
    del content[rng.randrange(len(content))]
    content.append(rng.randrange(256))


@pytest.mark.parametrize(("dialect", "compressor"), list(product(Dialect, Compressor)))
@pytest.mark.parametrize("damage", [flipped_bit, zeros, noise, shifted])
def test_an_error_that_says_where_or_the_right_records(
    tmp_path: Path,
    dialect: Dialect,
    compressor: Compressor,
    damage: Callable[[random.Random, bytearray], None],
) -> None:
    path = tmp_path / "data"
    with RecordIOWriter(
        path, dialect=dialect, compressor=compressor, max_chunk_bytes=20_000
    ) as writer:
        for record in RECORDS:
            writer.write(record)
    content = path.read_bytes()
    mtime_ns = path.stat().st_mtime_ns
    (shard,) = list_shards(RecordIODataReader(data_origin=str(path)))
    assert shard.index is not None
    assert shard.index.num_stretches > 4
    rng = random.Random(1)
    caught = 0
    for _ in range(DAMAGES):
        damaged = bytearray(content)
        damage(rng, damaged)
        path.write_bytes(damaged)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        reader = RecordIODataReader(data_origin=str(path))
        for stretch in shard.index.stretches():
            index = shard.index.covering(stretch.start, stretch.end)
            task = Task(shard.name, stretch.start, stretch.end, version=shard.version, index=index)
            begin, end = stretch.start_byte, stretch.end_byte
            if damaged[begin:end] == content[begin:end]:
                found = [record for batch in read_task(reader, task) for record in batch]
                assert found == RECORDS[stretch.start : stretch.end]
                continue
            with pytest.raises(CorruptDataError, match=r"/data, at byte \d+: ") as error:
                list(read_task(reader, task))
            assert begin <= error.value.offset_bytes < end
            caught += 1
    assert caught >= DAMAGES * 0.9
