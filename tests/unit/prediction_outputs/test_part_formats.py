"""Files of predictions hold what was predicted, as other programs read them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.recordio import RecordIODataReader
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.prediction_outputs.part_formats import FORMATS, part_encoder
from elasticdl_like.tasks import Task

ROWS = 3


def objects(*values: Any) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


PLACES = {
    "shard": objects("a.csv", "a.csv", "b.csv"),
    "index": np.array([7, 8, 0], np.int64),
}
TEXT = objects("plain", 'a "quoted", one', "Grüße\nand a line")
COLUMNS = {
    **{
        str(np.dtype(kind)): np.array([0, 1, 3], kind)
        for kind in ("bool", "int8", "uint8", "int32", "int64", "float16", "float32", "float64")
    },
    "third": np.array([1 / 3, 1e-30, -0.1], np.float32),
    "text": TEXT,
    "utf8": objects(*(each.encode() for each in TEXT)),
}
WIDE = {
    "two": np.arange(6, dtype=np.float32).reshape(3, 2) / 7,
    "three": np.arange(24, dtype=np.int64).reshape(3, 2, 4),
    "words": np.array([[b"a", b"b"], [b"c", b"d"], [b"e", b"f"]], object),
}


def read(name: str, data: bytes, directory: Path) -> list[dict[str, Any]]:
    """Returns the rows of a file, as a reader that knows nothing of us has them."""
    if name == "parquet":
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
        return rows
    if name == "csv":
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    if name == "jsonl":
        return [json.loads(line) for line in data.decode().split("\n")[:-1]]
    path = directory / "part.recordio"
    path.write_bytes(data)
    reader = RecordIODataReader(data_origin=str(path))
    (shard,) = list_shards(reader)
    batches = read_task(reader, Task(shard.name, 0, shard.count))
    return [json.loads(record) for batch in batches for record in batch]


def plain(column: np.ndarray, row: int) -> Any:
    value = column[row].tolist() if isinstance(column[row], np.ndarray) else column[row]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list) and isinstance(value[0], bytes):
        return [each.decode() for each in value]
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    columns = PLACES | COLUMNS | ({} if name == "csv" else WIDE)
    rows = read(name, part_encoder(name)(columns), tmp_path)
    assert len(rows) == ROWS
    for number, row in enumerate(rows):
        assert list(row) == list(columns)
        for column, array in columns.items():
            expected = plain(array, number)
            if name == "csv":
                if isinstance(expected, float):
                    assert array.dtype.type(row[column]) == expected
                else:
                    assert row[column] == (
                        str(expected).lower() if column == "bool" else str(expected)
                    )
            else:
                assert row[column] == expected, column


def test_the_types_of_parquet_are_those_of_the_arrays() -> None:
    data = part_encoder("parquet")(PLACES | COLUMNS | WIDE)
    schema = pyarrow.parquet.read_schema(io.BytesIO(data))
    found = {field.name: str(field.type) for field in schema}
    assert found["shard"] == found["text"] == found["utf8"] == "string"
    assert (found["index"], found["float32"], found["float16"]) == ("int64", "float", "halffloat")
    assert schema.field("two").type == pyarrow.list_(pyarrow.float32(), 2)
    assert schema.field("three").type == pyarrow.list_(pyarrow.list_(pyarrow.int64(), 4), 2)


def test_bytes_that_are_no_text() -> None:
    columns = {"raw": objects(b"\xff\x00", b"a", b""), "record": objects(b"a", b"b", b"c")}
    table = pyarrow.parquet.read_table(io.BytesIO(part_encoder("parquet")(columns)))
    assert table.to_pydict() == {name: list(each) for name, each in columns.items()}
    rows = read("jsonl", part_encoder("jsonl")(columns), Path())
    assert [row["raw"] for row in rows] == [{"base64": "/wA="}, "a", ""]
    with pytest.raises(DataError, match=r"'raw'.*not text.*parquet"):
        part_encoder("csv")(columns)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numbers_that_json_does_not_have(kind: Any) -> None:
    column = np.array([[np.nan, 1], [np.inf, 2], [-np.inf, 0.5]], kind)
    rows = read("jsonl", part_encoder("jsonl")({"x": column}), Path())
    assert [row["x"] for row in rows] == [["NaN", 1], ["Infinity", 2], ["-Infinity", 0.5]]


def test_csv_has_single_values_only() -> None:
    encode = part_encoder("csv")
    assert encode({"x": np.array([[1], [2]])}) == b'"x"\n1\n2\n'
    with pytest.raises(DataError, match=r"'x' has an array of shape \(2,\).*parquet or jsonl"):
        encode({"x": np.zeros((3, 2))})


@pytest.mark.parametrize("name", ["parquet", "jsonl", "recordio"])
def test_what_a_format_does_not_have_is_refused_by_name(name: str) -> None:
    with pytest.raises(DataError, match="column 'z'"):
        part_encoder(name)({"z": np.zeros(2, np.complex64)})


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--prediction_format xml.*parquet, jsonl, csv"):
        part_encoder("xml")
