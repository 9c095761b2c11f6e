"""The bytes of TFRecord records: pure functions, no files.

A TFRecord file is a run of records, each of

    uint64 length, uint32 masked CRC-32C of the 8 bytes of the length,
    that many bytes, uint32 masked CRC-32C of them

all little-endian. Masked is `((crc >> 15) | (crc << 17)) + 0xa282ead8` in 32 bits. The source of
the format is TensorFlow (`record_writer.h` and `crc32c.h` in its `lib`), which is not needed here.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.equal_records import LONG_RECORD_BYTES, EqualRecords
from elasticdl_like.errors import DataError

HEADER_BYTES = 12
FOOTER_BYTES = 4

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_FRAME_BYTES = HEADER_BYTES + FOOTER_BYTES

_MASK_DELTA = 0xA282EAD8

# Below this many records the set-up of the NumPy path costs more than it saves.
_MANY_RECORDS = 32


class TFRecordFormatError(DataError):
    """Some bytes are not TFRecord records; the caller knows the file.

    Args:
        offset_bytes: where in these bytes the record begins that is none.
        problem: what was found there.
    """

    def __init__(self, offset_bytes: int, problem: str) -> None:
        super().__init__(f"at byte {offset_bytes}: {problem}")
        self.offset_bytes = offset_bytes
        self.problem = problem


def encode_record(record: bytes) -> bytes:
    """Returns a record as it is stored."""
    header = _HEADER.pack(len(record), _length_checksum(len(record)))
    return b"".join((header, record, _CHECKSUM.pack(_masked(google_crc32c.value(record)))))


def decode_records(data: bytes) -> Sequence[bytes]:
    """Returns the records that these bytes are a run of, all checksums checked.

    Raises:
        TFRecordFormatError: they are no whole number of records, or a checksum does not match.
    """
    equal = _decode_equal(data)
    return equal if equal is not None else _decode_any(data)


def record_ends(records: Sequence[bytes]) -> NDArray[np.int64]:
    """Returns where each record of a run ends, from the beginning of the first."""
    if isinstance(records, EqualRecords):
        return np.arange(1, len(records) + 1) * (records.length_bytes + _FRAME_BYTES)
    lengths = np.fromiter(map(len, records), np.int64, len(records))
    return np.cumsum(lengths + _FRAME_BYTES)


def walk_headers(block: bytes) -> tuple[Sequence[int], int]:
    """Finds the records of a block by their lengths, whose checksums are checked.

    Args:
        block: begins with a record; may end anywhere.

    Returns:
        Where each record begins of which the whole header is in the block, and where the next one
        begins, which may be far beyond the end of the block.

    Raises:
        TFRecordFormatError: the checksum of a length does not match.
    """
    rows = _equal_rows(block, whole=False)
    if rows is not None:
        row_bytes = rows.dtype.itemsize
        return range(0, len(rows) * row_bytes, row_bytes), len(rows) * row_bytes
    unpack, checksum_of = _HEADER.unpack_from, _length_checksum
    last = len(block) - HEADER_BYTES
    begins = []
    begin = 0
    while begin <= last:
        length, checksum = unpack(block, begin)
        if checksum != checksum_of(length):
            raise _wrong_length(begin)
        begins.append(begin)
        begin += length + _FRAME_BYTES
    return begins, begin


def _decode_any(data: bytes) -> list[bytes]:
    unpack, checksum_of = _HEADER.unpack_from, _length_checksum
    records: list[bytes] = []
    stored: list[bytes] = []
    begin = 0
    while begin < len(data):
        try:
            length, checksum = unpack(data, begin)
        except struct.error:
            raise TFRecordFormatError(
                begin, "the data ends within the header of a record"
            ) from None
        if checksum != checksum_of(length):
            raise _wrong_length(begin)
        start = begin + HEADER_BYTES
        stop = start + length
        records.append(data[start:stop])
        begin = stop + FOOTER_BYTES
        stored.append(data[stop:begin])
    if begin > len(data):
        raise TFRecordFormatError(
            begin - length - _FRAME_BYTES,
            f"a record of {length} bytes does not end before the data does",
        )
    expected = np.frombuffer(b"".join(stored), "<u4")
    wrong = np.flatnonzero(_checksums(records) != expected)
    if len(wrong):
        before = records[: wrong[0]]
        raise TFRecordFormatError(
            sum(map(len, before)) + len(before) * _FRAME_BYTES,
            f"the checksum of a record of {len(records[wrong[0]])} bytes does not match",
        )
    return records


def _decode_equal(data: bytes) -> Sequence[bytes] | None:
    """Returns the records if they are many, sound and of one length: three times as fast."""
    rows = _equal_rows(data, whole=True)
    if rows is None:
        return None
    records = EqualRecords(rows["record"])
    values = records.to_list()
    if (_checksums(values) != rows["checksum"]).any():
        return None
    return values if records.length_bytes > LONG_RECORD_BYTES else records


def _equal_rows(block: bytes, whole: bool) -> NDArray[np.void] | None:
    """Returns the records of a block as rows if they are many and of one length, which is not 0.

    Args:
        block: begins with a record.
        whole: whether the block has to end with a record; if not, what is left over has no row.
    """
    if len(block) < HEADER_BYTES:
        return None
    length, checksum = _HEADER.unpack_from(block)
    count, rest_bytes = divmod(len(block), length + _FRAME_BYTES)
    if count < _MANY_RECORDS or not length or (whole and rest_bytes):
        return None
    row = np.dtype(
        [
            ("length", "<u8"),
            ("length_checksum", "<u4"),
            ("record", f"V{length}"),
            ("checksum", "<u4"),
        ]
    )
    rows = np.frombuffer(block, row, count)
    is_equal = (
        checksum == _length_checksum(length)
        and (rows["length"] == length).all()
        and (rows["length_checksum"] == checksum).all()
    )
    return rows if is_equal else None


def _wrong_length(begin: int) -> TFRecordFormatError:
    return TFRecordFormatError(
        begin, "no TFRecord record starts here: the checksum of its length does not match"
    )


# Lengths come again and again.
@functools.lru_cache(1 << 14)
def _length_checksum(length: int) -> int:
    return _masked(google_crc32c.value(length.to_bytes(8, "little")))


def _masked(checksum: int) -> int:
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _checksums(records: Sequence[bytes]) -> NDArray[np.uint32]:
    """Returns the masked checksum of each record."""
    plain = np.fromiter(map(google_crc32c.value, records), np.uint32, len(records))
    rotated = plain >> np.uint32(15) | plain << np.uint32(17)
    return rotated + np.uint32(_MASK_DELTA)
