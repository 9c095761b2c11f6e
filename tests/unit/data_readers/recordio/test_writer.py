"""Writing files: what comes back, where chunks end, and that a file is whole or not there."""

from __future__ import annotations

import io
import os
import stat
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.files import open_file
from elasticdl_like.data_readers.recordio import (
    Compressor,
    Dialect,
    RecordIODataReader,
    RecordIOWriter,
)
from elasticdl_like.data_readers.recordio.format import ChunkHeader
from elasticdl_like.data_readers.recordio.index import chunk_headers
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task

KINDS = list(product(Dialect, Compressor))


def read(path: Path) -> list[bytes]:
    reader = RecordIODataReader(data_origin=str(path))
    return list(reader.read_records(Task(str(path), 0, sum(counts(headers(path))))))


def headers(path: Path) -> list[ChunkHeader]:
    with open_file(str(path)) as file:
        return [header for _, header in chunk_headers(file)]


def counts(chunks: list[ChunkHeader]) -> list[int]:
    return [header.record_count for header in chunks]


def write(path: Path, records: list[bytes], **options: Any) -> list[ChunkHeader]:
    with RecordIOWriter(path, **options) as writer:
        for record in records:
            writer.write(record)
    return headers(path)


@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(
    records=st.lists(st.one_of(st.just(b""), st.binary(max_size=30)), max_size=40),
    kind=st.sampled_from(KINDS),
    max_chunk_bytes=st.integers(1, 200),
    max_chunk_records=st.one_of(st.none(), st.integers(1, 10)),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[bytes],
    kind: tuple[Dialect, Compressor],
    max_chunk_bytes: int,
    max_chunk_records: int | None,
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.recordio"
    chunks = write(
        path,
        records,
        dialect=kind[0],
        compressor=kind[1],
        max_chunk_bytes=max_chunk_bytes,
        max_chunk_records=max_chunk_records,
    )
    assert sum(counts(chunks)) == len(records)
    assert read(path) == records
    if max_chunk_records is not None:
        assert max(counts(chunks), default=0) <= max_chunk_records
    for chunk in chunks:
        assert (chunk.dialect, chunk.compressor) == kind
        if chunk.record_count > 1 and chunk.compressor is Compressor.NONE:
            assert chunk.body_size_bytes <= max_chunk_bytes


def test_defaults(tmp_path: Path) -> None:
    chunks = write(tmp_path / "data", [bytes(100)] * 1_000)
    assert (chunks[0].dialect, chunks[0].compressor) == (Dialect.GO, Compressor.SNAPPY)
    assert counts(chunks) == [2**16 // 104, 1_000 - 2**16 // 104]


def test_where_chunks_end(tmp_path: Path) -> None:
    path = tmp_path / "data"
    assert counts(write(path, [b"12345678"] * 7, max_chunk_bytes=36)) == [3, 3, 1]
    assert counts(write(path, [b"12345678"] * 7, max_chunk_bytes=35)) == [2, 2, 2, 1]
    assert counts(write(path, [b""] * 7, max_chunk_bytes=12)) == [3, 3, 1]
    assert counts(write(path, [b"12345678"] * 4, max_chunk_records=2)) == [2, 2]
    assert counts(write(path, [b"1", bytes(99), b"2", b"3"], max_chunk_bytes=20)) == [1, 1, 2]
    assert counts(write(path, [bytes(99), b"1"], max_chunk_bytes=20)) == [1, 1]


def test_no_records_make_an_empty_file(tmp_path: Path) -> None:
    assert write(tmp_path / "data", []) == []
    assert (tmp_path / "data").stat().st_size == 0


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"what was there before")
    with RecordIOWriter(path, max_chunk_records=1) as writer:
        writer.write(b"a")
        writer.write(b"b")
        assert path.read_bytes() == b"what was there before"
        others = [entry.name for entry in tmp_path.iterdir() if entry != path]
        assert len(others) == 1
        assert others[0].startswith(".data.")
    assert read(path) == [b"a", b"b"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "data", [b"a"])
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert len(modes) == 1


def test_an_exception_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"what was there before")

    def fail_half_way() -> None:
        with RecordIOWriter(str(path), max_chunk_records=1) as writer:
            writer.write(b"a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"what was there before"


def test_an_exception_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "data", [b"a"])
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "absent" / "data", [b"a"])


def test_a_file_object(tmp_path: Path) -> None:
    file = io.BytesIO()
    for record in (b"first", b"second"):
        with RecordIOWriter(file, dialect=Dialect.PYTHON) as writer:
            writer.write(record)
    (tmp_path / "data").write_bytes(file.getvalue())
    assert read(tmp_path / "data") == [b"first", b"second"]


class FailsOnce(io.BytesIO):
    """A file whose second write stops half-way."""

    writes = 0

    def write(self, data: Any) -> int:
        self.writes += 1
        if self.writes == 2:
            super().write(data[:10])
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_failed_write_cannot_be_passed_over() -> None:
    def pass_over_a_failure() -> None:
        with RecordIOWriter(FailsOnce(), max_chunk_records=1) as writer:
            writer.write(b"a")
            with suppress(OSError):
                writer.write(b"b")

    with pytest.raises(DataError, match="an earlier write failed"):
        pass_over_a_failure()


def test_writing_outside_the_with_block(tmp_path: Path) -> None:
    writer = RecordIOWriter(tmp_path / "data")
    with pytest.raises(ValueError, match="not open"):
        writer.write(b"a")
    with writer:
        writer.write(b"b")
    with pytest.raises(ValueError, match="not open"):
        writer.write(b"c")
    assert read(tmp_path / "data") == [b"b"]


@pytest.mark.parametrize("record", ["text", bytearray(b"a"), 5, None])
def test_what_is_not_bytes(tmp_path: Path, record: Any) -> None:
    with RecordIOWriter(tmp_path / "data") as writer, pytest.raises(TypeError, match="be bytes"):
        writer.write(record)


@pytest.mark.parametrize(
    "limits", [{"max_chunk_bytes": 0}, {"max_chunk_records": 0}, {"max_chunk_records": -1}]
)
def test_limits_below_one(tmp_path: Path, limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        RecordIOWriter(tmp_path / "data", **limits)
    assert list(tmp_path.iterdir()) == []
