"""csv rows as typed columns, against Python's csv module, and what is said of wrong ones."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.lease_reader import LeaseReader
from elasticdl_like.data_readers.reading import list_shards
from elasticdl_like.data_readers.text.csv_format import CsvFormat
from elasticdl_like.data_readers.text.csv_reader import CsvDataReader
from elasticdl_like.errors import ConfigError, CorruptDataError, DataError
from elasticdl_like.master.epoch import Epoch
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.sparse_index import Stretch
from elasticdl_like.tasks import EpochKey, Task, TaskType


def read_all(reader: CsvDataReader) -> list[tuple[Any, ...]]:
    return [
        record
        for name, (first, count) in reader.create_shards().items()
        for record in reader.read_records(Task(name, first, first + count))
    ]


def reader_of(path: Path, text: str | bytes, **parameters: Any) -> CsvDataReader:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return CsvDataReader(data_origin=str(path), **parameters)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "a.csv"


def is_open_at_end(text: str) -> bool:
    """Returns whether the text ends in quotes, which the csv module takes for closed then."""
    with_one_more = list(csv.reader(io.StringIO(text + "\nx", newline="")))
    return with_one_more[-1] != ["x"]


fields = st.lists(st.sampled_from([*'ab,"\n\r ', '""', "é", "\0"]), max_size=6).map("".join)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(fields, fields, fields), min_size=1),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_written_rows_are_read_again(
    scratch: Path, rows: list[tuple[str, ...]], line_end: str
) -> None:
    written = io.StringIO()
    # Of its own, it would not quote "\r".
    writer = csv.writer(written, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([("x", "y", "z"), *rows])
    reader = reader_of(scratch, written.getvalue(), column_types=dict.fromkeys("xyz", "string"))
    assert read_all(reader) == [tuple(field.encode() for field in row) for row in rows]


@settings(deadline=None)
@given(text=st.lists(st.sampled_from([*'\n\r,,"a', "\r\n", '""', '",', ',"', "\n\n"])).map("".join))
def test_any_text_is_read_as_by_the_csv_module(scratch: Path, text: str) -> None:
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assume(rows and len({len(row) for row in rows}) == 1)
    names = [f"c{number}" for number in range(len(rows[0]))]
    reader = reader_of(
        scratch,
        text,
        header=False,
        column_names=names,
        column_types=dict.fromkeys(names, "string"),
    )
    if is_open_at_end(text):
        with pytest.raises(CorruptDataError, match="never closed"):
            read_all(reader)
    else:
        assert read_all(reader) == [tuple(field.encode() for field in row) for row in rows]


def test_types_come_from_the_first_rows(tmp_path: Path) -> None:
    text = 'i,f,b,s,n,d\n1,2.5,true,x,3,2020-01-01\n2,nan,false,"4",,2020-01-02\n'
    reader = reader_of(tmp_path / "a.csv", text)
    assert reader.output_signature == {
        "i": "int64",
        "f": "float64",
        "b": "bool",
        "s": "string",
        "n": "float64",
        "d": "string",
    }
    assert reader.metadata.column_names == ("i", "f", "b", "s", "n", "d")
    assert reader.metadata.column_dtypes["i"] == np.int64
    (batch,) = reader.read_record_batches(Task(str(tmp_path / "a.csv"), 0, 2))
    assert isinstance(batch, dict)
    assert {name: column.dtype for name, column in batch.items()} == reader.metadata.column_dtypes
    assert batch["s"].tolist() == [b"x", b"4"]
    np.testing.assert_array_equal(batch["n"], [3.0, np.nan])


def test_types_come_from_the_first_file_with_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("x,y\n")
    (tmp_path / "c.csv").write_text("x,y\n1,2.5\n")
    reader = CsvDataReader(data_origin=str(tmp_path))
    assert reader.output_signature == {"x": "int64", "y": "float64"}
    assert read_all(reader) == [(1, 2.5)]


@pytest.mark.parametrize(
    ("type_name", "field", "value"),
    [
        ("int8", "-7", np.int8(-7)),
        ("uint64", str(2**64 - 1), np.uint64(2**64 - 1)),
        ("float32", "0.1", np.float32(0.1)),
        ("bool", "true", np.True_),
        ("string", " 07 ", b" 07 "),
        ("date", "1970-01-31", np.int32(30)),
        ("timestamp[ms]", "1970-01-01 00:00:01.5", np.int64(1500)),
        ("timestamp[s, UTC]", "1970-01-01T02:00:00+01:00", np.int64(3600)),
    ],
)
def test_types_that_are_named(tmp_path: Path, type_name: str, field: str, value: Any) -> None:
    reader = reader_of(
        tmp_path / "a.csv", f"x,y\n{field},1\n", column_types={"x": type_name}, columns=["x"]
    )
    ((found,),) = read_all(reader)
    assert found == value
    assert type(found) is type(value)


def test_chosen_columns_come_in_the_chosen_order(tmp_path: Path) -> None:
    reader = reader_of(tmp_path / "a.csv", "a,b,c\n1,x,2\n", columns=["c", "a"])
    assert list(reader.output_signature) == ["c", "a"]
    assert read_all(reader) == [(2, 1)]


def test_defaults_stand_for_nulls(tmp_path: Path) -> None:
    reader = reader_of(
        tmp_path / "a.csv",
        "i,s,f\n1,?,?\n?,,2\n",
        null_values=["?"],
        defaults={"i": 7, "s": "none"},
    )
    assert reader.output_signature == {"i": "int64", "s": "string", "f": "float64"}
    (first, second) = read_all(reader)
    assert first[:2] == (1, b"none")
    assert np.isnan(first[2])
    assert second == (7, b"", 2.0)


def test_without_a_header_the_first_row_is_a_record(tmp_path: Path) -> None:
    text = "\ufeff1;a\n\n2;b"
    reader = reader_of(
        tmp_path / "a.csv", text, header=False, column_names=["x", "y"], delimiter=";"
    )
    assert read_all(reader) == [(1, b"a"), (2, b"b")]


def test_a_mark_of_utf8_inside_the_file_is_kept(tmp_path: Path) -> None:
    reader = reader_of(tmp_path / "a.csv", "\ufeffx,y\n\ufeffa,1\n")
    assert read_all(reader) == [("\ufeffa".encode(), 1)]


def test_tabs_separate_the_fields_of_tsv_files(tmp_path: Path) -> None:
    assert read_all(reader_of(tmp_path / "a.tsv", "x\ty\n1,5\t2\n")) == [(b"1,5", 2)]


LONG = "".join(f"{number},{number}\n" for number in range(200_000))


@pytest.mark.parametrize(
    ("last_row", "problem"),
    [
        ("x,1", r"record 200000: column 'a': .*'x'.* column_types=\{'a': …\}"),
        ("1,2.5", r"record 200000: column 'b': .*'2\.5'.* column_types=\{'b': …\}"),
        ("1,", r"record 200000: column 'b': no value.* defaults=\{'b': …\}"),
        ("1", "record 200000: Expected 2 columns, got 1: 1"),
        ('1,2,"3\n4"', r"record 200000: Expected 2 columns, got 3: 1,2,\"3\\n4\""),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, last_row: str, problem: str) -> None:
    path = tmp_path / "a.csv"
    reader = reader_of(path, f"a,b\n{LONG}\n\n{last_row}\n0,0\n")
    assert reader.create_shards() == {str(path): (0, 200_002)}
    with pytest.raises(CorruptDataError, match=problem) as caught:
        list(reader.read_record_batches(Task(str(path), 200_000, 200_001)))
    assert caught.value.path == str(path)
    assert caught.value.offset_bytes == len("a,b\n") + len(LONG) + 2
    assert "\n" not in str(caught.value)
    assert len(list(reader.read_records(Task(str(path), 0, 1000)))) == 1000


def test_a_quote_that_is_never_closed_is_an_error(tmp_path: Path) -> None:
    reader = reader_of(tmp_path / "a.csv", 'a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(CorruptDataError, match=r"at byte 8: .* never closed.*quote_char=''"):
        reader.create_shards()
    reader = reader_of(tmp_path / "a.csv", 'a,b\n1,2\n3,"4\n5,6\n', quote_char="")
    assert read_all(reader) == [(1, b"2"), (3, b'"4'), (5, b"6")]


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("y,x\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv: .*'y', 'x', but that of .*a\.csv names 'x', 'y'"):
        CsvDataReader(data_origin=str(tmp_path)).create_shards()


def test_an_index_on_disk_of_other_columns_is_not_used(tmp_path: Path) -> None:
    data, indexes = tmp_path / "data", str(tmp_path / "indexes")
    data.mkdir()
    for name in ("a.csv", "b.csv"):
        (data / name).write_text("x,y\n1,2\n")
    CsvDataReader(data_origin=str(data), index_dir=indexes).create_shards()
    (data / "a.csv").write_text("y,x\n1,2\n")
    with pytest.raises(DataError, match="the header names"):
        CsvDataReader(data_origin=str(data), index_dir=indexes).create_shards()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a,b,a\n1,2,3\n", "2 columns named 'a'.*header=False"),
        (b"\xff,b\n1,2\n", "header cannot be read.*header=False"),
        (b'"a' + b"x" * (1 << 20) + b'",b\n1,2\n', "no header in the first"),
        (b"a,b\n1,2\n1,2,3\n", "at byte 8: record 1: Expected 2 columns"),
    ],
)
def test_a_beginning_that_cannot_be_read(tmp_path: Path, text: bytes, problem: str) -> None:
    with pytest.raises(CorruptDataError, match=problem):
        reader_of(tmp_path / "a.csv", text).create_shards()


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n", "\ufeff"])
def test_files_without_rows_are_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="no record in it"):
        reader_of(tmp_path / "a.csv", text).create_shards()


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"header": False}, "column_names is for files without a header"),
        ({"column_names": ["a", "b"]}, "column_names is for files without a header"),
        ({"columns": "a"}, "columns is 'a'; it is a list"),
        ({"columns": ["a", "a"]}, "columns has a value twice"),
        ({"columns": ["c"]}, "columns names 'c', which is no column of .*a.csv: 'a', 'b'"),
        (
            {"column_types": {"a": "float"}},
            "column_types has 'float' for column 'a'; there is int8",
        ),
        ({"column_types": {"c": "int8"}}, "column_types names 'c'"),
        ({"defaults": {"a": "x"}}, "defaults has 'x' for column 'a'"),
        ({"delimiter": "::"}, "delimiter is '::'"),
    ],
)
def test_parameters_that_do_not_fit(
    tmp_path: Path, parameters: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        reader_of(tmp_path / "a.csv", "a,b\n1,2\n", **parameters).create_shards()


def test_a_field_longer_than_a_stretch(tmp_path: Path) -> None:
    long = "x\n" * 500_000
    reader = reader_of(tmp_path / "a.csv", f'a,b\n1,x\n2,"{long}"\n3,y\n')
    assert read_all(reader) == [(1, b"x"), (2, long.encode()), (3, b"y")]


def test_in_random_order_each_stretch_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = reader_of(
        tmp_path / "a.csv", "a,b\n" + "".join(f"{row},{row}.5\n" for row in range(100_000))
    )
    (shard,) = list_shards(reader)
    assert shard.index is not None
    assert list(shard.splits) == list(shard.index.records[1:-1])
    assert len(shard.splits) > 3
    parsed: list[Stretch] = []
    decode = CsvFormat.decode

    def counted(self: CsvFormat, file_name: str, stretch: Stretch, data: bytes) -> Any:
        parsed.append(stretch)
        return decode(self, file_name, stretch, data)

    monkeypatch.setattr(CsvFormat, "decode", counted)
    epoch = Epoch(EpochKey(TaskType.TRAINING, 0), ShardTable([shard], 512), 7)
    leases = LeaseReader(reader)
    found: list[int] = []
    while (lease := epoch.lease(0, 1, len(found) + 1)) is not None:
        for batch in leases.read(lease):
            assert isinstance(batch, dict)
            found += batch["a"].tolist()
    assert sorted(found) == list(range(100_000)) != found
    assert len(parsed) == len(set(parsed)) == shard.index.num_stretches
