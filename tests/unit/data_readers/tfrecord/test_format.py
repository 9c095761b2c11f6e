"""The bytes of records: there and back, walked by headers, and every kind of damage."""

from __future__ import annotations

import random
import struct
from itertools import accumulate

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.tfrecord import format as tfrecord_format
from elasticdl_like.data_readers.tfrecord.format import (
    HEADER_BYTES,
    TFRecordFormatError,
    decode_records,
    encode_record,
    walk_headers,
)

# Many of one length, many of several, and few.
RUNS = {
    "equal": [bytes([number]) * 7 for number in range(50)],
    "unequal": [bytes([number]) * (number % 5) for number in range(50)],
    "empty": [b""] * 50,
    "few": [b"one", b"", b"three" * 20],
}

runs = pytest.mark.parametrize("records", RUNS.values(), ids=RUNS)


def encoded(records: list[bytes]) -> bytes:
    return b"".join(map(encode_record, records))


def starts(records: list[bytes]) -> list[int]:
    return [0, *accumulate(len(record) + 16 for record in records)]


def test_one_record_byte_by_byte() -> None:
    # As TensorFlow writes it.
    assert encode_record(b"Hello") == bytes.fromhex("0500000000000000eab2043e48656c6c6f8aeeb9be")


@settings(derandomize=True, max_examples=100, deadline=None, database=None)
@given(st.lists(st.one_of(st.just(b"equal"), st.binary(max_size=40)), max_size=60))
def test_round_trip(records: list[bytes]) -> None:
    assert decode_records(encoded(records)) == records


@runs
def test_runs_of_each_kind(records: list[bytes]) -> None:
    assert decode_records(encoded(records)) == records


@runs
def test_any_byte_changed_is_told_with_the_record(records: list[bytes]) -> None:
    data = encoded(records)
    begins = starts(records)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(TFRecordFormatError) as raised:
            decode_records(bytes(damaged))
        assert raised.value.offset_bytes == max(each for each in begins if each <= position)


@runs
def test_any_cut_is_told_unless_it_is_between_records(records: list[bytes]) -> None:
    data = encoded(records)
    begins = starts(records)
    for size in range(len(data)):
        if size in begins:
            assert decode_records(data[:size]) == records[: begins.index(size)]
        else:
            with pytest.raises(TFRecordFormatError) as raised:
                decode_records(data[:size])
            assert raised.value.offset_bytes == max(each for each in begins if each <= size)


@runs
def test_records_of_one_length_whose_checksums_changed_places(records: list[bytes]) -> None:
    data = bytearray(encoded(records))
    first, second = starts(records)[1:3]
    data[first - 4 : first], data[second - 4 : second] = (
        data[second - 4 : second],
        data[first - 4 : first],
    )
    if bytes(data) == encoded(records):
        assert decode_records(bytes(data)) == records
    else:
        with pytest.raises(TFRecordFormatError, match="checksum of a record"):
            decode_records(bytes(data))


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**64 - 16, 2**40])
def test_a_well_checked_length_that_cannot_be(length: int) -> None:
    header = struct.pack("<Q", length)
    checksum = google_crc32c.value(header)
    masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
    data = encode_record(b"before") + header + struct.pack("<I", masked) + bytes(2000)
    with pytest.raises(TFRecordFormatError, match=f"a record of {length} bytes") as raised:
        decode_records(data)
    assert raised.value.offset_bytes == 22
    assert walk_headers(data) == ([0, 22], 22 + 16 + length)


class TestWalk:
    @runs
    def test_finds_the_records_of_a_block_that_ends_anywhere(self, records: list[bytes]) -> None:
        data = encoded(records)
        begins = starts(records)
        for size in range(len(data) + 1):
            found, following = walk_headers(data[:size])
            whole = [begin for begin in begins[:-1] if begin + HEADER_BYTES <= size]
            # A run of equal records ends with the last whole one.
            assert list(found) == whole[: len(found)]
            assert len(found) >= len(whole) - 1
            assert following == begins[len(found)]

    @runs
    def test_every_header_is_checked(self, records: list[bytes]) -> None:
        data = encoded(records)
        for begin in starts(records)[:-1]:
            for position in range(begin, begin + HEADER_BYTES):
                damaged = bytearray(data)
                damaged[position] ^= 0x10
                with pytest.raises(TFRecordFormatError) as raised:
                    walk_headers(bytes(damaged))
                assert raised.value.offset_bytes == begin

    def test_equal_records_are_not_walked_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tfrecord_format, "_MANY_RECORDS", 1000)
        one_by_one = walk_headers(encoded(RUNS["equal"]))
        monkeypatch.undo()
        at_once = walk_headers(encoded(RUNS["equal"]))
        assert isinstance(at_once[0], range)
        assert isinstance(one_by_one[0], list)
        assert (list(at_once[0]), at_once[1]) == one_by_one


def test_random_bytes_are_no_records() -> None:
    random_bytes = random.Random(0).randbytes
    for size in (1, 11, 12, 16, 100, 5000):
        with pytest.raises(TFRecordFormatError):
            decode_records(random_bytes(size))
