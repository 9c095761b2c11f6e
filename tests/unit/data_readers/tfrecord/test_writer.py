"""Writing files: the bytes are TensorFlow's, and a file is whole or not there."""

from __future__ import annotations

import gzip
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.data_readers.tfrecord import TFRecordWriter
from elasticdl_like.data_readers.tfrecord.format import decode_records
from elasticdl_like.errors import DataError

RECORDS = [b"", b"one", bytes(100_000), *(str(number).encode() for number in range(100)), b""]


def write(path: Path, records: list[bytes]) -> None:
    with TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)


def test_the_bytes_are_those_of_tensorflow(tmp_path: Path) -> None:
    import tensorflow as tf

    write(tmp_path / "ours", RECORDS)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in RECORDS:
            writer.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize(("name", "compression"), [("a.tfrecord", ""), ("a.tfrecord.GZ", "GZIP")])
def test_tensorflow_reads_them(tmp_path: Path, name: str, compression: str) -> None:
    import tensorflow as tf

    write(tmp_path / name, RECORDS)
    dataset = tf.data.TFRecordDataset(str(tmp_path / name), compression)
    assert list(dataset.as_numpy_iterator()) == RECORDS


def test_gzip_is_by_the_name_and_always_the_same(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz", "c"):
        write(tmp_path / name, RECORDS)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == (tmp_path / "c").read_bytes()
    assert decode_records((tmp_path / "c").read_bytes()) == RECORDS


class FullDisk(io.BytesIO):
    def write(self, data: Any) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
class TestWhole:
    def test_a_file_appears_when_it_is_whole(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(b"what was there before")
        with TFRecordWriter(path) as writer:
            writer.write(b"a")
            assert path.read_bytes() == b"what was there before"
            (other,) = (entry.name for entry in tmp_path.iterdir() if entry != path)
            assert other.startswith(f".{name}.")
        assert path.read_bytes() != b"what was there before"
        assert list(tmp_path.iterdir()) == [path]

    def test_an_exception_leaves_what_was_there(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(b"what was there before")

        def fail_half_way() -> None:
            with TFRecordWriter(str(path)) as writer:
                writer.write(b"a")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_half_way()
        assert list(tmp_path.iterdir()) == [path]
        assert path.read_bytes() == b"what was there before"

    def test_an_exception_at_the_end_leaves_nothing(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full_disk(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path / name, [b"a"])
        assert list(tmp_path.iterdir()) == []

    def test_a_failed_write_cannot_be_passed_over(self, tmp_path: Path, name: str) -> None:
        def pass_over_a_failure() -> None:
            with TFRecordWriter(tmp_path / name) as writer:
                writer.write(b"a")
                writer._file = FullDisk()
                with suppress(OSError):
                    writer.write(b"b")

        with pytest.raises(DataError, match="an earlier write failed"):
            pass_over_a_failure()
        assert list(tmp_path.iterdir()) == []


def test_writing_outside_the_with_block(tmp_path: Path) -> None:
    writer = TFRecordWriter(tmp_path / "data")
    with pytest.raises(ValueError, match="not open"):
        writer.write(b"a")
    with writer:
        writer.write(b"b")
    with pytest.raises(ValueError, match="not open"):
        writer.write(b"c")
    assert decode_records((tmp_path / "data").read_bytes()) == [b"b"]


@pytest.mark.parametrize("record", ["text", bytearray(b"a"), 5, None])
def test_what_is_not_bytes(tmp_path: Path, record: Any) -> None:
    with TFRecordWriter(tmp_path / "data") as writer, pytest.raises(TypeError, match="be bytes"):
        writer.write(record)


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), TFRecordWriter(tmp_path / "absent" / "data"):
        pass


def test_no_records_make_an_empty_file(tmp_path: Path) -> None:
    write(tmp_path / "data", [])
    assert (tmp_path / "data").read_bytes() == b""
