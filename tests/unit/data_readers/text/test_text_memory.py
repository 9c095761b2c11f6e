"""Memory does not grow with the size of a file of lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20

# A line every MiB of a file of holes, which read as zero bytes.
PROGRAM = """
import os, resource, sys
from elasticdl_like.data_readers.registry import construct
from elasticdl_like.data_readers.reader_types import reader_class
from elasticdl_like.tasks import Task

path, lines = sys.argv[1], int(sys.argv[2])
with open(path, "wb") as file:
    file.truncate(lines << 20)
    for number in range(lines):
        os.pwrite(file.fileno(), b"\\n", (number << 20) + (1 << 20) - 1)
    if path.endswith(".csv"):
        os.pwrite(file.fileno(), b"column\\n", 0)
reader = construct(reader_class("", path), {"data_origin": path}, {})
((name, (first, count)),) = reader.create_shards().items()
for start in (0, count // 2, count - 3):
    sizes = [len(record if path.endswith(".txt") else record[0])
             for record in reader.read_records(Task(name, start, start + 3))]
    assert all(size > 1_000_000 for size in sizes), sizes
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def count_and_peak_bytes(path: Path, lines: int) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path, str(lines)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
    )
    path.unlink()
    count, peak_bytes = map(int, done.stdout.split())
    return count, peak_bytes


@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_peak_memory_is_that_of_a_small_file(tmp_path: Path, name: str) -> None:
    lines = 2 * 1024
    count, peak_bytes = count_and_peak_bytes(tmp_path / name, lines)
    small_count, small_peak_bytes = count_and_peak_bytes(tmp_path / name, 64)
    assert (count, small_count) == (lines, 64)
    assert peak_bytes < small_peak_bytes + 24 * MIB
