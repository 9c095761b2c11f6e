"""Finding and opening files, of this machine and behind URLs."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from elasticdl_like.data_readers import extras
from elasticdl_like.data_readers.files import list_files, open_file, remote
from elasticdl_like.data_readers.files.recent import MAX_OPEN_FILES, RecentFiles
from elasticdl_like.errors import ConfigError, DataError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "_SUCCESS", ".a.csv.crc"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    for name in ("b.csv", "a.csv", "_SUCCESS", ".a.csv.crc"):
        system.pipe_file(f"/set/{name}", name.encode())
    yield system
    system.rm("/", recursive=True)


def names(data_origin: str, *suffixes: str) -> list[str]:
    return [file.name for file in list_files(data_origin, suffixes)]


def open_descriptors(directory: Path) -> int:
    """Returns how many files in a directory this process has open."""
    gc.collect()
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # another thread has closed it meanwhile
            found += entry.readlink().parent == directory
    return found


class TestLocalListing:
    def test_size_and_version(self, data: Path) -> None:
        (file,) = list_files(f"{data}/a.csv")
        assert (file.name, file.size_bytes) == (f"{data}/a.csv", 5)
        assert file.version == f"size=5,mtime_ns={(data / 'a.csv').stat().st_mtime_ns}"
        with open_file(file.name) as opened:
            assert (opened.size_bytes, opened.version) == (5, file.version)

    @pytest.mark.parametrize(
        "origin",
        ["{0}", "{0}/", "{0}/*", "{0}/b.csv,{0}/a.csv", "{0}/*.csv, {0}/a.csv", "file://{0}"],
    )
    def test_what_is_listed(self, data: Path, origin: str) -> None:
        assert names(origin.format(data), ".csv") == [f"{data}/a.csv", f"{data}/b.csv"]

    @pytest.mark.parametrize("origin", ["_*", "_SUCCESS"])
    def test_what_is_meant_is_listed(self, data: Path, origin: str) -> None:
        assert names(f"{data}/{origin}") == [f"{data}/_SUCCESS"]

    def test_a_name_with_a_comma(self, data: Path) -> None:
        (data / "a,b").touch()
        assert names(f"{data}/a,b") == [f"{data}/a,b"]

    @pytest.mark.parametrize("stray", ["b.csv~", "notes.txt", "b.csv.bak"])
    def test_a_stray_file_in_a_directory(self, data: Path, stray: str) -> None:
        (data / stray).touch()
        with pytest.raises(DataError, match=rf"{stray}: does not end with \.csv or \.tsv"):
            names(str(data), ".csv", ".tsv")
        assert f"{data}/{stray}" in names(f"{data}/*", ".csv", ".tsv")

    def test_upper_case(self, data: Path) -> None:
        (data / "C.CSV").touch()
        assert f"{data}/C.CSV" in names(str(data), ".csv")

    @pytest.mark.parametrize("origin", ["absent", "absent/*", "*.rio", "a.csv,absent", "a.csv,"])
    def test_nothing_there(self, data: Path, origin: str) -> None:
        with pytest.raises(DataError, match="no file there to read"):
            names(",".join(f"{data}/{part}" if part else "" for part in origin.split(",")))

    def test_no_name(self) -> None:
        with pytest.raises(ConfigError, match="data_origin is empty"):
            list_files("")

    @pytest.mark.parametrize("origin", ["", "/*", "/pipe"])
    def test_what_is_not_a_file(self, data: Path, origin: str) -> None:
        os.mkfifo(data / "pipe")
        with pytest.raises(DataError, match="pipe: not a regular file"):
            list_files(f"{data}{origin}")
        with pytest.raises(DataError, match="pipe: not a regular file"):
            open_file(f"{data}/pipe")


class TestLocalFile:
    def test_reads(self, tmp_path: Path) -> None:
        content = bytes(range(256)) * 500
        (tmp_path / "data").write_bytes(content)
        with open_file(f"{tmp_path}/data") as file:
            assert file.read(100, 50) == content[100:150]
            assert file.read(len(content), 0) == b""
            for block_bytes in (1, 1000, 2**14, 2**20):
                blocks = list(file.blocks(block_bytes))
                assert {len(block) for block in blocks[:-1]} <= {block_bytes}
                assert b"".join(blocks) == content

    def test_beyond_the_end(self, data: Path) -> None:
        with open_file(f"{data}/a.csv") as file, pytest.raises(DataError, match="shrank"):
            file.read(3, 3)

    def test_many_threads(self, tmp_path: Path) -> None:
        content = os.urandom(1 << 20)
        (tmp_path / "data").write_bytes(content)
        right: list[bool] = []
        with open_file(f"{tmp_path}/data") as file:

            def read(number: int) -> None:
                right.extend(
                    file.read(start, 5000) == content[start : start + 5000]
                    for start in range(number, len(content) - 5000, 9973)
                )

            threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(right) > 800
        assert all(right)

    def test_a_change(self, data: Path) -> None:
        path = data / "a.csv"
        with open_file(str(path)) as file:
            file.check_version(file.version)
            os.utime(path, ns=(0, 1))
            with pytest.raises(DataError, match=r"a.csv: the .*changed .*mtime_ns=1;"):
                file.check_version(file.version)

    def test_a_replaced_file_is_read_as_it_was(self, data: Path) -> None:
        with open_file(f"{data}/a.csv") as file:
            (data / "new").write_bytes(b"other")
            (data / "new").replace(data / "a.csv")
            file.check_version(file.version)
            assert file.read(0, 5) == b"a.csv"

    def test_it_is_closed_when_nobody_has_it(self, data: Path) -> None:
        file = open_file(f"{data}/a.csv")
        assert open_descriptors(data) == 1
        del file
        assert open_descriptors(data) == 0


class TestRecentFiles:
    def test_few_are_open(self, tmp_path: Path) -> None:
        count = MAX_OPEN_FILES + 10
        for number in range(count):
            (tmp_path / f"{number}").write_bytes(b"%d" % number)
        files = RecentFiles()
        for number in range(count):
            files.get(f"{tmp_path}/{number}")
        assert open_descriptors(tmp_path) == MAX_OPEN_FILES
        for number in range(count):
            file = files.get(f"{tmp_path}/{number}")
            assert file.read(0, file.size_bytes) == b"%d" % number

    def test_another_version_is_opened_anew(self, data: Path) -> None:
        files = RecentFiles()
        old = files.get(f"{data}/a.csv")
        (data / "new").write_bytes(b"other one")
        (data / "new").replace(data / "a.csv")
        assert files.get(f"{data}/a.csv", old.version) is old
        (new,) = list_files(f"{data}/a.csv")
        assert files.get(f"{data}/a.csv", new.version).read(0, 5) == b"other"
        with pytest.raises(DataError, match="the file changed after it was indexed"):
            files.get(f"{data}/a.csv", old.version)


@pytest.mark.usefixtures("memory")
class TestUrls:
    @pytest.mark.parametrize(
        "origin",
        ["memory://set", "memory://set/", "memory://set/*", "memory://set/a.csv,memory://set/b*"],
    )
    def test_what_is_listed(self, origin: str) -> None:
        files = list_files(origin, (".csv",))
        assert [file.name.removeprefix("memory://set/") for file in files] == ["a.csv", "b.csv"]
        for file in files:
            with open_file(file.name) as opened:
                assert (opened.size_bytes, opened.version) == (file.size_bytes, file.version)
                assert opened.read(1, 4) == b".csv"
                with pytest.raises(DataError, match="shrank"):
                    opened.read(1, 5)

    def test_one_file(self) -> None:
        assert names("memory://set/a.csv") == ["memory://set/a.csv"]

    @pytest.mark.parametrize("origin", ["memory://absent", "memory://set/*.rio"])
    def test_nothing_there(self, origin: str) -> None:
        with pytest.raises(DataError, match="no file there to read"):
            list_files(origin)

    def test_a_directory_among_the_files(self, memory: fsspec.AbstractFileSystem) -> None:
        memory.pipe_file("/set/more/c.csv", b"")
        with pytest.raises(DataError, match="memory://set/more: a directory among the data files"):
            list_files("memory://set")

    def test_a_missing_file(self) -> None:
        with pytest.raises(DataError, match="memory://absent: cannot be read: FileNotFoundError"):
            open_file("memory://absent")

    def test_a_change(
        self, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with open_file("memory://set/a.csv") as file:
            memory.pipe_file("/set/a.csv", b"other")
            file.check_version(file.version)  # not asked so soon
            monkeypatch.setattr(remote, "CHECK_INTERVAL_S", 0.0)
            with pytest.raises(DataError, match=r"a.csv: the file changed after it was indexed"):
                file.check_version(file.version)

    def test_an_unknown_scheme(self) -> None:
        with pytest.raises(ConfigError, match=r"carrier-pigeon://coop: cannot be .*not known"):
            list_files("carrier-pigeon://coop")

    def test_a_scheme_whose_package_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "s3fs", None)
        with pytest.raises(ConfigError, match=r"reading s3:// .* 'elasticdl-like\[s3\]'"):
            list_files("s3://bucket/data")

    def test_without_fsspec(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "fsspec.core", None)
        with pytest.raises(ConfigError, match=r"pip install 'elasticdl-like\[remote\]'"):
            list_files("memory://set")


def test_an_extra_that_is_there() -> None:
    assert extras.import_extra("json", "nothing", "reading").loads("[1]") == [1]
