"""Walking the chunk headers of a file."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.files import open_file
from elasticdl_like.data_readers.recordio.format import (
    HEADER_BYTES,
    MAGIC,
    ChunkHeader,
    Compressor,
    Dialect,
    encode_chunk,
)
from elasticdl_like.data_readers.recordio.index import (
    SPACING_BYTES,
    chunk_headers,
    index_chunks,
)
from elasticdl_like.data_readers.recordio.reader import RecordIOFormat
from elasticdl_like.errors import CorruptDataError, DataError
from elasticdl_like.sparse_index import SparseIndex, Stretch

KINDS = list(product(Dialect, Compressor))


def indexed(path: Path) -> SparseIndex:
    with open_file(str(path)) as file:
        return index_chunks(file)


def headers(path: Path) -> list[tuple[int, ChunkHeader]]:
    with open_file(str(path)) as file:
        return list(chunk_headers(file))


every_walk = pytest.mark.parametrize("walk", [indexed, headers])


def chunk(size_bytes: int, records: int = 1) -> bytes:
    """A chunk of this size that holds this many records, all but the first empty."""
    first = bytes(size_bytes - HEADER_BYTES - 4 * records)
    return encode_chunk([first, *[b""] * (records - 1)], Dialect.GO, Compressor.NONE)


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Path, list[bytes]]:
    """A file with a chunk of each dialect and compressor, of 1, 2, 3 … records."""
    chunks = [
        encode_chunk([b"record", *[b""] * number], *kind) for number, kind in enumerate(KINDS)
    ]
    path = tmp_path / "mixed.recordio"
    path.write_bytes(b"".join(chunks))
    return path, chunks


def test_every_chunk(mixed: tuple[Path, list[bytes]]) -> None:
    path, chunks = mixed
    found = headers(path)
    assert [offset for offset, _ in found] == [
        sum(map(len, chunks[:number])) for number in range(len(chunks))
    ]
    for number, (_, header) in enumerate(found):
        assert (header.dialect, header.compressor) == KINDS[number]
        assert header.record_count == number + 1
        assert header.body_size_bytes == len(chunks[number]) - HEADER_BYTES


def test_small_chunks_share_a_stretch(mixed: tuple[Path, list[bytes]]) -> None:
    path, _ = mixed
    index = indexed(path)
    assert list(index.records) == [0, 1 + 2 + 3 + 4 + 5 + 6]
    assert list(index.offsets) == [0, path.stat().st_size]


def test_a_large_chunk_has_a_stretch_of_its_own(tmp_path: Path) -> None:
    sizes = [100, SPACING_BYTES, 100, 100, SPACING_BYTES - 200, 100, 10 * SPACING_BYTES]
    (tmp_path / "data").write_bytes(b"".join(map(chunk, sizes)))
    edges = list(itertools.accumulate(sizes, initial=0))
    index = indexed(tmp_path / "data")
    assert list(index.records) == [0, 1, 2, 5, 6, 7]
    assert list(index.offsets) == [edges[number] for number in index.records]


@settings(derandomize=True, max_examples=50, deadline=None, database=None)
@given(st.lists(st.tuples(st.integers(40, 2 * SPACING_BYTES), st.integers(1, 4)), max_size=30))
def test_stretches_are_whole_chunks(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "chunks.recordio"
    path.write_bytes(b"".join(chunk(*shape) for shape in shapes))
    index = indexed(path)
    ends = list(itertools.accumulate((size for size, _ in shapes), initial=0))
    counts = list(itertools.accumulate((count for _, count in shapes), initial=0))
    assert set(zip(index.offsets, index.records, strict=True)) <= set(
        zip(ends, counts, strict=True)
    )
    assert (index.num_records, index.offsets[-1]) == (counts[-1], ends[-1])
    # Few entries, and little in each stretch beside one large chunk.
    assert index.num_stretches <= 1 + 2 * ends[-1] // SPACING_BYTES
    assert all(stretch.size_bytes < 4 * SPACING_BYTES for stretch in index.stretches())


@pytest.mark.parametrize(("size_bytes", "most_reads"), [(100, 1), (3000, 10), (100_000, 50)])
def test_bodies_are_read_only_with_several_headers_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int, most_reads: int
) -> None:
    path = tmp_path / "data"
    path.write_bytes(chunk(size_bytes) * 50)
    reads: list[int] = []
    pread = os.pread

    def recording_pread(descriptor: int, size: int, offset: int) -> bytes:
        reads.append(size)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", recording_pread)
    assert indexed(path).num_records == 50
    assert len(reads) <= most_reads
    assert sum(reads) <= 2**14 * min(most_reads, 10) + HEADER_BYTES * most_reads


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    index = indexed(path)
    assert (index.num_stretches, index.num_records) == (0, 0)
    assert headers(path) == []


@every_walk
@pytest.mark.parametrize("tail", [b"\0", b"garbage", bytes(100), struct.pack("<I", MAGIC)])
def test_what_follows_the_last_chunk(
    mixed: tuple[Path, list[bytes]], tail: bytes, walk: Callable[[Path], Any]
) -> None:
    path, _ = mixed
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(tail)
    with pytest.raises(CorruptDataError, match=r"mixed.recordio, at byte \d+: ") as caught:
        walk(path)
    assert (caught.value.path, caught.value.offset_bytes) == (str(path), size)


@every_walk
def test_a_last_chunk_that_is_cut(
    mixed: tuple[Path, list[bytes]], walk: Callable[[Path], Any]
) -> None:
    path, chunks = mixed
    offset = sum(map(len, chunks[:-1]))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CorruptDataError, match="the chunk claims a body of") as caught:
        walk(path)
    assert caught.value.offset_bytes == offset


@every_walk
def test_a_file_that_is_not_recordio(tmp_path: Path, walk: Callable[[Path], Any]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some notes about the data\n")
    with pytest.raises(CorruptDataError, match=r"notes.txt, at byte 0: no RecordIO chunk .*b'some"):
        walk(path)


def test_a_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(chunk(100_000) * 3)
    with open_file(str(path)) as file:
        os.truncate(path, 150_000)
        with pytest.raises(DataError, match="data: the file shrank while it was read"):
            index_chunks(file)


@pytest.mark.parametrize(
    ("chunk_bytes", "records", "splits"),
    [
        (1 << 20, 100, [100, 200, 300]),
        (1 << 16, 100, []),  # small enough to be decoded for a part of its records
        (1 << 20, 8, []),  # large records, of which a task has many chunks
    ],
)
def test_large_chunks_are_groups(
    tmp_path: Path, chunk_bytes: int, records: int, splits: list[int]
) -> None:
    path = tmp_path / "data"
    path.write_bytes(chunk(chunk_bytes, records=records) * 4)
    assert list(RecordIOFormat().natural_splits(indexed(path))) == splits


def test_what_is_shown_of_a_file(mixed: tuple[Path, list[bytes]]) -> None:
    with open_file(str(mixed[0])) as file:
        shown = RecordIOFormat().describe(file, index_chunks(file))
    assert shown == {
        "chunks": "6",
        "dialect": "go, python",
        "compressor": "gzip, none, snappy",
    }


@pytest.mark.parametrize("count", [1, 4])
def test_a_stretch_of_more_records_than_indexed(count: int) -> None:
    first, second = chunk(100, records=3), chunk(100, records=2)
    stretch = Stretch(10, 10 + count, 5000, 5200)
    with pytest.raises(CorruptDataError, match="more records than when the file was indexed") as e:
        RecordIOFormat().decode("data", stretch, first + second)
    assert e.value.offset_bytes == (5000 if count == 1 else 5100)
