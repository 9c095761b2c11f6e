"""The bytes of a RecordIO chunk in both dialects: pure functions, no files.

A RecordIO file is a run of chunks. A chunk is a header of five little-endian uint32 and a body:

    go      magic, CRC-32 of the body,  compressor,         body size,  record count
    python  magic, record count,        CRC-32C of the body, compressor, body size

The checksum is of the body as stored. Decompressed, a body is a run of (little-endian uint32
length, that many bytes), one for each record; empty records are records. Compressors, with their
codes in each dialect:

            go                         python
    none    0                          1
    snappy  1, framed stream           2, raw block
    gzip    2, one member              3, one member

The sources of the format are its two implementations: github.com/wangkuiyi/recordio (`header.go`,
`chunk.go`) and github.com/elasticdl/pyrecordio (`recordio/recordio/header.py`, `chunk.py`).
Neither writes a chunk without records, so a chunk that claims none is damaged.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import cramjam
import google_crc32c
import numpy as np

from elasticdl_like.data_readers.equal_records import LONG_RECORD_BYTES, EqualRecords
from elasticdl_like.errors import DataError

try:  # not everywhere, but eight times as fast
    from isal.isal_zlib import crc32  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from zlib import crc32

MAGIC = 0x01020304
HEADER_BYTES = 20

HEADER_LAYOUT = struct.Struct("<5I")
_LENGTH = struct.Struct("<I")
_LENGTH_BYTES = _LENGTH.size
_MAX_UINT32 = 2**32 - 1

# Below this many records the set-up of the NumPy path costs more than it saves.
_MANY_RECORDS = 32


class Dialect(StrEnum):
    """Which of the two RecordIO implementations a chunk is laid out for."""

    GO = "go"
    PYTHON = "python"


class Compressor(StrEnum):
    """How the body of a chunk is compressed."""

    NONE = "none"
    SNAPPY = "snappy"
    GZIP = "gzip"


_DIALECTS = tuple(Dialect)
_COMPRESSORS = tuple(Compressor)
_FIRST_CODE = {Dialect.GO: 0, Dialect.PYTHON: 1}

# How many bytes one stored byte can become at most, in the order of the compressors. Snappy: the
# densest element is a copy of 64 bytes in 3. Deflate: a match of 258 bytes takes at least 2 bits.
_MAX_EXPANSION = (1, 22, 1032)


class ChunkFormatError(DataError):
    """The bytes of one chunk are not a RecordIO chunk; the caller knows the file and the offset."""


class ChunkHeader(NamedTuple):
    """What the header of a chunk says.

    Attributes:
        dialect: the layout of the header.
        compressor: how the body is compressed.
        body_crc: checksum of the stored body, CRC-32 in the go dialect and CRC-32C in the other.
        body_size_bytes: size of the stored body.
        record_count: number of records in the body.
    """

    dialect: Dialect
    compressor: Compressor
    body_crc: int
    body_size_bytes: int
    record_count: int


def decode_header(header: bytes, following_bytes: int) -> ChunkHeader:
    """Reads a chunk header and tells its dialect.

    Args:
        header: the `HEADER_BYTES` bytes of the header; fewer if the file ends before.
        following_bytes: how many bytes there are after the header.

    Raises:
        ChunkFormatError: the header is cut short, is of neither dialect, or claims a body or a
            number of records that there is no room for.
    """
    if len(header) < HEADER_BYTES:
        raise ChunkFormatError(
            f"the file ends {len(header)} bytes into a chunk header of {HEADER_BYTES}"
        )
    dialect, compressor, crc, body_size_bytes, record_count = header_fields(
        header, 0, following_bytes
    )
    return ChunkHeader(
        _DIALECTS[dialect], _COMPRESSORS[compressor], crc, body_size_bytes, record_count
    )


def header_fields(
    buffer: bytes, offset: int, following_bytes: int
) -> tuple[int, int, int, int, int]:
    """Returns the fields of a chunk header, in the order of `ChunkHeader`.

    This is what every chunk of a data set costs when it is indexed, so dialect and compressor are
    numbers here, and the buffer is not cut into headers.

    The last field but one settles the dialect. In the python dialect it is the compressor, 1 to 3;
    in the go dialect it is the body size, which is never below 4, the size of one empty record.

    Args:
        buffer: holds the whole header.
        offset: where in it the header begins.
        following_bytes: how many bytes there are after the header.

    Raises:
        ChunkFormatError: as `decode_header`.
    """
    magic, second, third, fourth, fifth = HEADER_LAYOUT.unpack_from(buffer, offset)
    if magic != MAGIC:
        raise ChunkFormatError(
            f"no RecordIO chunk starts here: found {buffer[offset : offset + 4]!r}, "
            f"not {MAGIC.to_bytes(4, 'little')!r}"
        )
    if 1 <= fourth <= 3:
        fields = 1, fourth - 1, third, fifth, second
    elif third <= 2:
        fields = 0, third, second, fourth, fifth
    else:
        raise ChunkFormatError(
            "the chunk header has no known compressor: "
            f"{third} if it is of the go dialect, {fourth} if of the python dialect"
        )
    _, compressor, _, body_size_bytes, record_count = fields
    if body_size_bytes > following_bytes:
        raise ChunkFormatError(
            f"the chunk claims a body of {body_size_bytes} bytes, "
            f"but only {following_bytes} more are there"
        )
    most_records = body_size_bytes * _MAX_EXPANSION[compressor] // _LENGTH_BYTES
    if not 1 <= record_count <= most_records:
        raise ChunkFormatError(
            f"the chunk claims {record_count} records "
            f"in a body of {body_size_bytes} bytes ({_COMPRESSORS[compressor]})"
        )
    return fields


def decode_chunk(header: ChunkHeader, body: bytes) -> Sequence[bytes]:
    """Returns the records of a chunk.

    Memory is bounded by what `body` can really hold, whatever the sizes that it claims.

    Args:
        header: as returned by `decode_header`.
        body: the stored body.

    Raises:
        ChunkFormatError: the body is cut short, does not match its checksum, cannot be
            decompressed, or does not consist of exactly the records that the header counts.
    """
    if len(body) != header.body_size_bytes:
        raise ChunkFormatError(
            f"the file ends {len(body)} bytes into a chunk body of {header.body_size_bytes}"
        )
    return _decode_body(
        header.dialect, header.compressor, header.body_crc, body, header.record_count
    )


def decode_chunk_at(data: bytes, start: int, stop: int) -> tuple[Sequence[bytes], int]:
    """Returns the records of the chunk that begins at an offset, and where the chunk ends.

    Args:
        data: holds the chunk.
        start: where in it the chunk begins.
        stop: where in it the last chunk ends.

    Raises:
        ChunkFormatError: as `decode_header` and `decode_chunk`.
    """
    body_start = start + HEADER_BYTES
    if body_start > stop:
        decode_header(data[start:stop], 0)  # which says that the header is cut short
    dialect, compressor, crc, body_size_bytes, record_count = header_fields(
        data, start, stop - body_start
    )
    end = body_start + body_size_bytes
    body = data[body_start:end]
    return _decode_body(_DIALECTS[dialect], _COMPRESSORS[compressor], crc, body, record_count), end


def _decode_body(
    dialect: Dialect, compressor: Compressor, body_crc: int, body: bytes, record_count: int
) -> Sequence[bytes]:
    crc = _checksum(dialect, body)
    if crc != body_crc:
        raise ChunkFormatError(
            f"the chunk body has checksum {crc:#010x}, but its header says {body_crc:#010x}"
        )
    if compressor is Compressor.NONE:
        return _split(body, record_count)
    try:
        decoded = _decompress(dialect, compressor, body)
    except (cramjam.DecompressionError, zlib.error) as error:
        raise ChunkFormatError(
            f"the chunk body cannot be decompressed ({compressor}): {error}"
        ) from error
    return _split(decoded, record_count)


def encode_chunk(records: Sequence[bytes], dialect: Dialect, compressor: Compressor) -> bytes:
    """Returns the header and the body of a chunk of these records, of which there is at least one.

    Raises:
        ChunkFormatError: there are no records, or more bytes of them than the format can count.
    """
    if not records:
        raise ChunkFormatError("a chunk needs at least one record")
    decoded_bytes = sum(map(len, records)) + _LENGTH_BYTES * len(records)
    _check_countable(decoded_bytes)
    decoded = b"".join(part for record in records for part in (_LENGTH.pack(len(record)), record))
    body = _compress(dialect, compressor, decoded)
    _check_countable(len(body))
    code = _FIRST_CODE[dialect] + _COMPRESSORS.index(compressor)
    crc = _checksum(dialect, body)
    if dialect is Dialect.GO:
        header = HEADER_LAYOUT.pack(MAGIC, crc, code, len(body), len(records))
    else:
        header = HEADER_LAYOUT.pack(MAGIC, len(records), crc, code, len(body))
    return header + body


def encoded_size(record: bytes) -> int:
    """Returns how many bytes a record takes up in a body before compression."""
    return _LENGTH_BYTES + len(record)


def _check_countable(size_bytes: int) -> None:
    if size_bytes > _MAX_UINT32:
        raise ChunkFormatError(
            f"a chunk of {size_bytes} bytes is more than RecordIO can count ({_MAX_UINT32}); "
            "write smaller records"
        )


def _checksum(dialect: Dialect, body: bytes) -> int:
    if dialect is Dialect.GO:
        return int(crc32(body))
    return int(google_crc32c.value(body))


def _compress(dialect: Dialect, compressor: Compressor, decoded: bytes) -> bytes:
    match compressor, dialect:
        case Compressor.NONE, _:
            return decoded
        case Compressor.GZIP, _:
            return zlib.compress(decoded, wbits=zlib.MAX_WBITS | 16)
        case Compressor.SNAPPY, Dialect.GO:
            return bytes(cramjam.snappy.compress(decoded))
        case _:
            return bytes(cramjam.snappy.compress_raw(decoded))


def _decompress(dialect: Dialect, compressor: Compressor, body: bytes) -> bytes:
    match compressor, dialect:
        case Compressor.GZIP, _:
            return _gunzip(body)
        case Compressor.SNAPPY, Dialect.GO:
            # Nothing to bound: the output grows frame by frame, and a frame claims 64 KiB at most.
            return bytes(cramjam.snappy.decompress(body))
        case _:
            # The claimed size is allocated at once, so it must be believable.
            claimed_bytes = cramjam.snappy.decompress_raw_len(body)
            _check_believable(claimed_bytes, compressor, body)
            return bytes(cramjam.snappy.decompress_raw(body))


def _gunzip(body: bytes) -> bytes:
    # The trailer of a gzip member ends with its decompressed size. Taken as the limit, it stops a
    # damaged stream early; if something else follows the member, it is a wrong limit and shows.
    claimed_bytes = int.from_bytes(body[-4:], "little")
    _check_believable(claimed_bytes, Compressor.GZIP, body)
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    decoded = decompressor.decompress(body, claimed_bytes + 1)
    if not decompressor.eof or decompressor.unused_data:
        raise ChunkFormatError(
            "the chunk body is not one whole gzip member: "
            + ("it goes on after its end" if decompressor.eof else "its end is missing")
        )
    return decoded


def _check_believable(claimed_bytes: int, compressor: Compressor, body: bytes) -> None:
    if claimed_bytes > len(body) * _MAX_EXPANSION[_COMPRESSORS.index(compressor)]:
        raise ChunkFormatError(
            f"the chunk body of {len(body)} bytes claims to decompress to {claimed_bytes}, "
            f"more than {compressor} can do"
        )


def _split(decoded: bytes, count: int) -> Sequence[bytes]:
    if count >= _MANY_RECORDS:
        equal = _split_equal(decoded, count)
        if equal is not None:
            return equal
    unpack = _LENGTH.unpack_from
    records: list[bytes] = []
    stop = 0
    try:
        # No bounds are checked in the loop. A record that is too long moves `stop` past the end,
        # which the next `unpack` or the comparison below finds; its slice is cut at the end.
        for _ in range(count):
            start = stop + _LENGTH_BYTES
            stop = start + unpack(decoded, stop)[0]
            records.append(decoded[start:stop])
    except struct.error:
        pass  # no room for the length of a record: `records` is too short, reported below
    if len(records) != count or stop != len(decoded):
        raise ChunkFormatError(
            f"the chunk decompresses to {len(decoded)} bytes, which are not its {count} records: "
            f"number {len(records)} ends at byte {stop}"
        )
    return records


def _split_equal(decoded: bytes, count: int) -> EqualRecords | None:
    """Returns the records if they are all short and of one length, several times as fast."""
    row_bytes, rest_bytes = divmod(len(decoded), count)
    length = row_bytes - _LENGTH_BYTES
    if rest_bytes or not 0 < length <= LONG_RECORD_BYTES:
        return None
    rows = np.frombuffer(decoded, np.dtype([("length", "<u4"), ("record", f"V{length}")]))
    if (rows["length"] != length).any():
        return None
    return EqualRecords(rows["record"])
