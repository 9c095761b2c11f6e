"""`elasticdl data`: looking at data sets, measuring, checking and indexing them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elasticdl_command import RunElasticdl
from elasticdl_like.data_readers import RecordIOWriter

RECORDS = [b"", *(b"record %d" % number for number in range(1, 10))]

# A reader with all that can be said of one, and with a fault where `fault` says.
READER = """
import numpy as np

from elasticdl_like.data_readers import AbstractDataReader, Metadata


class CustomDataReader(AbstractDataReader):
    output_signature = ("int64", "float32", "string")
    metadata = Metadata(("id", "weight", "name"), {"id": np.dtype("int64")})

    def __init__(self, data_origin, rows, fault=""):
        self.table, self.rows, self.fault = data_origin, rows, fault

    def create_shards(self):
        return {self.table: (10, self.rows)}

    def describe(self, shard_name):
        return {"kind": "made up"}

    def read_records(self, task):
        if self.fault == "raises" and task.end > 15:
            raise OSError("no route to host")
        for index in range(task.start, task.end - (self.fault == "short")):
            name = hash("a") if self.fault == "process" else f"name {index}"
            yield index, index / 2, str(name).encode()


def custom_model():
    raise NotImplementedError
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    for name, part in (("a", RECORDS[:4]), ("b", RECORDS[4:])):
        with RecordIOWriter(directory / f"{name}.recordio") as writer:
            for record in part:
                writer.write(record)
    return directory


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text('id,price,name\n1,0.5,"two\nlines"\n2,1.5,b\n3,2.5,\n')
    return path


@pytest.fixture
def zoo(tmp_path: Path) -> tuple[str, ...]:
    """The flags that name the reader of this file."""
    (tmp_path / "made_up_reader.py").write_text(READER)
    return ("--model_zoo", str(tmp_path), "--model_def", "made_up_reader.custom_model")


def test_inspect(run_elasticdl: RunElasticdl, source: Path) -> None:
    finished = run_elasticdl("data", "inspect", source)
    assert (finished.exit_code, finished.stderr) == (0, "")
    rows = [line.split() for line in finished.stdout.splitlines()]
    assert rows[0] == ["shard", "first", "records", "bytes", "chunks", "dialect", "compressor"]
    total = 0
    for row, name, count in ((rows[1], "a", 4), (rows[2], "b", 6)):
        path = source / f"{name}.recordio"
        total += path.stat().st_size
        size = str(path.stat().st_size)
        assert row == [str(path), "0", str(count), size, "1", "go", "snappy"]
    expected = f"2 shards, 10 records, {total} bytes, read by RecordIODataReader"
    assert finished.stdout.splitlines()[-1] == expected


def test_inspect_columns(run_elasticdl: RunElasticdl, csv_file: Path) -> None:
    finished = run_elasticdl("data", "inspect", csv_file)
    assert (finished.exit_code, finished.stderr) == (0, "")
    table = finished.stdout.split("\n\n")[1].splitlines()
    assert [line.split() for line in table] == [
        ["column", "type"],
        ["id", "int64"],
        ["price", "float64"],
        ["name", "bytes"],
    ]
    assert finished.stdout.splitlines()[-1].startswith("1 shard, 3 records, ")


def test_inspect_as_json(run_elasticdl: RunElasticdl, csv_file: Path) -> None:
    finished = run_elasticdl("data", "inspect", csv_file, "--json")
    found = json.loads(finished.stdout)
    assert (found["records"], found["reader"]) == (3, "CsvDataReader")
    assert found["columns"] == {"id": "int64", "price": "float64", "name": "bytes"}
    (shard,) = found["shards"]
    assert (shard["name"], shard["first"], shard["records"]) == (str(csv_file), 0, 3)
    assert shard["size_bytes"] == csv_file.stat().st_size
    assert str(csv_file.stat().st_size) in shard["version"]


def test_inspect_shows_the_first_of_many_shards(
    run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(23):
        (many / f"{number:02}.txt").write_text("line\n")
    finished = run_elasticdl("data", "inspect", many)
    lines = finished.stdout.splitlines()
    assert len([line for line in lines if ".txt" in line]) == 20
    assert "… and 3 shards more, which --all shows" in lines
    assert lines[-1].startswith("23 shards, 23 records")
    everything = run_elasticdl("data", "inspect", many, "--all").stdout
    assert everything.count(".txt") == 23


def test_inspect_a_reader_of_the_user(run_elasticdl: RunElasticdl, zoo: tuple[str, ...]) -> None:
    finished = run_elasticdl("data", "inspect", "t", *zoo, "--data_reader_params", "rows=3")
    assert (finished.exit_code, finished.stderr) == (0, "")
    lines = finished.stdout.splitlines()
    assert lines[0].split() == ["shard", "first", "records", "kind"]
    assert lines[1].split() == ["t", "10", "3", "made", "up"]
    assert [line.split() for line in lines[3:7]] == [
        ["column", "type"],
        ["id", "int64"],
        ["weight"],
        ["name"],
    ]


def test_head(run_elasticdl: RunElasticdl, source: Path) -> None:
    finished = run_elasticdl("data", "head", source, "-n", 5)
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [repr(record) for record in RECORDS[:5]]


def test_head_of_columns(run_elasticdl: RunElasticdl, csv_file: Path) -> None:
    finished = run_elasticdl("data", "head", csv_file, "-n", 2)
    assert finished.stdout.splitlines() == [
        "id  price          name",
        r"1     0.5  'two\nlines'",
        "2     1.5             b",
    ]


def test_head_of_a_reader_of_the_user(run_elasticdl: RunElasticdl, zoo: tuple[str, ...]) -> None:
    finished = run_elasticdl("data", "head", "t", *zoo, "--data_reader_params", "rows=3")
    assert [line.split() for line in finished.stdout.splitlines()] == [
        ["id", "weight", "name"],
        ["10", "5.0", "name", "10"],
        ["11", "5.5", "name", "11"],
        ["12", "6.0", "name", "12"],
    ]


def test_index(run_elasticdl: RunElasticdl, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("line\n" * 100)
    words = ("data", "index", "*.txt", "--index_dir", "indexes")
    assert run_elasticdl(*words).stdout.startswith("2 files indexed in ")
    (tmp_path / "b.txt").write_text("line\n" * 101)
    assert "1 file indexed in " in (again := run_elasticdl(*words).stdout)
    assert "1 had an index already: indexes" in again
    inspected = run_elasticdl("data", "inspect", "*.txt", "--index_dir", "indexes")
    assert inspected.stdout.splitlines()[-1].startswith("2 shards, 201 records")
    missing = run_elasticdl("data", "index", "*.txt")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "--index_dir is missing" in missing.stderr


def test_bench(run_elasticdl: RunElasticdl, source: Path, csv_file: Path) -> None:
    for place, shards in ((source, "2 shards, 10 records"), (csv_file, "1 shard, 3 records")):
        finished = run_elasticdl("data", "bench", place, "--seconds", "0.2", "--read_threads", 2)
        assert (finished.exit_code, finished.stderr) == (0, "")
        lines = finished.stdout.splitlines()
        assert lines[0].startswith(shards)
        rows = [line.split() for line in lines[3:6]]
        assert [(row[:-5] or row[:1])[0] for row in rows] == ["in", "shuffled", "shuffled"]
        rates = [float(line[19:33].replace(",", "")) for line in lines[3:6]]
        assert min(rates) > 0
        assert lines[-1].startswith("Limit: ")


def test_check(run_elasticdl: RunElasticdl, source: Path, zoo: tuple[str, ...]) -> None:
    finished = run_elasticdl("data", "check", source)
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert "RecordIODataReader keeps the reader contract" in finished.stdout
    custom = run_elasticdl("data", "check", "t", *zoo, "--data_reader_params", "rows=30")
    assert (custom.exit_code, custom.stderr) == (0, "")
    assert "parts of its 1 shard with 30 records" in custom.stdout


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            "short",
            "CustomDataReader yielded 29 records instead of 30: records [10, 40) of shard 't'",
        ),
        (
            "raises",
            "CustomDataReader raised OSError: no route to host, while reading records [10, 40) of "
            "shard 't'",
        ),
        ("process", "CustomDataReader yielded other records in a new process: records [10, 40)"),
    ],
)
def test_check_says_what_is_wrong(
    run_elasticdl: RunElasticdl, zoo: tuple[str, ...], fault: str, words: str
) -> None:
    params = json.dumps({"rows": 30, "fault": fault})
    finished = run_elasticdl("data", "check", "t", *zoo, "--data_reader_params", params)
    assert finished.exit_code == 1
    assert finished.stderr.startswith(f"elasticdl: error: {words}")
    assert "keeps the reader contract" not in finished.stdout


def test_readers_are_chosen_by_type(run_elasticdl: RunElasticdl, csv_file: Path) -> None:
    words = ("data", "head", csv_file, "-n", 1, "--data_reader_params")
    assert run_elasticdl(*words, "reader_type=text").stdout == "b'id,price,name'\n"
    unknown = run_elasticdl(*words, "reader_type=orc")
    assert unknown.exit_code == 1
    assert "there is no reader_type 'orc'; there is RecordIO, TFRecord, Text" in unknown.stderr
