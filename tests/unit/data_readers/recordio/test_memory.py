"""The memory of reading does not grow with the file."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from elasticdl_like.data_readers.recordio.format import MAGIC

CHUNK_RECORD = bytes(2**20 - 24)
LENGTH = struct.pack("<I", len(CHUNK_RECORD))
BODY_BYTES = len(LENGTH) + len(CHUNK_RECORD)
CHUNK_BYTES = 2**20
MOST_GROWTH_KIB = 16 * 1024

READ_A_FEW_TASKS = """
import resource, sys
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.recordio import RecordIODataReader
from elasticdl_like.tasks import Task

(shard,) = list_shards(RecordIODataReader(data_origin=sys.argv[1]))
reader = RecordIODataReader(data_origin=sys.argv[1])
for number in range(10):
    start = (shard.count - 1) * number // 9
    index = shard.index.covering(start, start + 1)
    task = Task(shard.name, start, start + 1, version=shard.version, index=index)
    assert [len(record) for batch in read_task(reader, task) for record in batch] == [2**20 - 24]
print(shard.count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_sparse(path: Path, chunks: int) -> Path:
    """Writes chunks of zeros that take up no space but for their headers."""
    crc = zlib.crc32(CHUNK_RECORD, zlib.crc32(LENGTH))
    beginning = struct.pack("<5I", MAGIC, crc, 0, BODY_BYTES, 1) + LENGTH
    with path.open("wb") as file:
        for number in range(chunks):
            os.pwrite(file.fileno(), beginning, number * CHUNK_BYTES)
        file.truncate(chunks * CHUNK_BYTES)
    return path


def peak_kib(path: Path, chunks: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", READ_A_FEW_TASKS, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    count, peak = map(int, done.stdout.split())
    assert count == chunks
    return peak


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units")
def test_ten_gigabytes_take_no_more_memory_than_ten_megabytes(tmp_path: Path) -> None:
    small = peak_kib(write_sparse(tmp_path / "small", 10), 10)
    large = peak_kib(write_sparse(tmp_path / "large", 10_240), 10_240)
    assert large < small + MOST_GROWTH_KIB
