"""Walking the chunk headers of a file."""

from __future__ import annotations

import os
import struct
from itertools import product
from pathlib import Path

import pytest

from elasticdl_like.data_readers.recordio.format import (
    HEADER_BYTES,
    MAGIC,
    Compressor,
    Dialect,
    encode_chunk,
)
from elasticdl_like.data_readers.recordio.index import IndexedChunk, index_file
from elasticdl_like.errors import CorruptDataError, DataError

KINDS = list(product(Dialect, Compressor))


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
    index = index_file(str(path))
    assert index.chunk_count == len(KINDS)
    assert index.record_count == 1 + 2 + 3 + 4 + 5 + 6
    assert index.size_bytes == path.stat().st_size
    offset_bytes = first_record = 0
    for number, (chunk, (dialect, compressor)) in enumerate(zip(chunks, KINDS, strict=True)):
        assert index.chunk(number) == IndexedChunk(
            offset_bytes=offset_bytes,
            body_size_bytes=len(chunk) - HEADER_BYTES,
            first_record=first_record,
            record_count=number + 1,
            dialect=dialect,
            compressor=compressor,
        )
        offset_bytes += len(chunk)
        first_record += number + 1
    with pytest.raises(IndexError):
        index.chunk(len(KINDS))


def test_chunks_covering_every_range(mixed: tuple[Path, list[bytes]]) -> None:
    index = index_file(str(mixed[0]))
    chunk_of_record = [number for number in range(6) for _ in range(number + 1)]
    for start in range(22):
        for end in range(start, 22):
            expected = sorted(set(chunk_of_record[start:end]))
            assert list(index.chunks_covering(start, end)) == expected


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2), (0, 22), (22, 22), (5, 2**70)])
def test_a_range_that_is_not_in_the_file(
    mixed: tuple[Path, list[bytes]], start: int, end: int
) -> None:
    index = index_file(str(mixed[0]))
    with pytest.raises(DataError, match=r"mixed.recordio: asked for .* the file holds 21"):
        index.chunks_covering(start, end)


def test_only_headers_are_read(
    mixed: tuple[Path, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[tuple[int, int]] = []
    pread = os.pread

    def recording_pread(descriptor: int, size: int, offset: int) -> bytes:
        reads.append((size, offset))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", recording_pread)
    index = index_file(str(mixed[0]))
    offsets = [index.chunk(number).offset_bytes for number in range(index.chunk_count)]
    assert reads == [(HEADER_BYTES, offset) for offset in offsets]


def test_many_chunks_are_few_bytes(tmp_path: Path) -> None:
    path = tmp_path / "many.recordio"
    path.write_bytes(encode_chunk([b""], Dialect.GO, Compressor.NONE) * 20_000)
    index = index_file(str(path))
    assert index.record_count == 20_000
    columns = (index.chunk_offsets, index.first_records)
    assert sum(column.nbytes for column in columns) == 16 * 20_001
    assert not any(column.flags.writeable for column in columns)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    index = index_file(str(path))
    assert (index.chunk_count, index.record_count) == (0, 0)
    assert list(index.chunks_covering(0, 0)) == []


@pytest.mark.parametrize("tail", [b"\0", b"garbage", bytes(100), struct.pack("<I", MAGIC)])
def test_what_follows_the_last_chunk(mixed: tuple[Path, list[bytes]], tail: bytes) -> None:
    path, _ = mixed
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(tail)
    with pytest.raises(CorruptDataError, match=r"mixed.recordio, at byte \d+: ") as caught:
        index_file(str(path))
    assert (caught.value.path, caught.value.offset_bytes) == (str(path), size)


def test_a_last_chunk_that_is_cut(mixed: tuple[Path, list[bytes]]) -> None:
    path, chunks = mixed
    offset = sum(map(len, chunks[:-1]))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CorruptDataError, match="but the file has") as caught:
        index_file(str(path))
    assert caught.value.offset_bytes == offset


def test_a_file_that_is_not_recordio(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some notes about the data\n")
    with pytest.raises(CorruptDataError, match=r"notes.txt, at byte 0: no RecordIO chunk .*b'some"):
        index_file(str(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: cannot be read: No such file"):
        index_file(str(tmp_path / "absent"))


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a regular file"):
        index_file(str(tmp_path))


def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: not a regular file"):
        index_file(str(tmp_path / "pipe"))


def test_a_changed_file(mixed: tuple[Path, list[bytes]]) -> None:
    path, chunks = mixed
    index = index_file(str(path))
    index.check_unchanged(path.stat())
    os.utime(path, ns=(0, 1))
    with pytest.raises(DataError, match="changed after it was indexed"):
        index.check_unchanged(path.stat())
    path.write_bytes(chunks[0])
    os.utime(path, ns=(0, index.mtime_ns))
    with pytest.raises(DataError, match=f"from {index.size_bytes} to {len(chunks[0])} bytes"):
        index.check_unchanged(path.stat())
