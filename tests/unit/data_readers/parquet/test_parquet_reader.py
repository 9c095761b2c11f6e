from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elasticdl_like.data_readers.parquet import ParquetDataReader, reader, source
from elasticdl_like.errors import ConfigError, CorruptDataError, DataError
from elasticdl_like.tasks import Task

GROUP = 100


def write(path: Path, group_rows: int = GROUP, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file of 1,050 rows in 11 row groups."""
    rows = np.arange(1050)
    names = [f"name {row // 100}" for row in rows]
    return write(tmp_path / "a.parquet", id=rows, half=rows.astype(np.float32) / 2, name=names)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The row groups that were decoded."""
    numbers: list[int] = []
    decode = source.ParquetSource.decode

    def noted(self: source.ParquetSource, number: int) -> Any:
        numbers.append(number)
        return decode(self, number)

    monkeypatch.setattr(source.ParquetSource, "decode", noted)
    return numbers


def read(data_reader: ParquetDataReader, task: Task) -> list[dict[str, Any]]:
    batches = list(data_reader.read_record_batches(task))
    assert all(isinstance(batch, dict) for batch in batches)
    return batches  # type: ignore[return-value]


def test_counts_and_splits_are_those_of_the_footers(tmp_path: Path) -> None:
    write(tmp_path / "b.pq", id=range(250))
    write(tmp_path / "a.parquet", id=range(100))
    write(tmp_path / "none.parquet", id=pa.array([], pa.int64()))
    (tmp_path / "_SUCCESS").touch()
    data_reader = ParquetDataReader(data_origin=str(tmp_path))
    names = [str(tmp_path / name) for name in ("a.parquet", "b.pq")]
    assert data_reader.create_shards() == [(names[0], 0, 100), (names[1], 0, 250)]
    for made in (data_reader, ParquetDataReader(data_origin=str(tmp_path))):
        assert [list(made.natural_splits(name)) for name in names] == [[], [100, 200]]
        assert [made.version(name).partition(",")[0] for name in names] == [
            f"size={Path(name).stat().st_size}" for name in names
        ]


def test_signature_and_metadata(path: str) -> None:
    data_reader = ParquetDataReader(data_origin=path)
    dtypes = {"id": np.dtype("int64"), "half": np.dtype("float32"), "name": np.dtype(object)}
    assert data_reader.output_signature == dtypes
    assert data_reader.metadata.column_names == ("id", "half", "name")
    assert data_reader.metadata.column_dtypes == dtypes


def test_chosen_columns_come_in_the_order_asked_for(path: str) -> None:
    data_reader = ParquetDataReader(data_origin=path, columns=["name", "id"])
    assert list(data_reader.output_signature) == ["name", "id"]
    (batch,) = read(data_reader, Task(path, 3, 5))
    assert {name: column.tolist() for name, column in batch.items()} == {
        "name": [b"name 0", b"name 0"],
        "id": [3, 4],
    }
    assert list(data_reader.read_records(Task(path, 3, 4))) == [(b"name 0", 3)]


def test_columns_have_the_order_of_the_first_file(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", x=[1], y=[2])
    other = write(tmp_path / "b.parquet", y=[3], x=[4])
    data_reader = ParquetDataReader(data_origin=str(tmp_path))
    assert len(data_reader.create_shards()) == 2
    assert list(data_reader.read_records(Task(other, 0, 1))) == [(4, 3)]


def test_a_row_group_is_decoded_once_for_many_tasks(path: str, decoded: list[int]) -> None:
    data_reader = ParquetDataReader(data_origin=path)
    for start in range(0, 1050, 30):
        read(data_reader, Task(path, start, min(start + 30, 1050)))
    assert decoded == list(range(11))


def test_a_row_group_is_given_as_it_is_kept(path: str) -> None:
    data_reader = ParquetDataReader(data_origin=path)
    whole = read(data_reader, Task(path, 200, 300))
    again = read(data_reader, Task(path, 200, 300))
    part = read(data_reader, Task(path, 220, 230))
    assert [len(batches) for batches in (whole, again, part)] == [1, 1, 1]
    for name in ("id", "half", "name"):
        assert again[0][name] is whole[0][name]
        assert np.shares_memory(part[0][name], whole[0][name])
    again[0].clear()  # is the consumer's
    assert len(read(data_reader, Task(path, 200, 300))[0]["id"]) == 100


def test_a_task_of_several_groups(path: str) -> None:
    batches = read(ParquetDataReader(data_origin=path), Task(path, 150, 420))
    assert [batch["id"].tolist() for batch in batches] == [
        list(range(150, 200)),
        list(range(200, 300)),
        list(range(300, 400)),
        list(range(400, 420)),
    ]


def test_few_groups_are_kept(
    path: str, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_KEPT_BYTES", 1)
    data_reader = ParquetDataReader(data_origin=path)
    for number in (0, 0, 1, 0):
        read(data_reader, Task(path, number * 100, number * 100 + 10))
    assert decoded == [0, 1, 0]


def test_threads_read_the_same_group_and_others(path: str, decoded: list[int]) -> None:
    data_reader = ParquetDataReader(data_origin=path)
    assert data_reader.reads_in_parallel
    together = threading.Barrier(4)

    def read_all(thread: int) -> list[int]:
        together.wait(30)
        starts = range(thread * 5, 1050, 20)
        tasks = [Task(path, start, min(start + 5, 1050)) for start in starts]
        return [row for task in tasks for batch in read(data_reader, task) for row in batch["id"]]

    with ThreadPoolExecutor(4) as pool:
        rows = [row for found in pool.map(read_all, range(4)) for row in found]
    assert sorted(rows) == list(range(1050))
    assert sorted(decoded) == list(range(11))


def test_more_records_than_there_are(path: str) -> None:
    with pytest.raises(DataError, match=r"has 1050 records, and records \[1000, 1051\)"):
        read(ParquetDataReader(data_origin=path), Task(path, 1000, 1051))


# The reader parameter `filter`.


@pytest.mark.parametrize(
    ("conditions", "runs"),
    [
        ([("id", ">=", 950)], [(900, 150)]),
        ([("id", ">", 949), ("id", "<=", 999)], [(900, 100)]),
        ([["id", "in", [5, 310, 311, 1049]]], [(0, 100), (300, 100), (1000, 50)]),
        ([("name", "==", "name 3")], [(300, 100)]),
        ([("name", "!=", "name 3")], [(0, 300), (400, 650)]),
        ([("name", "not in", ["name 0", "name 10"])], [(100, 900)]),
        ([("half", "<", 75)], [(0, 200)]),
        ([], [(0, 1050)]),
    ],
)
def test_row_groups_that_cannot_match_are_left_out(
    path: str, conditions: Any, runs: list[tuple[int, int]]
) -> None:
    data_reader = ParquetDataReader(data_origin=path, columns=["half"], filter=conditions)
    assert data_reader.create_shards() == [(path, first, count) for first, count in runs]
    assert len(data_reader.natural_splits(path)) == 10


def test_dates_are_compared_with_text(tmp_path: Path) -> None:
    days = pa.array(range(100), pa.int32()).cast(pa.date32())
    path = write(tmp_path / "a.parquet", group_rows=10, day=days)
    data_reader = ParquetDataReader(data_origin=path, filter=[("day", ">=", "1970-03-25")])
    assert data_reader.create_shards() == [(path, 80, 20)]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        (("kind", "=", "b"), [(10, 10)]),
        (("kind", "!=", "b"), [(0, 10)]),
        # Of an Arrow dictionary no statistics are used but how many nulls there are.
        (("dictionary", "=", "b"), [(0, 20)]),
    ],
)
def test_null_matches_nothing(tmp_path: Path, condition: Any, runs: Any) -> None:
    kinds = pa.array(["a"] * 10 + ["b"] * 10 + [None] * 10)
    path = write(
        tmp_path / "a.parquet", group_rows=10, kind=kinds, dictionary=kinds.dictionary_encode()
    )
    data_reader = ParquetDataReader(data_origin=path, filter=[condition])
    assert data_reader.create_shards() == [(path, first, count) for first, count in runs]


def test_without_statistics_everything_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": range(10)}), path, write_statistics=False)
    data_reader = ParquetDataReader(data_origin=path, filter=[("a", ">", 100)])
    assert data_reader.create_shards() == [(path, 0, 10)]


def test_the_log_says_that_rows_are_not_filtered(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ParquetDataReader(data_origin=path, filter=[("id", "<", 50)]).create_shards()
    assert "1 of 11 row groups can match" in caplog.text
    assert "rows that do not match included" in caplog.text


def test_a_filter_that_nothing_matches(path: str) -> None:
    with pytest.raises(DataError, match=r"no record .* 1050 rows.* the reader parameter filter"):
        ParquetDataReader(data_origin=path, filter=[("id", "<", 0)]).create_shards()


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ("id > 5", r"filter has 'id > 5'; it is a list of \(column, operator, value\)"),
        (("id", ">", 5), "filter has 'id'"),
        ([("id", "~", 5)], "with one of the operators =, ==, !="),
        ([("id", "in", 5)], "the value of the last two is a list"),
        ([("id", "<", [5])], "the value of the last two is a list"),
        ([("ID", "<", 5)], "no column 'ID', which the reader parameter filter names"),
        ([("id", "<", "five")], "compares column 'id' .*int64, with 'five'"),
    ],
)
def test_filters_that_make_no_sense(path: str, conditions: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ParquetDataReader(data_origin=path, filter=conditions).create_shards()


# Columns that cannot be read.


@pytest.mark.parametrize("columns", [[], "id", ["id", "id"], [5]])
def test_columns_has_to_be_a_list_of_names(path: str, columns: Any) -> None:
    with pytest.raises(ConfigError, match=r"parameter columns is .*columns=\['x', 'y'\]"):
        ParquetDataReader(data_origin=path, columns=columns)


def test_a_column_that_is_not_there(path: str) -> None:
    with pytest.raises(ConfigError, match=f"{path} has no column 'x'; it has id, half, name"):
        ParquetDataReader(data_origin=path, columns=["id", "x"]).create_shards()


def test_a_list_can_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", tags=[[1], [2, 3]], id=[1, 2])
    with pytest.raises(DataError, match=r"column 'tags' is list<.*columns=\[…\]"):
        ParquetDataReader(data_origin=path).create_shards()
    assert ParquetDataReader(data_origin=path, columns=["id"]).create_shards() == [(path, 0, 2)]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": [1.5]}, "a.parquet has column 'x' as int64, but .*b.parquet as double"),
        ({"z": [1]}, "a.parquet has a column 'x', which .*b.parquet has not"),
        ({"x": [1], "z": [1]}, "b.parquet has a column 'z', which .*a.parquet has not"),
    ],
)
def test_files_that_differ(tmp_path: Path, columns: Any, words: str) -> None:
    write(tmp_path / "a.parquet", x=[1])
    write(tmp_path / "b.parquet", **columns)
    with pytest.raises(DataError, match=words):
        ParquetDataReader(data_origin=str(tmp_path)).create_shards()


def test_nulls_need_a_default(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", group_rows=2, x=[1, 2, 3, None], y=[1.0, None, None, 2.0])
    data_reader = ParquetDataReader(data_origin=path)
    assert np.isnan(read(data_reader, Task(path, 0, 2))[0]["y"]).tolist() == [False, True]
    with pytest.raises(DataError, match="row group 1: 1 of 2 values of column 'x' are null"):
        read(data_reader, Task(path, 3, 4))
    data_reader = ParquetDataReader(data_origin=path, defaults={"x": -1, "y": 0})
    assert list(data_reader.read_records(Task(path, 2, 4))) == [(3, 0), (-1, 2)]
    with pytest.raises(ConfigError, match="no column 'z', which the reader parameter defaults"):
        ParquetDataReader(data_origin=path, defaults={"z": 0}).create_shards()
    with pytest.raises(ConfigError, match="reader parameter defaults is 0"):
        ParquetDataReader(data_origin=path, defaults=0)  # type: ignore[arg-type]


# Files that are not what they were.


def replace(path: str) -> None:
    Path(path).unlink()
    write(Path(path), id=range(1050), half=range(1050), name=range(1050))


def shrink(path: str) -> None:
    os.truncate(path, Path(path).stat().st_size // 2)


def vanish(path: str) -> None:
    Path(path).unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace, "changed after it was indexed"),
        (shrink, r"changed after|footer cannot be read"),
        (vanish, "no file there"),
    ],
)
def test_a_file_changes_before_it_is_opened(
    path: str, change: Callable[[str], None], words: str
) -> None:
    version = ParquetDataReader(data_origin=path).version(path)
    change(path)
    with pytest.raises(DataError, match=words) as caught:
        read(ParquetDataReader(data_origin=path, columns=["id"]), Task(path, 0, 9, version=version))
    assert path in str(caught.value) or change is vanish


def test_a_file_changes_while_it_is_read(path: str) -> None:
    data_reader = ParquetDataReader(data_origin=path)
    read(data_reader, Task(path, 0, 10))
    shrink(path)
    with pytest.raises(DataError, match=f"{path}: the file changed"):
        read(data_reader, Task(path, 500, 510))


def test_large_row_groups_are_warned_of(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ParquetDataReader(data_origin=path).create_shards()
    assert not caplog.records
    monkeypatch.setattr(reader, "_LARGE_GROUP_BYTES", 5000)
    ParquetDataReader(data_origin=path, columns=["id"]).create_shards()
    assert not caplog.records
    ParquetDataReader(data_origin=path).create_shards()
    assert "write the file with smaller row groups" in caplog.text


@pytest.mark.parametrize("body", [b"", b"PAR1", b"no Parquet" * 100, b"PAR1" * 5])
def test_not_a_parquet_file(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(body)
    with pytest.raises(CorruptDataError, match=rf"{path}, at byte \d+: the footer cannot be read"):
        ParquetDataReader(data_origin=str(path)).create_shards()
