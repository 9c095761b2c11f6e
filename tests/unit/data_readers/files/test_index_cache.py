"""Indexes on disk: what is kept is found again, and what is damaged is made anew."""

from __future__ import annotations

import logging
import os
from array import array
from pathlib import Path

import pytest

from elasticdl_like.data_readers.files.index_cache import FileIndex, IndexCache
from elasticdl_like.sparse_index import SparseIndex


def entry(version: str, *edges: tuple[int, int]) -> FileIndex:
    records, offsets = zip((0, 0), *edges, strict=True)
    return FileIndex(version, SparseIndex(array("q", records), array("q", offsets)))


INDEXES = {
    "/data/a": entry("size=1", (10, 70_000), (12, 140_000)),
    "s3://bucket/ü\n": entry('etag="x"', (2**40, 2**45)),
    "/data/empty": entry(""),
}


def cache(directory: Path, data_origin: str = "/data", name: str = "lines/1") -> IndexCache:
    return IndexCache(str(directory), data_origin, name)


def test_what_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there"
    assert cache(directory).load() == {}
    cache(directory).save(INDEXES)
    assert cache(directory).load() == INDEXES
    cache(directory).save({})
    assert cache(directory).load() == {}
    assert len(list(directory.iterdir())) == 1


def test_data_sets_and_formats_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache(tmp_path).save(INDEXES)
    assert cache(tmp_path, data_origin="/other").load() == {}
    assert cache(tmp_path, name="lines/2").load() == {}
    cache(tmp_path, data_origin="relative").save(INDEXES)
    assert cache(tmp_path, data_origin="relative").load() == INDEXES
    monkeypatch.chdir(tmp_path)
    assert cache(tmp_path, data_origin="relative").load() == {}


def test_nothing_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    without = IndexCache("", "/data", "lines/1")
    without.save(INDEXES)
    assert without.load() == {}
    assert list(tmp_path.iterdir()) == []


def test_every_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache(tmp_path).save(INDEXES)
    (path,) = tmp_path.iterdir()
    stored = path.read_bytes()
    damaged = [stored[:size] for size in range(len(stored))]
    damaged += [stored + b"\0", b"", os.urandom(1000)]
    for position in range(len(stored)):
        flipped = bytearray(stored)
        flipped[position] ^= 1 << position % 8
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        caplog.clear()
        assert cache(tmp_path).load() == {}
        assert "so the data is indexed again" in caplog.text


def test_a_directory_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        cache(tmp_path / "file" / "below").save(INDEXES)
    assert "will be indexed again next time" in caplog.text
