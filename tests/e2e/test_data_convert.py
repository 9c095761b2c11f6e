"""`elasticdl data convert`: the same records in the same order, whatever happens on the way."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elasticdl_command import RunElasticdl, eventually, running
from elasticdl_like.config import DataConfig
from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.tasks import Task

RECORDS = [b"", *(b"record %d\0" % number for number in range(1, 1000))]
CSV = "id,price,name\n" + "".join(f"{n},{n / 4},name {n}\n" for n in range(1000))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    for name, part in (("a", RECORDS[:400]), ("b", RECORDS[400:])):
        with RecordIOWriter(directory / f"{name}.recordio") as writer:
            for record in part:
                writer.write(record)
    return directory


def batches_in(place: Path) -> list[Any]:
    reader = make_reader(str(place), DataConfig(str(place)), None, 64)
    return [
        batch
        for shard in list_shards(reader)
        for batch in read_task(reader, Task(shard.name, shard.first, shard.end))
    ]


def records_in(place: Path) -> list[bytes]:
    return [record for batch in batches_in(place) for record in batch]


def columns_in(place: Path) -> dict[str, list[Any]]:
    batches = batches_in(place)
    return {name: np.concatenate([each[name] for each in batches]).tolist() for name in batches[0]}


def data_files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("data-*"))


@pytest.mark.parametrize(("dialect", "compressor"), [("go", "gzip"), ("python", "snappy")])
def test_recordio_of_a_dialect(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path, dialect: str, compressor: str
) -> None:
    destination = tmp_path / "converted"
    finished = run_elasticdl(
        *("data", "convert", source, destination),
        *("--dialect", dialect, "--compressor", compressor, "--records_per_file", 300),
    )
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert finished.stdout.startswith(f"1,000 records in 4 recordio files in {destination}: ")
    assert data_files(destination) == [f"data-0000{n}-of-00004.recordio" for n in range(4)]
    assert records_in(destination) == RECORDS
    rows = run_elasticdl("data", "inspect", destination).stdout.splitlines()[1:5]
    assert [row.split()[-2:] for row in rows] == [[dialect, compressor]] * 4
    assert [row.split()[2] for row in rows] == ["300", "300", "300", "100"]


@pytest.mark.parametrize(
    ("flags", "suffix"),
    [
        (("--to", "tfrecord"), ".tfrecord"),
        (("--to", "tfrecord", "--compressor", "gzip"), ".tfrecord.gz"),
        (("--to", "parquet"), ".parquet"),
    ],
)
def test_bytes_in_every_format_and_back(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path, flags: Any, suffix: str
) -> None:
    destination = tmp_path / "converted"
    finished = run_elasticdl(
        "data", "convert", source, destination, *flags, "--records_per_file", 600
    )
    assert finished.exit_code == 0, finished.stderr
    assert data_files(destination) == [f"data-0000{n}-of-00002{suffix}" for n in range(2)]
    if suffix == ".parquet":
        assert columns_in(destination) == {"record": RECORDS}
    else:
        assert records_in(destination) == RECORDS


def test_columns_stay_columns_in_parquet(run_elasticdl: RunElasticdl, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(CSV)
    # The extension says which format.
    finished = run_elasticdl("data", "convert", "table.csv", "table.parquet")
    assert (finished.exit_code, finished.stderr) == (0, "")
    columns = columns_in(tmp_path / "table.parquet")
    assert columns == columns_in(tmp_path / "table.csv")
    assert columns["id"] == list(range(1000))


@pytest.mark.parametrize("to", ["tfrecord", "recordio"])
def test_columns_become_examples(run_elasticdl: RunElasticdl, tmp_path: Path, to: str) -> None:
    import tensorflow as tf

    (tmp_path / "table.csv").write_text(CSV)
    finished = run_elasticdl("data", "convert", "table.csv", "examples", "--to", to)
    assert (finished.exit_code, finished.stderr) == (0, "")
    parsed = tf.io.parse_example(
        records_in(tmp_path / "examples"),
        {
            "id": tf.io.FixedLenFeature([], tf.int64),
            "price": tf.io.FixedLenFeature([], tf.float32),
            "name": tf.io.FixedLenFeature([], tf.string),
        },
    )
    assert parsed["id"].numpy().tolist() == list(range(1000))
    assert parsed["price"].numpy().tolist() == [n / 4 for n in range(1000)]
    assert parsed["name"].numpy().tolist() == [b"name %d" % n for n in range(1000)]


def test_files_are_about_of_the_size_that_was_asked_for(
    run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    rng = random.Random(0)
    with RecordIOWriter(tmp_path / "a.recordio") as writer:
        for _ in range(20_000):
            writer.write(rng.randbytes(rng.randrange(100)))
    finished = run_elasticdl("data", "convert", "a.recordio", "out", "--file_size", "100KiB")
    assert finished.exit_code == 0, finished.stderr
    assert "records a file, about " in finished.stdout.splitlines()[0]
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("data-*")]
    assert len(sizes) > 5
    assert all(80_000 < size < 112_000 for size in sizes), sizes
    assert records_in(tmp_path / "out") == records_in(tmp_path / "a.recordio")


def test_a_directory_with_other_files_is_left_alone(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path
) -> None:
    destination = tmp_path / "converted"
    destination.mkdir()
    (destination / "mine.txt").write_text("mine")
    finished = run_elasticdl("data", "convert", source, destination)
    assert finished.exit_code == 1
    assert finished.stderr.startswith(f"elasticdl: error: {destination} is not empty, ")
    assert [path.name for path in destination.iterdir()] == ["mine.txt"]


def test_going_on_writes_what_is_missing(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path
) -> None:
    words = ("data", "convert", source, "out", "--records_per_file", 300)
    assert run_elasticdl(*words).exit_code == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "data-00001-of-00004.recordio").unlink()
    (tmp_path / "out" / f".data-00001-of-00004.recordio.{'0' * 32}.tmp").write_bytes(b"part")
    kept = tmp_path / "out" / "data-00000-of-00004.recordio"
    before = kept.stat().st_mtime_ns
    finished = run_elasticdl(*words)
    assert finished.stdout.startswith("3 of 4 files there already\n1,000 records in 4 recordio")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole
    assert kept.stat().st_mtime_ns == before


def test_another_conversion_is_not_gone_on_with(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path
) -> None:
    words = ("data", "convert", source, "out", "--records_per_file")
    assert run_elasticdl(*words, 300).exit_code == 0
    before = data_files(tmp_path / "out")
    other = run_elasticdl(*words, 400)
    assert other.exit_code == 1
    assert "--records_per_file was 300 and is 400 now; nothing was changed" in other.stderr
    with RecordIOWriter(source / "b.recordio") as writer:
        writer.write(b"one")
    changed = run_elasticdl(*words, 300)
    assert changed.exit_code == 1
    assert f"the source has changed: shard '{source}/b.recordio' had 600 rec" in changed.stderr
    assert data_files(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--to", "parquet", "--dialect", "go"), "only recordio files have a dialect, not parquet"),
        (("--to", "tfrecord", "--compressor", "zstd"), "tfrecord files are compressed by none or"),
        (("--file_size", "small"), "'small' is not a size such as 256MiB"),
    ],
)
def test_flags_that_make_no_sense(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path, flags: Any, words: str
) -> None:
    finished = run_elasticdl("data", "convert", source, "out", *flags)
    assert finished.exit_code in (1, 2)
    assert words in finished.stderr
    assert not (tmp_path / "out").exists()


def test_a_damaged_source_fails_in_every_process(
    run_elasticdl: RunElasticdl, source: Path, tmp_path: Path
) -> None:
    damaged = source / "b.recordio"
    stored = bytearray(damaged.read_bytes())
    stored[-10] ^= 0xFF
    damaged.write_bytes(stored)
    for num_workers in (1, 2):
        finished = run_elasticdl(
            *("data", "convert", source, f"out{num_workers}"),
            *("--records_per_file", 100, "--num_workers", num_workers),
        )
        assert finished.exit_code == 1
        assert f"{damaged}, at byte " in finished.stderr
        names = [path.name for path in (tmp_path / f"out{num_workers}").iterdir()]
        assert not [name for name in names if name.endswith(".tmp")]
        assert len(data_files(tmp_path / f"out{num_workers}")) < 10


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_time_it_goes_on(
    run_elasticdl: RunElasticdl, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    with RecordIOWriter(tmp_path / "a.recordio") as writer:
        for _ in range(60_000):
            writer.write(rng.randbytes(rng.randrange(200)))
    words = ("data", "convert", "a.recordio", "out", "--to", "tfrecord", "--compressor", "gzip")
    words = (*words, "--records_per_file", "1000", "--num_workers", "2")
    out = tmp_path / "out"
    for kill_at in sorted(rng.sample(range(1, 55), 3)):
        with running(["-m", "elasticdl_like", *words], tmp_path) as command:
            eventually(lambda: out.exists() and len(data_files(out)) >= kill_at, 60, command)  # noqa: B023
            # The first process alone: the others have to notice by themselves.
            os.kill(command.pid, signal.SIGKILL)
            eventually(lambda: not command.processes(), 30)
        assert len(data_files(out)) < 60
    finished = run_elasticdl(*words)
    assert finished.exit_code == 0, finished.stderr
    assert "of 60 files there already" in finished.stdout
    assert sorted(path.name for path in out.iterdir()) == ["_convert.json", *data_files(out)]
    assert len(data_files(out)) == 60
    assert records_in(out) == records_in(tmp_path / "a.recordio")


def test_two_conversions_into_one_directory(run_elasticdl: RunElasticdl, tmp_path: Path) -> None:
    with RecordIOWriter(tmp_path / "a.recordio") as writer:
        for number in range(60_000):
            writer.write(b"%d" % number * 20)
    words = ("data", "convert", "a.recordio", "out", "--to", "tfrecord", "--compressor", "gzip")
    words = (*words, "--records_per_file", "1000")
    with running(["-m", "elasticdl_like", *words], tmp_path) as command:
        eventually((tmp_path / "out" / "_convert.json").exists, 30, command)
        os.kill(command.pid, signal.SIGSTOP)
        second = run_elasticdl(*words)
        os.kill(command.pid, signal.SIGCONT)
        first = command.wait(60)
    assert second.exit_code == 1
    assert "another conversion is writing to out; wait for it" in second.stderr
    assert first.exit_code == 0, first.stderr
    assert records_in(tmp_path / "out") == records_in(tmp_path / "a.recordio")


@pytest.mark.parametrize("is_early", [True, False])
def test_ctrl_c_ends_it_in_one_line(tmp_path: Path, is_early: bool) -> None:
    with RecordIOWriter(tmp_path / "a.recordio") as writer:
        for number in range(60_000):
            writer.write(b"%d" % number * 20)
    words = ("data", "convert", "a.recordio", "out", "--to", "tfrecord", "--compressor", "gzip")
    words = (*words, "--records_per_file", "1000", "--num_workers", "2")
    with running(["-m", "elasticdl_like", *words], tmp_path) as command:
        if is_early:
            eventually((tmp_path / "out" / "_convert.json").exists, 30, command)
        else:
            eventually(lambda: data_files(tmp_path / "out"), 30, command)
        command.press_ctrl_c()
        finished = command.wait(30)
        eventually(lambda: not command.processes(), 30)
    assert (finished.exit_code, finished.stderr.strip()) == (130, "elasticdl: interrupted")
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert not [name for name in names if name.endswith(".tmp")]
