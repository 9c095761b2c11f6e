"""The reader: TensorFlow's files, the index, large records, and every kind of damage."""

from __future__ import annotations

import gzip
import itertools
import os
import random
import tracemalloc
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from elasticdl_like.data_readers.files import RandomAccessFile, open_file
from elasticdl_like.data_readers.files.local import LocalFile
from elasticdl_like.data_readers.tfrecord import TFRecordDataReader, TFRecordWriter
from elasticdl_like.data_readers.tfrecord.format import encode_record
from elasticdl_like.data_readers.tfrecord.reader import TFRecordFormat
from elasticdl_like.errors import CorruptDataError, DataError
from elasticdl_like.sparse_index import SparseIndex, Stretch
from elasticdl_like.tasks import Task

FORMAT = TFRecordFormat()

# Short enough to damage each byte, in both of the ways that records are decoded.
SHORT_RUNS = {
    "unequal": [b"zero", b"", b"two" * 9, b"", b"four"],
    "equal": [bytes([number]) * 3 for number in range(40)],
}

_times_ns = itertools.count(10**18, 10**9)


def write_bytes(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    time_ns = next(_times_ns)  # the system's clock does not tell what is written right after
    os.utime(path, ns=(time_ns, time_ns))


def write(path: Path, records: list[bytes]) -> str:
    with TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def read_all(data_origin: Path) -> list[bytes]:
    reader = TFRecordDataReader(data_origin=str(data_origin))
    return [
        record
        for name, (first, count) in reader.create_shards().items()
        for record in reader.read_records(Task(name, first, first + count))
    ]


def stretches(index: SparseIndex) -> list[Stretch]:
    return list(index.stretches())


@pytest.mark.parametrize(("name", "compression"), [("a.tfrecord", ""), ("a.tfrecord.gz", "GZIP")])
def test_files_of_tensorflow(tmp_path: Path, name: str, compression: str) -> None:
    import tensorflow as tf

    records = [b"", b"one", bytes(300_000), *(str(number).encode() for number in range(20_000))]
    with tf.io.TFRecordWriter(str(tmp_path / name), compression) as writer:
        for record in records:
            writer.write(record)
    assert read_all(tmp_path / name) == records


def test_every_range(tmp_path: Path) -> None:
    records = [bytes([number]) * (number * 997 % 40_000) for number in range(30)]
    name = write(tmp_path / "a.tfrecord", records)
    reader = TFRecordDataReader(data_origin=name)
    assert 5 < reader.sparse_index(name).num_stretches < 30
    for start in range(len(records) + 1):
        for end in range(start, len(records) + 1):
            assert list(reader.read_records(Task(name, start, end))) == records[start:end]


class TestScan:
    @pytest.mark.parametrize(
        "records",
        [
            [bytes(89)] * 30_000,
            [bytes(number % 30) for number in range(60_000)],
            [b""] * 200_000,
            [bytes(random.Random(number).randrange(150_000)) for number in range(60)],
            [bytes(3_000_000), *[b""] * 70_000, bytes(2_000_000), b"end"],
        ],
        ids=["equal", "unequal", "empty", "large", "mixed"],
    )
    def test_entries_are_a_spacing_apart(self, tmp_path: Path, records: list[bytes]) -> None:
        name = write(tmp_path / "a", records)
        begins = [0, *itertools.accumulate(len(record) + 16 for record in records)]
        with open_file(name) as file:
            index = FORMAT.scan(file)
        assert index.num_records == len(records)
        expected = [0]
        for number, begin in enumerate(begins[:-1]):
            if begin >= begins[expected[-1]] + 65_536:
                expected.append(number)
        expected.append(len(records))
        assert index == SparseIndex(
            array("q", expected), array("q", [begins[number] for number in expected])
        )

    def test_large_records_are_passed_over(self, tmp_path: Path) -> None:
        name = write(tmp_path / "a", [bytes(1_000_000)] * 30)

        class Counted(LocalFile):
            read_bytes = 0

            def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
                self.read_bytes += size_bytes
                return super()._read(offset_bytes, size_bytes)

        with Counted(name) as file:
            assert FORMAT.scan(file).num_records == 30
            assert file.read_bytes < file.size_bytes / 8

    def test_no_records(self, tmp_path: Path) -> None:
        with open_file(write(tmp_path / "a", [])) as file:
            assert FORMAT.scan(file) == SparseIndex(array("q", [0]), array("q", [0]))
        with pytest.raises(DataError, match="no record in it"):
            read_all(tmp_path / "a")

    def test_memory_does_not_grow_with_the_file(self) -> None:
        peaks = []
        for blocks in (50, 500):
            tracemalloc.start()
            index = FORMAT.scan(Repeated(encode_record(bytes(1000)) * 64, blocks))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert index.num_records == 64 * blocks
        assert peaks[1] < peaks[0] + 100_000


class Repeated(RandomAccessFile):
    """A file that says the same again and again."""

    def __init__(self, block: bytes, times: int) -> None:
        super().__init__("repeated", len(block) * times, "1")
        self._block = block

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        start = offset_bytes % len(self._block)
        times = -(-(start + size_bytes) // len(self._block))
        return (self._block * times)[start : start + size_bytes]

    def current_version(self) -> str:
        return self.version

    def close(self) -> None:
        pass


class TestDamage:
    @pytest.mark.parametrize("records", SHORT_RUNS.values(), ids=SHORT_RUNS)
    def test_of_any_byte_is_told_with_the_record(
        self, tmp_path: Path, records: list[bytes]
    ) -> None:
        path = tmp_path / "a.tfrecord"
        write(path, records)
        sound = path.read_bytes()
        begins = [0, *itertools.accumulate(len(record) + 16 for record in records)]
        for position in range(len(sound)):
            damaged = bytearray(sound)
            damaged[position] ^= 1 << position % 8
            write_bytes(path, damaged)
            with pytest.raises(CorruptDataError) as raised:
                read_all(path)
            assert raised.value.path == str(path)
            assert raised.value.offset_bytes == max(each for each in begins if each <= position)

    @pytest.mark.parametrize("records", SHORT_RUNS.values(), ids=SHORT_RUNS)
    def test_by_cutting_and_inserting(self, tmp_path: Path, records: list[bytes]) -> None:
        path = tmp_path / "a.tfrecord"
        write(path, records)
        sound = path.read_bytes()
        begins = [0, *itertools.accumulate(len(record) + 16 for record in records)]
        for position in range(1, len(sound)):
            write_bytes(path, sound[:position])
            if position in begins:
                assert read_all(path) == records[: begins.index(position)]
            else:
                with pytest.raises(CorruptDataError, match=str(path)):
                    read_all(path)
            write_bytes(path, sound[:position] + b"\0" + sound[position:])
            with pytest.raises(CorruptDataError, match=str(path)):
                read_all(path)

    def test_anywhere_in_a_large_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tfrecord"
        chosen = random.Random(0)
        write(path, [chosen.randbytes(chosen.randrange(3000)) for _ in range(300)])
        sound = path.read_bytes()
        for damaged in itertools.islice(_damages(sound, chosen), 150):
            write_bytes(path, damaged)
            with pytest.raises(CorruptDataError, match=str(path)):
                read_all(path)

    def test_of_gzip(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tfrecord.gz"
        records = [b"zero", b"", b"two" * 9]
        write(path, records)
        sound = path.read_bytes()
        told = 0
        for damaged in itertools.islice(_damages(sound, random.Random(0)), 150):
            write_bytes(path, damaged)
            try:
                assert read_all(path) == records
            except CorruptDataError as error:
                told += 1
                assert error.path == str(path)  # noqa: PT017
        assert told > 120
        body = bytearray(gzip.decompress(sound))
        body[20 + 16] ^= 1
        write_bytes(path, gzip.compress(body))
        with pytest.raises(CorruptDataError, match=r"a\.tfrecord\.gz, at byte 36: "):
            read_all(path)

    @pytest.mark.parametrize(
        "body", [b"x", b"not a TFRecord file, but text" * 9, bytes(100), b"\xff" * 100]
    )
    def test_other_files(self, tmp_path: Path, body: bytes) -> None:
        (tmp_path / "a.tfrecord").write_bytes(body)
        with pytest.raises(CorruptDataError, match=r"a\.tfrecord, at byte 0: "):
            read_all(tmp_path / "a.tfrecord")

    def test_after_indexing(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tfrecord"
        name = write(path, SHORT_RUNS["equal"])
        reader = TFRecordDataReader(data_origin=name)
        reader.create_shards()
        write_bytes(path, path.read_bytes()[:-19])
        with pytest.raises(DataError, match=r"a\.tfrecord: the file (changed|shrank)"):
            list(reader.read_records(Task(name, 0, 40)))

    def test_other_records_than_were_indexed(self, tmp_path: Path) -> None:
        name = write(tmp_path / "a.tfrecord", SHORT_RUNS["unequal"])
        reader = TFRecordDataReader(data_origin=name)
        index = SparseIndex(array("q", [0, 4]), array("q", [0, Path(name).stat().st_size]))
        task = Task(name, 0, 4, version=reader.version(name), index=index)
        with pytest.raises(CorruptDataError, match="5 records where there were 4"):
            list(reader.read_records(task))

    @pytest.mark.parametrize("sizes", [[3000], [700, 3000], [40, 41, 42], [60]])
    def test_an_index_that_does_not_fit(self, tmp_path: Path, sizes: list[int]) -> None:
        """As of a file with the size and the time of the one that is read, but other records."""
        records = [b"x" * sizes[number % len(sizes)] for number in range(10_000)]
        name = write(tmp_path / "data.tfrecord", records)
        reader = TFRecordDataReader(data_origin=name)
        reader.create_shards()
        index = reader.sparse_index(name)
        task = Task(name, 0, len(records), version=reader.version(name), index=index)
        assert [record for batch in reader.read_record_batches(task) for record in batch] == records
        index.records[2] += 1
        with pytest.raises(CorruptDataError, match="when the file was indexed"):
            list(TFRecordDataReader(data_origin=name).read_record_batches(task))


def _damages(sound: bytes, chosen: random.Random) -> Iterator[bytes]:
    """Yields bytes with one bit flipped, some missing, or some inserted."""
    while True:
        position = chosen.randrange(len(sound) - 9)
        size = chosen.randrange(1, 9)
        bit = (sound[position] ^ 1 << chosen.randrange(8)).to_bytes(1, "big")
        yield sound[:position] + bit + sound[position + 1 :]
        yield sound[:position] + sound[position + size :]
        yield sound[:position] + chosen.randbytes(size) + sound[position:]


def test_a_stray_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tfrecord", [b"a"])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".b.crc").touch()
    assert read_all(tmp_path) == [b"a"]
    (tmp_path / "a.tfrecord~").touch()
    with pytest.raises(DataError, match=r"a\.tfrecord~: does not end with \.tfrecord or"):
        read_all(tmp_path)
