"""The bytes of one chunk: layouts, round trips, and what damaged or lying bytes lead to."""

from __future__ import annotations

import json
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cramjam
import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.recordio import format as recordio_format
from elasticdl_like.data_readers.recordio.format import (
    HEADER_BYTES,
    MAGIC,
    ChunkFormatError,
    ChunkHeader,
    Compressor,
    Dialect,
    decode_chunk,
    decode_header,
    encode_chunk,
)

GOLDEN = Path(__file__).parents[3] / "recordio_golden"
MANIFEST: dict[str, dict[str, Any]] = json.loads((GOLDEN / "MANIFEST.json").read_text())
KINDS = list(product(Dialect, Compressor))
RECORDS = [b"one", b"", b"three" * 30, b"\x00\xff", b"", b"the last one"]
FOUR_GIB = 2**32 - 1
FEW = settings(derandomize=True, max_examples=100, deadline=None, database=None)

kinds = pytest.mark.parametrize(("dialect", "compressor"), KINDS)


def decode(chunk: bytes) -> list[bytes]:
    header = decode_header(chunk[:HEADER_BYTES], len(chunk) - HEADER_BYTES)
    return decode_chunk(header, chunk[HEADER_BYTES:][: header.body_size_bytes])


def with_length(record: bytes) -> bytes:
    return struct.pack("<I", len(record)) + record


def chunk_of(dialect: Dialect, compressor: Compressor, body: bytes, count: int) -> bytes:
    """A chunk whose header fits its body, whatever that is."""
    code = list(Compressor).index(compressor) + (1 if dialect is Dialect.PYTHON else 0)
    if dialect is Dialect.GO:
        return struct.pack("<5I", MAGIC, zlib.crc32(body), code, len(body), count) + body
    crc = google_crc32c.value(body)
    return struct.pack("<5I", MAGIC, count, crc, code, len(body)) + body


def compress(dialect: Dialect, compressor: Compressor, decoded: bytes) -> bytes:
    if compressor is Compressor.NONE:
        return decoded
    if compressor is Compressor.GZIP:
        return zlib.compress(decoded, wbits=31)
    if dialect is Dialect.GO:
        return bytes(cramjam.snappy.compress(decoded))
    return bytes(cramjam.snappy.compress_raw(decoded))


def peak_bytes(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestLayout:
    def test_go(self) -> None:
        body = b"\x02\0\0\0hi\0\0\0\0"
        expected = bytes.fromhex("04030201") + struct.pack("<4I", zlib.crc32(body), 0, 10, 2) + body
        assert encode_chunk([b"hi", b""], Dialect.GO, Compressor.NONE) == expected

    def test_python(self) -> None:
        body = b"\x02\0\0\0hi\0\0\0\0"
        crc = google_crc32c.value(body)
        expected = bytes.fromhex("04030201") + struct.pack("<4I", 2, crc, 1, 10) + body
        assert encode_chunk([b"hi", b""], Dialect.PYTHON, Compressor.NONE) == expected

    @kinds
    def test_header(self, dialect: Dialect, compressor: Compressor) -> None:
        chunk = encode_chunk(RECORDS, dialect, compressor)
        body = chunk[HEADER_BYTES:]
        crc = zlib.crc32(body) if dialect is Dialect.GO else google_crc32c.value(body)
        header = decode_header(chunk[:HEADER_BYTES], len(body))
        assert header == ChunkHeader(dialect, compressor, crc, len(body), len(RECORDS))

    @pytest.mark.parametrize("name", MANIFEST)
    def test_first_chunk_of_the_original_implementations(self, name: str) -> None:
        facts = MANIFEST[name]
        stored = (GOLDEN / name).read_bytes()
        header = decode_header(stored[:HEADER_BYTES], len(stored) - HEADER_BYTES)
        assert (header.dialect, header.compressor) == (facts["dialect"], facts["compressor"])
        records = decode_chunk(header, stored[HEADER_BYTES:][: header.body_size_bytes])
        assert [len(record) for record in records[:8]] == facts["first_lengths"]

    @pytest.mark.parametrize("name", [name for name in MANIFEST if "none" in name])
    def test_same_bytes_as_the_original_implementations(self, name: str) -> None:
        stored = (GOLDEN / name).read_bytes()
        offset = 0
        while offset < len(stored):
            header = decode_header(stored[offset:][:HEADER_BYTES], len(stored) - offset)
            chunk = stored[offset:][: HEADER_BYTES + header.body_size_bytes]
            assert encode_chunk(decode(chunk), header.dialect, header.compressor) == chunk
            offset += len(chunk)


class TestRoundTrip:
    @FEW
    @given(
        st.lists(st.one_of(st.binary(max_size=40), st.just(b""), st.just(b"ab" * 500)), min_size=1),
        st.sampled_from(KINDS),
    )
    def test_any_records(self, records: list[bytes], kind: tuple[Dialect, Compressor]) -> None:
        assert decode(encode_chunk(records, *kind)) == records

    @kinds
    @pytest.mark.parametrize("count", [1, 31, 32, 33, 1000])
    @pytest.mark.parametrize("length", [0, 1, 89])
    def test_equally_long_records(
        self, dialect: Dialect, compressor: Compressor, count: int, length: int
    ) -> None:
        records = [random.Random(number).randbytes(length) for number in range(count)]
        decoded = decode(encode_chunk(records, dialect, compressor))
        assert decoded == records
        assert {type(record) for record in decoded} == {bytes}

    @pytest.mark.parametrize("lengths", [[8] * 98 + [7, 9], [9, 7] + [8] * 98, [0, 16] * 50])
    def test_lengths_that_are_equal_only_on_average(self, lengths: list[int]) -> None:
        records = [b"\x08\0\0\0"[:4] * 4 for _ in lengths]
        records = [record[:length] for record, length in zip(records, lengths, strict=True)]
        assert decode(encode_chunk(records, Dialect.GO, Compressor.NONE)) == records

    @kinds
    def test_what_compresses_best(self, dialect: Dialect, compressor: Compressor) -> None:
        record = bytes(4_000_000)
        assert decode(encode_chunk([record], dialect, compressor)) == [record]


class TestEncodeRefuses:
    def test_no_records(self) -> None:
        with pytest.raises(ChunkFormatError, match="at least one record"):
            encode_chunk([], Dialect.GO, Compressor.NONE)

    def test_more_bytes_than_can_be_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recordio_format, "_MAX_UINT32", 100)
        assert encode_chunk([bytes(96)], Dialect.GO, Compressor.NONE)
        with pytest.raises(ChunkFormatError, match="101 bytes is more than RecordIO can count"):
            encode_chunk([bytes(97)], Dialect.GO, Compressor.NONE)
        with pytest.raises(ChunkFormatError, match="more than RecordIO can count"):
            encode_chunk([random.Random(1).randbytes(96)], Dialect.GO, Compressor.GZIP)


class TestHeaderRefuses:
    @pytest.mark.parametrize("size", [0, 1, 4, 19])
    def test_a_cut_header(self, size: int) -> None:
        chunk = encode_chunk(RECORDS, Dialect.GO, Compressor.NONE)
        with pytest.raises(ChunkFormatError, match=f"ends {size} bytes into a chunk header of 20"):
            decode_header(chunk[:size], 0)

    def test_other_bytes(self) -> None:
        with pytest.raises(ChunkFormatError, match="no RecordIO chunk starts here: found b'id,n'"):
            decode_header(b"id,name,price\n1,tea,", 100)

    def test_an_unknown_compressor(self) -> None:
        header = struct.pack("<5I", MAGIC, 7, 3, 4, 100)
        with pytest.raises(ChunkFormatError, match="3 if it is of the go dialect, 4 if of the pyt"):
            decode_header(header, 100)

    @pytest.mark.parametrize("fields", [(7, 0, 101, 5), (5, 7, 1, 101)])
    def test_a_body_beyond_the_end_of_the_file(self, fields: tuple[int, ...]) -> None:
        with pytest.raises(ChunkFormatError, match="a body of 101 bytes, but only 100 more"):
            decode_header(struct.pack("<5I", MAGIC, *fields), 100)

    @pytest.mark.parametrize(
        ("fields", "most"),
        [
            ((7, 0, 100, None), 25),
            ((7, 1, 100, None), 550),
            ((7, 2, 100, None), 25800),
            ((None, 7, 1, 100), 25),
            ((None, 7, 2, 100), 550),
            ((None, 7, 3, 100), 25800),
        ],
    )
    def test_a_number_of_records_that_cannot_be(
        self, fields: tuple[int | None, ...], most: int
    ) -> None:
        def header(count: int) -> bytes:
            values = [count if field is None else field for field in fields]
            return struct.pack("<5I", MAGIC, *values)

        assert decode_header(header(most), 100).record_count == most
        for count in (0, most + 1, FOUR_GIB):
            with pytest.raises(ChunkFormatError, match=f"claims {count} records in a body of 100"):
                decode_header(header(count), 100)


class TestBodyRefuses:
    @kinds
    def test_every_flipped_header_bit(self, dialect: Dialect, compressor: Compressor) -> None:
        chunk = encode_chunk(RECORDS, dialect, compressor)
        for bit in range(8 * HEADER_BYTES):
            damaged = bytearray(chunk)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(ChunkFormatError):
                decode(bytes(damaged))

    @kinds
    def test_a_cut_body(self, dialect: Dialect, compressor: Compressor) -> None:
        chunk = encode_chunk(RECORDS, dialect, compressor)
        header = decode_header(chunk[:HEADER_BYTES], len(chunk) - HEADER_BYTES)
        with pytest.raises(ChunkFormatError, match="the file ends 9 bytes into a chunk body of"):
            decode_chunk(header, chunk[HEADER_BYTES:][:9])

    @kinds
    def test_a_wrong_checksum(self, dialect: Dialect, compressor: Compressor) -> None:
        chunk = bytearray(encode_chunk(RECORDS, dialect, compressor))
        chunk[-1] ^= 1
        with pytest.raises(ChunkFormatError, match="the chunk body has checksum 0x"):
            decode(bytes(chunk))

    @kinds
    @pytest.mark.parametrize("count", [3, 40])
    def test_too_few_or_too_many_records(
        self, dialect: Dialect, compressor: Compressor, count: int
    ) -> None:
        body = compress(dialect, compressor, with_length(b"four") * count)
        assert decode(chunk_of(dialect, compressor, body, count)) == [b"four"] * count
        for claimed in (count - 1, count + 1, 2 * count):
            with pytest.raises(ChunkFormatError):
                decode(chunk_of(dialect, compressor, body, claimed))

    @pytest.mark.parametrize("tail", [b"x", b"xyz", b"\x02\0\0\0x"])
    def test_bytes_after_the_last_record(self, tail: bytes) -> None:
        body = with_length(b"four") * 3 + tail
        for count in (3, 4):
            with pytest.raises(ChunkFormatError, match=f"which are not its {count} records"):
                decode(chunk_of(Dialect.GO, Compressor.GZIP, zlib.compress(body, wbits=31), count))

    @pytest.mark.parametrize("dialect", Dialect)
    @pytest.mark.parametrize("tail", [b"\0", b"garbage", zlib.compress(b"more", wbits=31)])
    def test_something_after_the_gzip_member(self, dialect: Dialect, tail: bytes) -> None:
        body = zlib.compress(with_length(b"a record"), wbits=31)
        with pytest.raises(ChunkFormatError, match="gzip"):
            decode(chunk_of(dialect, Compressor.GZIP, body + tail, 1))

    def test_garbage_that_looks_like_the_end_of_the_gzip_member(self) -> None:
        body = zlib.compress(with_length(b"a record"), wbits=31)
        with pytest.raises(ChunkFormatError, match="it goes on after its end"):
            decode(chunk_of(Dialect.GO, Compressor.GZIP, body + body[-4:], 1))

    @kinds
    def test_a_body_that_is_cut_under_a_right_checksum(
        self, dialect: Dialect, compressor: Compressor
    ) -> None:
        body = compress(dialect, compressor, b"".join(map(with_length, RECORDS)))
        for size in range(len(body)):
            with pytest.raises(ChunkFormatError):
                decode(chunk_of(dialect, compressor, body[:size], len(RECORDS)))

    @FEW
    @given(st.sampled_from(KINDS), st.binary(max_size=60), st.integers(1, 8))
    def test_any_bytes(self, kind: tuple[Dialect, Compressor], body: bytes, count: int) -> None:
        """Random bodies are refused or are just the records they hold, and end in no other way."""
        try:
            records = decode(chunk_of(*kind, body, count))
        except ChunkFormatError:
            return
        assert len(records) == count
        assert compress(*kind, b"".join(map(with_length, records))) == body


class TestFourGibClaims:
    """Right checksums over lies: what is allocated follows the stored bytes, not the claim."""

    @kinds
    def test_a_record(self, dialect: Dialect, compressor: Compressor) -> None:
        decoded = with_length(b"a") + struct.pack("<I", FOUR_GIB) + b"rest"
        chunk = chunk_of(dialect, compressor, compress(dialect, compressor, decoded), 2)
        self.refused(chunk, "number 2 ends at byte 4294967304")

    def test_a_raw_snappy_block(self) -> None:
        body = b"\xff\xff\xff\xff\x0f" + bytes(cramjam.snappy.compress_raw(bytes(500)))
        chunk = chunk_of(Dialect.PYTHON, Compressor.SNAPPY, body, 1)
        self.refused(chunk, "claims to decompress to 4294967295")

    def test_a_frame(self) -> None:
        frame = bytes(4) + b"\xff\xff\xff\xff\x0f" + bytes(50)
        body = b"\xff\x06\0\0sNaPpY\0" + len(frame).to_bytes(3, "little") + frame
        self.refused(chunk_of(Dialect.GO, Compressor.SNAPPY, body, 1), "unsupported chunk length")

    @pytest.mark.parametrize("dialect", Dialect)
    def test_a_gzip_trailer(self, dialect: Dialect) -> None:
        body = zlib.compress(bytes(500), wbits=31)[:-4] + struct.pack("<I", FOUR_GIB)
        chunk = chunk_of(dialect, Compressor.GZIP, body, 1)
        self.refused(chunk, "claims to decompress to 4294967295")

    def test_a_gzip_bomb_that_says_it_is_small(self) -> None:
        body = zlib.compress(bytes(50_000_000), 9, wbits=31)[:-4] + struct.pack("<I", 30)
        self.refused(chunk_of(Dialect.GO, Compressor.GZIP, body, 1), "its end is missing")

    @staticmethod
    def refused(chunk: bytes, problem: str) -> None:
        def attempt() -> None:
            with pytest.raises(ChunkFormatError, match=problem):
                decode(chunk)

        assert peak_bytes(attempt) < 1_000_000
