"""Gzip files as what they decompress to: members, damage, room, and sharing between threads."""

from __future__ import annotations

import gzip
import itertools
import logging
import os
import random
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elasticdl_like.data_readers.files import gzipped, open_file
from elasticdl_like.errors import CorruptDataError, DataError

TEXT = b"".join(b"line %d\n" % number for number in range(50_000))


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzipped, "_copies", gzipped._Copies())


_times_ns = itertools.count(10**18, 10**9)


def write(path: Path, body: bytes) -> str:
    path.write_bytes(body)
    time_ns = next(_times_ns)  # the system's clock does not tell what is written right after
    os.utime(path, ns=(time_ns, time_ns))
    return str(path)


def read_whole(name: str) -> bytes:
    with open_file(name) as file:
        return b"".join(file.blocks(1000))


def count_copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made = []
    original = gzipped._decompress_to_temporary_file

    def counted(compressed: Any) -> Any:
        made.append(compressed.name)
        return original(compressed)

    monkeypatch.setattr(gzipped, "_decompress_to_temporary_file", counted)
    return made


def test_reads_anywhere(tmp_path: Path) -> None:
    name = write(tmp_path / "a.txt.gz", gzip.compress(TEXT))
    with open_file(name) as file:
        assert (file.name, file.size_bytes) == (name, len(TEXT))
        assert file.read(123_456, 789) == TEXT[123_456 : 123_456 + 789]
        assert file.read(0, len(TEXT)) == TEXT
        with pytest.raises(DataError, match=r"a\.txt\.gz: the file shrank"):
            file.read(len(TEXT) - 1, 2)


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(TEXT[:1000]) + gzip.compress(b"") + gzip.compress(TEXT[1000:]),
        b"".join(gzip.compress(TEXT[start : start + 100]) for start in range(0, len(TEXT), 100)),
        gzip.compress(TEXT) + bytes(100_000),
        gzip.compress(TEXT[:9]) + bytes(70_000) + gzip.compress(TEXT[9:]),
    ],
    ids=["members", "many members", "zeros at the end", "zeros between"],
)
def test_all_that_gzip_reads(tmp_path: Path, body: bytes) -> None:
    assert gzip.decompress(body) == TEXT
    assert read_whole(write(tmp_path / "a.gz", body)) == TEXT


def test_what_becomes_much_larger(tmp_path: Path) -> None:
    name = write(tmp_path / "a.gz", gzip.compress(bytes(5_000_000)))
    with open_file(name) as file:
        assert file.size_bytes == 5_000_000
        assert {len(block) for block in gzipped.decompressed_blocks(file._compressed)} <= set(  # type: ignore[attr-defined]
            range(2**20 + 1)
        )


def test_the_version_is_that_of_the_compressed_file(tmp_path: Path) -> None:
    name = write(tmp_path / "a.gz", gzip.compress(TEXT))
    version = f"size={Path(name).stat().st_size},mtime_ns={Path(name).stat().st_mtime_ns}"
    with open_file(name) as file:
        assert file.version == file.current_version() == version
        os.utime(name, ns=(1, 1))
        with pytest.raises(DataError, match="the file changed"):
            file.check_version(version)
    with open_file(name) as file:
        assert file.version.endswith(",mtime_ns=1")


def test_damage_is_told_or_does_no_harm(tmp_path: Path) -> None:
    body = gzip.compress(TEXT[:3000], mtime=0)
    path = tmp_path / "a.gz"
    chosen = random.Random(0)
    told = 0
    for position in chosen.sample(range(len(body)), 150):
        damaged = bytearray(body)
        damaged[position] ^= 1 << chosen.randrange(8)
        try:
            # The time in the header, say, does not matter.
            assert read_whole(write(path, bytes(damaged))) == TEXT[:3000]
        except CorruptDataError as error:
            told += 1
            assert error.path == str(path)  # noqa: PT017
            assert error.offset_bytes <= len(body)  # noqa: PT017
    assert told > 140


def test_what_is_not_whole(tmp_path: Path) -> None:
    body = gzip.compress(TEXT[:3000])
    path = tmp_path / "a.gz"
    for size in random.Random(0).sample(range(len(body)), 50):
        with pytest.raises(CorruptDataError, match="ends before its gzip data does"):
            read_whole(write(path, body[:size]))
    for rest in (b"x", bytes(5) + b"x", b"\x1f\x8b"):
        with pytest.raises(CorruptDataError):
            read_whole(write(path, body + rest))


def test_decompressed_once_for_all_threads_and_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [write(tmp_path / f"{each}.gz", gzip.compress(TEXT + each)) for each in (b"a", b"b")]
    made = count_copies(monkeypatch)
    barrier = threading.Barrier(4)

    def read(number: int) -> bytes:
        barrier.wait(timeout=60)
        return read_whole(names[number % 2])

    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(read, range(4))) == [TEXT + b"a", TEXT + b"b"] * 2
    assert sorted(made) == sorted(names)
    assert read_whole(names[0]) == TEXT + b"a"
    assert len(made) == 2
    write(Path(names[0]), gzip.compress(TEXT[5:]))
    assert read_whole(names[0]) == TEXT[5:]
    assert len(made) == 3


def test_keeps_no_more_than_half_of_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [write(tmp_path / f"{number}.gz", gzip.compress(TEXT)) for number in range(5)]
    room_bytes = 4 * len(TEXT)

    def usage(path: str) -> Any:
        kept_bytes = sum(copy.size_bytes for copy in gzipped._copies._kept.values())
        return SimpleNamespace(free=room_bytes - kept_bytes)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    made = count_copies(monkeypatch)
    with open_file(names[0]) as first:
        for name in names[1:]:
            assert read_whole(name) == TEXT
        assert len(gzipped._copies._kept) == 2
        # Still there for who has it.
        assert read_whole(names[0]) == TEXT
        assert first.read(5, 5) == TEXT[5:10]
    assert made == names
    assert read_whole(names[1]) == TEXT
    assert made == [*names, names[1]]


def test_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with open_file(write(tmp_path / "a.gz", gzip.compress(TEXT))) as file:
        assert list(temporary.iterdir()) == []
        assert file.read(0, 4) == b"line"
    with pytest.raises(CorruptDataError):
        open_file(write(tmp_path / "b.gz", gzip.compress(TEXT)[:-1]))
    assert list(temporary.iterdir()) == []


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"a\.gz: decompressing it into .*absent.*TMPDIR"):
        open_file(write(tmp_path / "a.gz", gzip.compress(TEXT)))


def test_says_once_what_gzip_costs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gzipped._say_once.cache_clear()
    for number in range(3):
        read_whole(write(tmp_path / f"{number}.gz", gzip.compress(TEXT)))
    (message,) = (each.message for each in caplog.records if each.levelno == logging.WARNING)
    assert "elasticdl data convert" in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt.gz", True),
        ("A.TFRECORD.GZ", True),
        ("http://host/a.gz?key=1", True),
        ("http://host/a.txt?name=b.gz", False),
        ("a.gz/b.txt", False),
        ("gz", False),
    ],
)
def test_names(name: str, expected: bool) -> None:
    assert gzipped.is_gzip_name(name) is expected
