"""How fast are the shards of many RecordIO files listed, with and without an index on disk?

1,000 files of 1,000 chunks, against one thread that walks from header to header in Python, reads
each by itself and checks it. Cold: nothing is known of the files, 1.6 or better is asked. Warm: an
index of them is on disk, 20 or better is asked. All files are in the page cache; they are 1,000
names of four of them.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from comparison import Row, table, take_turns

from elasticdl_like.data_readers.recordio import Compressor, Dialect, RecordIODataReader
from elasticdl_like.data_readers.recordio.format import HEADER_BYTES, decode_header, encode_chunk

FILES = 1000
DISTINCT_FILES = 4
CHUNKS = 1000
RECORDS_PER_CHUNK = 10
CHUNK_BYTES = {"chunks of 1 KiB": 1 << 10, "chunks of 64 KiB": 1 << 16}
ROUNDS = 5


def main() -> None:
    rows = []
    for name, chunk_bytes in CHUNK_BYTES.items():
        with tempfile.TemporaryDirectory() as folder_name:
            data, index_dir = Path(folder_name) / "data", Path(folder_name) / "index"
            make_files(data, chunk_bytes)
            sides: dict[str, Callable[[], float]] = {
                "walk": lambda data=data: files_per_s(lambda: walk(data)),  # type: ignore[misc]
                "cold": lambda data=data: files_per_s(lambda: cold(data)),  # type: ignore[misc]
                "warm": lambda data=data, index_dir=index_dir: files_per_s(  # type: ignore[misc]
                    lambda: warm(data, index_dir)
                ),
            }
            samples = take_turns(sides, ROUNDS)
        for side, asked in (("cold", 1.6), ("warm", 20.0)):
            rows.append(
                Row(f"{side} index, {name}", samples[side], "one thread", samples["walk"], asked)
            )
    print(table(rows, "files/s"))


def make_files(folder: Path, chunk_bytes: int) -> None:
    folder.mkdir()
    record = os.urandom(chunk_bytes // RECORDS_PER_CHUNK - 4)
    content = encode_chunk([record] * RECORDS_PER_CHUNK, Dialect.GO, Compressor.NONE) * CHUNKS
    for number in range(FILES):
        path = folder / f"{number:04d}.recordio"
        if number < DISTINCT_FILES:
            path.write_bytes(content)
        else:
            path.hardlink_to(folder / f"{number % DISTINCT_FILES:04d}.recordio")


def files_per_s(list_files: Callable[[], int]) -> float:
    begin_s = time.perf_counter()
    records = list_files()
    seconds = time.perf_counter() - begin_s
    if records != FILES * CHUNKS * RECORDS_PER_CHUNK:
        raise AssertionError(f"{records} records")
    return FILES / seconds


def walk(folder: Path) -> int:
    """Counts in the plain way: read a header, check it, and go on to the next."""
    records = 0
    for path in sorted(folder.iterdir()):
        descriptor = os.open(path, os.O_RDONLY)
        size_bytes = os.fstat(descriptor).st_size
        offset = 0
        while offset < size_bytes:
            stored = os.pread(descriptor, HEADER_BYTES, offset)
            header = decode_header(stored, size_bytes - offset - HEADER_BYTES)
            offset += HEADER_BYTES + header.body_size_bytes
            records += header.record_count
        os.close(descriptor)
    return records


def cold(folder: Path) -> int:
    return count(RecordIODataReader(data_origin=str(folder)))


def warm(folder: Path, index_dir: Path) -> int:
    return count(RecordIODataReader(data_origin=str(folder), index_dir=str(index_dir)))


def count(reader: RecordIODataReader) -> int:
    return sum(count for _, count in reader.create_shards().values())


if __name__ == "__main__":
    main()
