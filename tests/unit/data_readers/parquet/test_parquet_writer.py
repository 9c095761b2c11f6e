from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from elasticdl_like.data_readers.parquet import ParquetDataReader, ParquetWriter
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task


def read(path: Path) -> dict[str, Any]:
    reader = ParquetDataReader(data_origin=str(path))
    ((name, first, count),) = reader.create_shards()
    batches = list(reader.read_record_batches(Task(name, first, count)))
    return {
        column: np.concatenate([batch[column] for batch in batches])  # type: ignore[call-overload]
        for column in batches[0]
    }


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
def test_columns_come_back(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.parquet"
    columns: dict[str, Any] = {
        "int": np.arange(100, dtype=np.int16),
        "half": np.linspace(0, 1, 100).astype(np.float16),
        "flag": np.arange(100) % 3 == 0,
        "matrix": np.random.default_rng(0).random((100, 3)).astype(np.float32),
        "bytes": np.array([b"\0" * (row % 3) for row in range(100)], object),
    }
    with ParquetWriter(path, compression=compression) as writer:
        for start in range(0, 100, 30):
            part = slice(start, start + 30)
            writer.write_batch({name: column[part] for name, column in columns.items()})
    found = read(path)
    assert list(found) == list(columns)
    for name, column in columns.items():
        assert found[name].dtype == column.dtype
        np.testing.assert_array_equal(found[name], column)


def test_text_comes_back_as_utf_8(tmp_path: Path) -> None:
    with ParquetWriter(tmp_path / "a.parquet") as writer:
        writer.write_batch({"a": np.array(["é", ""]), "b": np.array(["x", "yz"], object)})
    found = read(tmp_path / "a.parquet")
    assert found["a"].tolist() == ["é".encode(), b""]
    assert found["b"].tolist() == [b"x", b"yz"]


def test_records_of_bytes_are_one_column(tmp_path: Path) -> None:
    records = [b"", b"\0\0", b"abc"]
    with ParquetWriter(tmp_path / "a.parquet") as writer:
        writer.write_batch(records)
    assert read(tmp_path / "a.parquet")["record"].tolist() == records


def test_nothing_written_is_a_file_without_records(tmp_path: Path) -> None:
    with ParquetWriter(tmp_path / "a.parquet"):
        pass
    assert pq.read_table(tmp_path / "a.parquet").column_names == ["record"]


def group_sizes(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def test_row_groups_end_at_either_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with ParquetWriter(path, max_group_rows=100) as writer:
        for _ in range(5):
            writer.write_batch({"a": np.arange(70)})
    assert group_sizes(path) == [100, 100, 100, 50]
    with ParquetWriter(path, max_group_bytes=1000) as writer:
        for _ in range(5):
            writer.write_batch({"a": np.arange(70)})
    assert group_sizes(path) == [140, 140, 70]


def test_the_size_counts_what_is_held(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rng = np.random.default_rng(0)
    with ParquetWriter(path, compression="none", max_group_rows=1000) as writer:
        sizes = [writer.size_bytes]
        for _ in range(6):
            writer.write_batch({"a": rng.random(400)})
            sizes.append(writer.size_bytes)
    assert sizes == sorted(sizes)
    assert 6 * 400 * 8 < sizes[-1] <= path.stat().st_size


def test_pages_have_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with ParquetWriter(path, compression="none") as writer:
        writer.write_batch({"a": np.random.default_rng(0).random(1000)})
    damaged = bytearray(path.read_bytes())
    damaged[4000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="CRC checksum verification failed"):
        read(path)


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"what was there")

    def fail() -> None:
        with ParquetWriter(path, max_group_rows=1) as writer:
            writer.write_batch([b"a", b"b"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([["text"]], "records of type str cannot be written"),
        ([[b"a"], {"a": np.arange(1)}], "a batch of the columns a after one of record"),
        ([{"a": np.arange(3)}, {"a": np.array(["x"])}], "column 'a' cannot be written"),
        ([{"a": np.zeros((2, 2, 2))}], r"column 'a' .* arrays of shape \(2, 2\); flatten them"),
        ([{"a": np.array([b"a", 5], object)}], "column 'a' cannot be written"),
        ([{"a": np.zeros((1, 2))}, {"a": np.zeros((1, 3))}], "column 'a' cannot be written"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, batches: list[Any], words: str) -> None:
    def write_all() -> None:
        with ParquetWriter(tmp_path / "a.parquet") as writer:
            for batch in batches:
                writer.write_batch(batch)

    with pytest.raises(DataError, match=words):
        write_all()
    assert not list(tmp_path.iterdir())


def test_parameters_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no Parquet compression 'zip'.*zstd, snappy"):
        ParquetWriter(tmp_path / "a", compression="zip")
    with pytest.raises(ConfigError, match="max_group_rows=0"):
        ParquetWriter(tmp_path / "a", max_group_rows=0)


def test_writing_outside_of_the_block(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not open"):
        ParquetWriter(tmp_path / "a").write_batch([b"a"])
