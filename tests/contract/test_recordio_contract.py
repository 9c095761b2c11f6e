"""RecordIO through the suite that every reader goes through, wherever the files are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import fsspec
import pytest

from elasticdl_like.data_readers.recordio import (
    Compressor,
    Dialect,
    RecordIODataReader,
    RecordIOWriter,
)
from elasticdl_like.testing import check_data_reader
from range_server import RangeServer

GOLDEN = Path(__file__).parents[1] / "recordio_golden"
GOLDEN_FILES = sorted(path.name for path in GOLDEN.glob("*.recordio"))


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_files_of_the_original_implementations(name: str) -> None:
    check_data_reader(lambda: RecordIODataReader(data_origin=str(GOLDEN / name)))


def test_there_are_golden_files_of_each_dialect_and_compressor() -> None:
    kinds = {tuple(name.split("-")[:2]) for name in GOLDEN_FILES}
    assert kinds == set(product(("go", "python"), ("none", "snappy", "gzip")))


@pytest.mark.parametrize(("dialect", "compressor"), list(product(Dialect, Compressor)))
def test_a_directory_of_our_own_writer(
    tmp_path: Path, dialect: Dialect, compressor: Compressor
) -> None:
    for name, count in (("a", 1), ("b", 31), ("c", 0)):
        path = tmp_path / name
        with RecordIOWriter(
            path, dialect=dialect, compressor=compressor, max_chunk_records=4
        ) as writer:
            for number in range(count):
                writer.write(f"{name}{number}".encode() * (number % 3))
    check_data_reader(lambda: RecordIODataReader(data_origin=str(tmp_path)))


@pytest.fixture
def large(tmp_path: Path) -> bytes:
    """A file of many stretches."""
    with RecordIOWriter(
        tmp_path / "large", compressor=Compressor.NONE, max_chunk_bytes=20_000
    ) as writer:
        for number in range(3000):
            writer.write(b"%d" % number * (number % 50))
    return (tmp_path / "large").read_bytes()


@pytest.mark.parametrize("gives_ranges", [True, False])
def test_a_web_server(large: bytes, gives_ranges: bool) -> None:
    with RangeServer({"/set/a": large, "/set/b": b""}, gives_ranges=gives_ranges) as server:
        check_data_reader(lambda: RecordIODataReader(data_origin=f"{server.url}/set/"))


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


@pytest.mark.parametrize("origin", ["memory://set", "memory://set/*", "memory://set/a"])
def test_any_file_system_of_fsspec(
    memory: fsspec.AbstractFileSystem, large: bytes, origin: str
) -> None:
    memory.pipe_file("/set/a", large)
    check_data_reader(lambda: RecordIODataReader(data_origin=origin))


def test_an_index_directory_and_several_files(tmp_path: Path, large: bytes) -> None:
    (tmp_path / "second").write_bytes(large)
    origin = f"{tmp_path}/large,{tmp_path}/second"
    index_dir = str(tmp_path / "indexes")
    check_data_reader(lambda: RecordIODataReader(data_origin=origin, index_dir=index_dir))
