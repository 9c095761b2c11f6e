"""`elasticdl data`: looking at data sets, and writing them in either dialect."""

from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_command import RunElasticdl
from elasticdl_like.data_readers import RecordIODataReader, RecordIOWriter
from elasticdl_like.tasks import Task

RECORDS = [b"", *(b"record %d" % number for number in range(1, 10))]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    for name, part in (("a", RECORDS[:4]), ("b", RECORDS[4:])):
        with RecordIOWriter(directory / f"{name}.recordio") as writer:
            for record in part:
                writer.write(record)
    return directory


def records_in(directory: Path) -> list[bytes]:
    reader = RecordIODataReader(data_origin=str(directory))
    return [
        record
        for name, (first, count) in reader.create_shards().items()
        for record in reader.read_records(Task(name, first, first + count))
    ]


def test_inspect(run_elasticdl: RunElasticdl, source: Path) -> None:
    finished = run_elasticdl("data", "inspect", source)
    assert (finished.exit_code, finished.stderr) == (0, "")
    rows = [line.split() for line in finished.stdout.splitlines()]
    assert rows[0] == ["shard", "first", "records", "bytes", "chunks", "dialect", "compressor"]
    for row, name, count in ((rows[1], "a", 4), (rows[2], "b", 6)):
        path = source / f"{name}.recordio"
        size = str(path.stat().st_size)
        assert row == [str(path), "0", str(count), size, "1", "go", "snappy"]
    assert finished.stdout.splitlines()[-1].startswith("2 shards, 10 records")


def test_head(run_elasticdl: RunElasticdl, source: Path) -> None:
    finished = run_elasticdl("data", "head", source, "-n", 5)
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [repr(record) for record in RECORDS[:5]]


@pytest.mark.parametrize(("dialect", "compressor"), [("go", "gzip"), ("python", "snappy")])
def test_convert(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path, dialect: str, compressor: str
) -> None:
    destination = tmp_path / "converted"
    finished = run_elasticdl(
        *("data", "convert", source, destination),
        *("--dialect", dialect, "--compressor", compressor, "--records_per_file", 3),
    )
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert len(list(destination.iterdir())) == 4
    assert records_in(destination) == RECORDS
    rows = run_elasticdl("data", "inspect", destination).stdout.splitlines()[1:5]
    assert [row.split()[-2:] for row in rows] == [[dialect, compressor]] * 4


def test_convert_leaves_a_directory_with_files_alone(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path
) -> None:
    destination = tmp_path / "converted"
    destination.mkdir()
    (destination / "mine.txt").write_text("mine")
    finished = run_elasticdl("data", "convert", source, destination)
    assert finished.exit_code == 1
    assert finished.stderr == (
        f"elasticdl: error: {destination} is not empty; nothing was changed\n"
    )
    assert [path.name for path in destination.iterdir()] == ["mine.txt"]
