"""What all readers of indexed files have in common, seen through the one for RecordIO."""

from __future__ import annotations

import functools
import importlib
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.data_readers.files import indexed_reader, scanning
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.recordio import Compressor, RecordIODataReader, RecordIOWriter
from elasticdl_like.data_readers.recordio.reader import RecordIOFormat
from elasticdl_like.errors import CorruptDataError, DataError
from elasticdl_like.tasks import Shard, Task
from elasticdl_like.time_spent import Activity

COUNT = 3000

# Leaves a mark for each file; the first process waits in its second file until all have one.
MARKING_SCAN = """
import os
import time
from pathlib import Path

from elasticdl_like.data_readers.recordio.index import index_chunks


def scan(file):
    marks = Path(os.environ["MARKS"])
    is_first_process = str(os.getpid()) == os.environ["FIRST_PROCESS"]
    if is_first_process and any(marks.iterdir()):
        deadline_s = time.monotonic() + 60
        while len(list(marks.iterdir())) < 9 and time.monotonic() < deadline_s:
            time.sleep(0.01)
    (marks / f"{Path(file.name).name} {os.getpid()}").touch()
    return index_chunks(file)
"""


def record(number: int) -> bytes:
    return b"%06d" % number * (number % 40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of about nine stretches."""
    (tmp_path / "set").mkdir()
    return write(tmp_path / "set" / "data")


def write(path: Path, count: int = COUNT) -> Path:
    with RecordIOWriter(path, compressor=Compressor.NONE, max_chunk_bytes=10_000) as writer:
        for number in range(count):
            writer.write(record(number))
    return path


def shard_of(path: Path, **options: Any) -> Shard:
    (shard,) = list_shards(RecordIODataReader(data_origin=str(path), **options))
    return shard


def task_of(shard: Shard, start: int, end: int) -> Task:
    assert shard.index is not None
    index = shard.index.covering(start, end)
    return Task(shard.name, start, end, version=shard.version, index=index)


def records_of(reader: RecordIODataReader, task: Task) -> list[bytes]:
    return [each for batch in read_task(reader, task) for each in batch]


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are indexed."""
    names: list[str] = []
    scan = RecordIOFormat.scan

    @functools.wraps(scan)
    def noted(self: RecordIOFormat, file: Any) -> Any:
        names.append(Path(file.name).name)
        return scan(self, file)

    monkeypatch.setattr(RecordIOFormat, "scan", noted)
    return names


class TestTasks:
    def test_a_worker_never_indexes(self, path: Path, scans: list[str]) -> None:
        shard = shard_of(path)
        assert shard.index is not None
        assert shard.index.num_stretches > 5
        scans.clear()
        reader = RecordIODataReader(data_origin=str(path))
        for start, end in ((0, 1), (700, 1500), (COUNT - 1, COUNT), (0, COUNT), (5, 5)):
            expected = [record(number) for number in range(start, end)]
            assert records_of(reader, task_of(shard, start, end)) == expected
        assert scans == []

    @pytest.mark.parametrize("max_read_bytes", [1, 50_000, 100_000, 1 << 30])
    def test_tasks_of_every_size(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, max_read_bytes: int
    ) -> None:
        monkeypatch.setattr(indexed_reader, "_MAX_READ_BYTES", max_read_bytes)
        shard = shard_of(path)
        reader = RecordIODataReader(data_origin=str(path))
        rng = random.Random(0)
        for _ in range(100):
            start, end = sorted(rng.sample(range(COUNT + 1), 2))
            expected = [record(number) for number in range(start, end)]
            assert records_of(reader, task_of(shard, start, end)) == expected

    def test_many_threads_at_once(self, path: Path) -> None:
        shard = shard_of(path)
        reader = RecordIODataReader(data_origin=str(path))
        assert reader.reads_in_parallel
        right: list[bool] = []

        def work(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(40):
                start = rng.randrange(COUNT - 100)
                found = records_of(reader, task_of(shard, start, start + 100))
                right.append(found == [record(number) for number in range(start, start + 100)])

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(right) == 240
        assert all(right)

    def test_the_time_of_decoding_is_known(self, path: Path) -> None:
        reader = RecordIODataReader(data_origin=str(path))
        records_of(reader, Task(str(path), 0, COUNT))
        assert reader.time_spent.totals()[Activity.DECODING] > 0


class TestVersions:
    def test_a_file_that_changed_since_the_master_saw_it(self, path: Path) -> None:
        shard = shard_of(path)
        os.utime(path, ns=(0, 1))
        worker = RecordIODataReader(data_origin=str(path))
        with pytest.raises(DataError, match=r"data: the file changed .*mtime_ns=1; .*cp -p"):
            records_of(worker, task_of(shard, 0, 10))

    def test_a_task_without_an_index(self, path: Path) -> None:
        worker = RecordIODataReader(data_origin=str(path))
        task = Task(str(path), 0, 10, version="size=1,mtime_ns=2")
        with pytest.raises(DataError, match="changed after it was indexed, from size=1,mtime_ns=2"):
            records_of(worker, task)

    def test_a_file_that_is_replaced_while_the_master_knows_of_it(self, path: Path) -> None:
        """A worker that read the old file goes on to the new one when the master has done so."""
        worker = RecordIODataReader(data_origin=str(path))
        old = shard_of(path)
        assert records_of(worker, task_of(old, 0, 10)) == [record(number) for number in range(10)]
        write(path, COUNT - 5)
        new = shard_of(path)
        assert (new.count, new.version == old.version) == (COUNT - 5, False)
        records = records_of(worker, task_of(new, COUNT - 10, COUNT - 5))
        assert records == [record(number) for number in range(COUNT - 10, COUNT - 5)]

    def test_an_index_that_does_not_fit(self, path: Path) -> None:
        """As of a file with the size and the time of the one that is read, but other chunks."""
        shard = shard_of(path)
        assert shard.index is not None
        shard.index.records[3] += 1
        reader = RecordIODataReader(data_origin=str(path))
        with pytest.raises(CorruptDataError, match="when the file was indexed"):
            records_of(reader, task_of(shard, 0, COUNT))


class TestIndexDirectory:
    @pytest.fixture
    def listed(self, path: Path, tmp_path: Path) -> Callable[[], dict[str, tuple[int, int]]]:
        write(path.with_name("more"), 100)
        return lambda: RecordIODataReader(
            data_origin=str(path.parent), index_dir=str(tmp_path / "indexes")
        ).create_shards()

    def test_what_is_indexed_once(self, listed: Callable[[], Any], scans: list[str]) -> None:
        first = listed()
        assert sorted(scans) == ["data", "more"]
        assert listed() == first
        assert sorted(scans) == ["data", "more"]

    def test_only_what_changed_is_indexed_again(
        self, path: Path, listed: Callable[[], Any], scans: list[str]
    ) -> None:
        listed()
        scans.clear()
        write(path.with_name("more"), 7)
        write(path.with_name("new"), 8)
        path.unlink()
        assert {Path(name).name: count for name, (_, count) in listed().items()} == {
            "more": 7,
            "new": 8,
        }
        assert sorted(scans) == ["more", "new"]

    def test_a_damaged_index(
        self, tmp_path: Path, listed: Callable[[], Any], scans: list[str]
    ) -> None:
        first = listed()
        scans.clear()
        (index,) = (tmp_path / "indexes").iterdir()
        index.write_bytes(index.read_bytes()[:-1])
        assert listed() == first
        assert listed() == first
        assert sorted(scans) == ["data", "more"]

    def test_a_reader_that_is_asked_for_one_file(
        self, path: Path, tmp_path: Path, listed: Callable[[], Any], scans: list[str]
    ) -> None:
        listed()
        scans.clear()
        reader = RecordIODataReader(
            data_origin=str(path.parent), index_dir=str(tmp_path / "indexes")
        )
        assert records_of(reader, Task(str(path), 5, 6)) == [record(5)]
        assert scans == []
        assert reader.create_shards() == listed()
        assert scans == []


class TestManyFiles:
    @pytest.fixture
    def many(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """So many files, as it seems, that processes are worth it."""
        monkeypatch.setattr(scanning, "_ALONE_S", 0.0)
        monkeypatch.setattr(scanning, "_WORTH_S", 0.0)
        monkeypatch.setattr(os, "cpu_count", lambda: 3)
        for number in range(10):
            write(tmp_path / f"{number}", 10 * number)
        return tmp_path

    def test_helpers(self, many: Path, scans: list[str]) -> None:
        done: list[tuple[int, int]] = []
        reader = RecordIODataReader(data_origin=str(many))
        assert reader.make_indexes(lambda *numbers: done.append(numbers)) == (10, 0)
        assert reader.create_shards() == {
            f"{many}/{number}": (0, 10 * number) for number in range(1, 10)
        }
        assert done[-1] == (10, 10)
        assert done == sorted(done)
        assert len(scans) == len(set(scans))

    def test_helpers_take_what_is_left(
        self, many: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        modules, marks = tmp_path_factory.mktemp("modules"), tmp_path_factory.mktemp("marks")
        (modules / "marking_scan.py").write_text(MARKING_SCAN)
        monkeypatch.syspath_prepend(modules)
        monkeypatch.setenv("MARKS", str(marks))
        monkeypatch.setenv("FIRST_PROCESS", str(os.getpid()))
        scan = importlib.import_module("marking_scan").scan
        names = [str(path) for path in sorted(many.iterdir())]
        found = scanning.index_files(names, scan, local_in_threads=False)
        assert {name: index.index.num_records for name, index in found.items()} == {
            name: 10 * number for number, name in enumerate(names)
        }
        scanned = [mark.name.split(" ") for mark in marks.iterdir()]
        assert sorted(name for name, _ in scanned) == [Path(name).name for name in names]
        # This process waited in its second file; whoever came first took the others.
        assert [process for _, process in scanned].count(str(os.getpid())) == 2

    def test_helpers_that_do_not_know_the_format(
        self, many: Path, scans: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RecordIOFormat, "__reduce__", refuse_to_be_pickled)
        assert len(RecordIODataReader(data_origin=str(many)).create_shards()) == 9
        assert sorted(scans) == [str(number) for number in range(10)]

    def test_helpers_that_end(
        self, many: Path, scans: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.executable", "/bin/false")
        assert len(RecordIODataReader(data_origin=str(many)).create_shards()) == 9
        assert sorted(scans) == [str(number) for number in range(10)]

    @pytest.mark.parametrize("number", [1, 5, 9])
    def test_a_damaged_file(self, many: Path, number: int) -> None:
        (many / f"{number}").write_bytes(b"not RecordIO")
        with pytest.raises(CorruptDataError, match=rf"/{number}, at byte 0: "):
            RecordIODataReader(data_origin=str(many)).create_shards()


def refuse_to_be_pickled(self: object) -> Any:
    raise TypeError("this cannot be pickled")
