"""The reader: the original implementations' files, tasks, sources, and every kind of damage."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cramjam
import google_crc32c
import pytest

from elasticdl_like.data_readers.files import indexed_reader, recent
from elasticdl_like.data_readers.recordio import (
    Compressor,
    Dialect,
    RecordIODataReader,
    RecordIOWriter,
)
from elasticdl_like.data_readers.recordio import reader as recordio_reader
from elasticdl_like.data_readers.recordio.format import MAGIC, encode_chunk
from elasticdl_like.data_readers.recordio.index import SPACING_BYTES
from elasticdl_like.errors import ConfigError, CorruptDataError, DataError
from elasticdl_like.tasks import Task

GOLDEN = Path(__file__).parents[3] / "recordio_golden"
MANIFEST: dict[str, dict[str, Any]] = json.loads((GOLDEN / "MANIFEST.json").read_text())
KINDS = list(product(Dialect, Compressor))
CHUNKS = [[b"zero", b"", b"two"], [b"three" * 4], [b"", b"five", b"six", b"\x07\x07"]]
RECORDS = [record for chunk in CHUNKS for record in chunk]

kinds = pytest.mark.parametrize(("dialect", "compressor"), KINDS)


def write(path: Path, count: int, **options: Any) -> list[bytes]:
    records = [f"{path.name} {number}".encode() for number in range(count)]
    with RecordIOWriter(path, **options) as writer:
        for record in records:
            writer.write(record)
    return records


def write_large_chunks(path: Path, count: int) -> list[bytes]:
    """Writes chunks of ten records, each as large as a stretch."""
    records = [
        f"{path.name} {number} ".encode().ljust(SPACING_BYTES // 10) for number in range(count)
    ]
    with RecordIOWriter(
        path, max_chunk_records=10, max_chunk_bytes=1 << 20, compressor=Compressor.NONE
    ) as writer:
        for record in records:
            writer.write(record)
    return records


def read_all(data_origin: Path) -> list[bytes]:
    reader = RecordIODataReader(data_origin=str(data_origin))
    return [
        record
        for name, (first, count) in reader.create_shards().items()
        for record in reader.read_records(Task(name, first, first + count))
    ]


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """Records the arguments of each call that the reader module makes to this function."""
    calls: list[tuple[Any, ...]] = []
    original: Callable[..., Any] = getattr(recordio_reader, name)

    def counted(*args: Any) -> Any:
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(recordio_reader, name, counted)
    return calls


@pytest.mark.parametrize("name", MANIFEST)
def test_files_of_the_original_implementations(name: str) -> None:
    facts = MANIFEST[name]
    reader = RecordIODataReader(data_origin=str(GOLDEN / name))
    assert reader.create_shards() == {str(GOLDEN / name): (0, facts["records"])}
    records = list(reader.read_records(Task(str(GOLDEN / name), 0, facts["records"])))
    assert [len(record) for record in records[:8]] == facts["first_lengths"]
    assert sum(map(len, records)) == facts["bytes"]
    assert records.count(b"") == facts["empty_records"]
    digest = hashlib.sha256()
    for record in records:
        digest.update(struct.pack("<I", len(record)) + record)
    assert digest.hexdigest() == facts["sha256_of_length_prefixed_records"]


class TestTasks:
    @kinds
    def test_every_range(self, tmp_path: Path, dialect: Dialect, compressor: Compressor) -> None:
        path = tmp_path / "data"
        path.write_bytes(b"".join(encode_chunk(c, dialect, compressor) for c in CHUNKS))
        reader = RecordIODataReader(data_origin=str(path))
        for start in range(len(RECORDS) + 1):
            for end in range(start, len(RECORDS) + 1):
                batches = list(reader.read_record_batches(Task(str(path), start, end)))
                assert [record for batch in batches for record in batch] == RECORDS[start:end]
                assert all(batches)

    def test_only_the_chunks_of_the_task_are_decoded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        records = write_large_chunks(tmp_path / "data", 100)
        decoded = count_calls(monkeypatch, "decode_chunk_at")
        reader = RecordIODataReader(data_origin=str(tmp_path / "data"))
        batches = list(reader.read_record_batches(Task(str(tmp_path / "data"), 45, 62)))
        assert batches == [records[45:62]]
        assert len(decoded) == 3

    def test_the_newest_chunk_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [str(tmp_path / name) for name in ("a", "b")]
        records = {name: write_large_chunks(Path(name), 30) for name in names}
        decoded = count_calls(monkeypatch, "decode_chunk_at")
        reader = RecordIODataReader(data_origin=str(tmp_path))

        def decodes(name: str, start: int, end: int) -> int:
            before = len(decoded)
            found = list(reader.read_records(Task(name, start, end)))
            assert found == records[name][start:end]
            return len(decoded) - before

        assert [decodes(names[0], start, start + 3) for start in range(0, 12, 3)] == [1, 0, 0, 1]
        assert decodes(names[0], 15, 20) == 0
        assert decodes(names[1], 15, 20) == 1
        assert decodes(names[0], 15, 20) == 0
        monkeypatch.setattr(recent, "MAX_STRETCH_BYTES", SPACING_BYTES)
        assert decodes(names[1], 5, 10) == 1
        assert decodes(names[0], 15, 20) == 1

    def test_a_batch_is_the_callers_own(self, tmp_path: Path) -> None:
        records = write(tmp_path / "data", 5)
        reader = RecordIODataReader(data_origin=str(tmp_path / "data"))
        task = Task(str(tmp_path / "data"), 0, 5)
        for batch in reader.read_record_batches(task):
            batch.clear()
        assert list(reader.read_records(task)) == records

    def test_a_file_is_indexed_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "data", 10)
        indexed = count_calls(monkeypatch, "index_chunks")
        reader = RecordIODataReader(data_origin=str(tmp_path / "data"))
        for _ in range(3):
            reader.create_shards()
            list(reader.read_records(Task(str(tmp_path / "data"), 2, 4)))
        assert len(indexed) == 1

    def test_a_worker_reads_without_having_made_the_shards(self, tmp_path: Path) -> None:
        records = write(tmp_path / "data", 10)
        reader = RecordIODataReader(data_origin=str(tmp_path))
        assert list(reader.read_records(Task(str(tmp_path / "data"), 2, 4))) == records[2:4]

    @pytest.mark.parametrize(("start", "end"), [(0, 11), (11, 12), (-1, 5), (6, 5)])
    def test_a_range_that_is_not_in_the_file(self, tmp_path: Path, start: int, end: int) -> None:
        write(tmp_path / "data", 10)
        reader = RecordIODataReader(data_origin=str(tmp_path))
        with pytest.raises(DataError, match=rf"data: asked for .*\[{start}, {end}\).* holds 10"):
            list(reader.read_records(Task(str(tmp_path / "data"), start, end)))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        reader = RecordIODataReader(data_origin=str(tmp_path))
        with pytest.raises(DataError, match="absent: cannot be read: No such file"):
            list(reader.read_records(Task(str(tmp_path / "absent"), 0, 1)))


class TestSources:
    def test_a_directory(self, tmp_path: Path) -> None:
        for name, count in (("b", 2), ("a", 1), ("c", 3)):
            write(tmp_path / name, count)
        (tmp_path / "empty").touch()
        (tmp_path / "_SUCCESS").touch()
        (tmp_path / "_notes").write_text("not RecordIO")
        (tmp_path / ".hidden").write_text("not RecordIO")
        (tmp_path / "_temporary").mkdir()
        shards = RecordIODataReader(data_origin=str(tmp_path)).create_shards()
        assert list(shards.items()) == [
            (f"{tmp_path}/a", (0, 1)),
            (f"{tmp_path}/b", (0, 2)),
            (f"{tmp_path}/c", (0, 3)),
        ]
        assert read_all(tmp_path) == [b"a 0", b"b 0", b"b 1", b"c 0", b"c 1", b"c 2"]

    @pytest.mark.parametrize("given", [".", "./", "./sub", "sub//"])
    def test_names_are_as_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
    ) -> None:
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path if "sub" in given else tmp_path / "sub")
        write(tmp_path / "sub" / "data", 1)
        shards = RecordIODataReader(data_origin=given).create_shards()
        assert shards == {given.rstrip("/") + "/data": (0, 1)}

    def test_a_subdirectory(self, tmp_path: Path) -> None:
        write(tmp_path / "a", 1)
        (tmp_path / "b").mkdir()
        with pytest.raises(DataError, match=f"{tmp_path}/b: a directory among the data files"):
            RecordIODataReader(data_origin=str(tmp_path)).create_shards()

    def test_a_stray_file(self, tmp_path: Path) -> None:
        write(tmp_path / "a", 1)
        (tmp_path / "README").write_text("About this data set: it has rows.")
        with pytest.raises(CorruptDataError, match=r"/README, at byte 0: no RecordIO chunk"):
            RecordIODataReader(data_origin=str(tmp_path)).create_shards()

    def test_a_short_stray_file(self, tmp_path: Path) -> None:
        (tmp_path / "README").write_text("rows")
        with pytest.raises(CorruptDataError, match=r"/README, at byte 0: the file ends 4 bytes"):
            RecordIODataReader(data_origin=str(tmp_path)).create_shards()

    def test_a_dangling_link(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("absent")
        with pytest.raises(DataError, match="link: cannot be read"):
            RecordIODataReader(data_origin=str(tmp_path)).create_shards()

    def test_a_glob(self, tmp_path: Path) -> None:
        for name, count in (("x-2", 2), ("x-1", 1), ("y-1", 3)):
            write(tmp_path / name, count)
        shards = RecordIODataReader(data_origin=f"{tmp_path}/x-*").create_shards()
        assert list(shards.items()) == [(f"{tmp_path}/x-1", (0, 1)), (f"{tmp_path}/x-2", (0, 2))]

    def test_a_file_whose_name_is_also_a_pattern(self, tmp_path: Path) -> None:
        write(tmp_path / "x[1]", 1)
        write(tmp_path / "x1", 1)
        assert read_all(tmp_path / "x[1]") == [b"x[1] 0"]

    def test_files_of_both_dialects(self, tmp_path: Path) -> None:
        for dialect, compressor in KINDS:
            write(tmp_path / f"{dialect}-{compressor}", 1, dialect=dialect, compressor=compressor)
        assert len(read_all(tmp_path)) == len(KINDS)

    @pytest.mark.parametrize("name", ["absent", "absent/*", "empty_directory"])
    def test_no_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "empty_directory").mkdir()
        with pytest.raises(DataError, match="no file there to read"):
            RecordIODataReader(data_origin=str(tmp_path / name)).create_shards()

    def test_no_record(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).touch()
        with pytest.raises(DataError, match=f"{tmp_path}: no record in it .2 files"):
            RecordIODataReader(data_origin=str(tmp_path)).create_shards()

    def test_no_name(self) -> None:
        with pytest.raises(ConfigError, match="data_origin is empty"):
            RecordIODataReader(data_origin="")


class TestChangedFile:
    def test_replaced_between_tasks(self, tmp_path: Path) -> None:
        """What was indexed is what is read, as long as the old file is open."""
        path = tmp_path / "data"
        write(path, 10, max_chunk_records=5)
        reader = RecordIODataReader(data_origin=str(path))
        assert len(list(reader.read_records(Task(str(path), 0, 5)))) == 5
        write(path, 3)
        records = list(reader.read_records(Task(str(path), 5, 10)))
        assert records == [b"data %d" % number for number in range(5, 10)]

    def test_replaced_before_it_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "data"
        write(path, 10)
        reader = RecordIODataReader(data_origin=str(path))
        reader.create_shards()
        write(path, 11)
        with pytest.raises(DataError, match="data: the file changed after it was indexed"):
            list(reader.read_records(Task(str(path), 5, 10)))

    def test_same_size(self, tmp_path: Path) -> None:
        path = tmp_path / "data"
        write(path, 10)
        reader = RecordIODataReader(data_origin=str(path))
        reader.create_shards()
        os.utime(path, ns=(0, 0))
        with pytest.raises(DataError, match="changed after it was indexed"):
            list(reader.read_records(Task(str(path), 0, 1)))

    def test_in_disguise(self, tmp_path: Path) -> None:
        """Size and time are as they were, but the chunks are not."""
        path = tmp_path / "data"
        path.write_bytes(encode_chunk([b"12345678"] * 2, Dialect.GO, Compressor.NONE))
        status = path.stat()
        reader = RecordIODataReader(data_origin=str(path))
        reader.create_shards()
        path.write_bytes(encode_chunk([b"1", b"2", b"3456789012"], Dialect.GO, Compressor.NONE))
        assert path.stat().st_size == status.st_size
        os.utime(path, ns=(0, status.st_mtime_ns))
        with pytest.raises(CorruptDataError, match="more records than when the file was indexed"):
            list(reader.read_records(Task(str(path), 0, 2)))

    def test_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "data"
        write(path, 10)
        reader = RecordIODataReader(data_origin=str(path))
        reader.create_shards()
        path.unlink()
        with pytest.raises(DataError, match="data: cannot be read: No such file"):
            list(reader.read_records(Task(str(path), 0, 1)))

    def test_shrunk_while_a_task_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexed_reader, "_MAX_READ_BYTES", SPACING_BYTES)
        path = tmp_path / "data"
        written = write_large_chunks(path, 30)
        reader = RecordIODataReader(data_origin=str(path))
        records = reader.read_records(Task(str(path), 0, 30))
        assert next(records) == written[0]
        os.truncate(path, SPACING_BYTES + 1000)
        with pytest.raises(DataError, match="data: the file changed after it was indexed"):
            list(records)


@kinds
class TestDamage:
    """Whatever happens to a file, reading all of it gives an error that says where, or is right."""

    def test_every_flipped_bit(
        self, tmp_path: Path, dialect: Dialect, compressor: Compressor
    ) -> None:
        stored, edges = self.stored(dialect, compressor)
        size_field = range(12, 16) if dialect is Dialect.GO else range(16, 20)
        for bit in range(8 * len(stored)):
            damaged = bytearray(stored)
            damaged[bit // 8] ^= 1 << bit % 8
            error = self.error(tmp_path / "data", bytes(damaged))
            assert isinstance(error, CorruptDataError), f"bit {bit}: {error}"
            # A wrong body size shows where the next chunk should have begun.
            in_chunk = bit // 8 - max(edge for edge in edges if edge <= bit // 8)
            if in_chunk not in size_field:
                assert error.offset_bytes == bit // 8 - in_chunk

    def test_every_truncation(
        self, tmp_path: Path, dialect: Dialect, compressor: Compressor
    ) -> None:
        stored, edges = self.stored(dialect, compressor)
        path = tmp_path / "data"
        for size in range(1, len(stored) + 1):
            path.write_bytes(stored[:size])
            if size in edges:
                whole = CHUNKS[: edges.index(size)]
                assert read_all(path) == [record for chunk in whole for record in chunk]
                continue
            error = self.error(path, stored[:size])
            assert isinstance(error, CorruptDataError)
            assert error.offset_bytes == max(edge for edge in edges if edge < size)

    def test_every_tail_of_zeros(
        self, tmp_path: Path, dialect: Dialect, compressor: Compressor
    ) -> None:
        """What a power loss can leave of a file whose size was already recorded."""
        stored, _ = self.stored(dialect, compressor)
        for size in range(len(stored)):
            damaged = stored[:size] + bytes(len(stored) - size)
            if damaged != stored:
                assert isinstance(self.error(tmp_path / "data", damaged), CorruptDataError)

    def test_every_lost_or_doubled_byte(
        self, tmp_path: Path, dialect: Dialect, compressor: Compressor
    ) -> None:
        stored, _ = self.stored(dialect, compressor)
        for at in range(len(stored)):
            for damaged in (stored[:at] + stored[at + 1 :], stored[: at + 1] + stored[at:]):
                assert isinstance(self.error(tmp_path / "data", damaged), CorruptDataError)

    @staticmethod
    def stored(dialect: Dialect, compressor: Compressor) -> tuple[bytes, list[int]]:
        """The file undamaged, and where its chunks begin and the last one ends."""
        chunks = [encode_chunk(chunk, dialect, compressor) for chunk in CHUNKS]
        edges = [sum(map(len, chunks[:number])) for number in range(len(chunks) + 1)]
        return b"".join(chunks), edges

    @staticmethod
    def error(path: Path, stored: bytes) -> DataError | None:
        path.write_bytes(stored)
        try:
            assert read_all(path) == RECORDS
        except DataError as caught:
            error = caught
        else:
            return None
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return error


def chunk_of(
    dialect: Dialect, code: int, body: bytes, count: int, size: int | None = None
) -> bytes:
    """A chunk with a right checksum, whatever else it says."""
    size = len(body) if size is None else size
    if dialect is Dialect.GO:
        return struct.pack("<5I", MAGIC, zlib.crc32(body), code, size, count) + body
    return struct.pack("<5I", MAGIC, count, google_crc32c.value(body), code, size) + body


def four_gib_claims() -> dict[str, bytes]:
    most = 2**32 - 1
    huge_record = struct.pack("<I", most) + b"and a few bytes"
    raw = bytes(cramjam.snappy.compress_raw(huge_record))
    zipped = zlib.compress(huge_record, wbits=31)
    bomb = zlib.compress(bytes(60_000_000), 9, wbits=31)[:-4] + struct.pack("<I", 19)
    framed = bytes(cramjam.snappy.compress(huge_record))
    frame = bytes(4) + b"\xff\xff\xff\xff\x0f" + raw[1:]
    claims = {
        "go frame": chunk_of(
            Dialect.GO, 1, framed[:11] + len(frame).to_bytes(3, "little") + frame, 1
        ),
        "go framed record": chunk_of(Dialect.GO, 1, framed, 1),
        "python raw record": chunk_of(Dialect.PYTHON, 2, raw, 1),
        "python raw block": chunk_of(Dialect.PYTHON, 2, b"\xff\xff\xff\xff\x0f" + raw[1:], 1),
    }
    for dialect, first_code in ((Dialect.GO, 0), (Dialect.PYTHON, 1)):
        claims |= {
            f"{dialect} record": chunk_of(dialect, first_code, huge_record, 1),
            f"{dialect} body": chunk_of(dialect, first_code, huge_record, 1, size=most),
            f"{dialect} count": chunk_of(dialect, first_code, huge_record, most),
            f"{dialect} gzip record": chunk_of(dialect, first_code + 2, zipped, 1),
            f"{dialect} gzip trailer": chunk_of(
                dialect, first_code + 2, zipped[:-4] + struct.pack("<I", most), 1
            ),
            f"{dialect} gzip bomb": chunk_of(dialect, first_code + 2, bomb, 1),
        }
    return claims


READ_WITHIN_64_MIB = """
import resource, sys
from pathlib import Path
from elasticdl_like.data_readers.recordio import RecordIODataReader
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.tasks import Task

in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**26, resource.RLIM_INFINITY))
for path in sorted(Path(sys.argv[1]).iterdir()):
    reader = RecordIODataReader(data_origin=str(path))
    try:
        ((name, (first, count)),) = reader.create_shards().items()
        list(reader.read_records(Task(name, first, count)))
    except CorruptDataError:
        print(path.name)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited as Linux does")
def test_four_gib_claims_take_no_memory(tmp_path: Path) -> None:
    """In a process of its own: a failed allocation in the snappy library would end it."""
    claims = four_gib_claims()
    for name, stored in claims.items():
        (tmp_path / name).write_bytes(stored)
    done = subprocess.run(
        [sys.executable, "-c", READ_WITHIN_64_MIB, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == sorted(claims)
