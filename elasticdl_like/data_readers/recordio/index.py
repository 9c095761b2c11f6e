"""Where the chunks of a RecordIO file are and which records they hold, from their headers alone."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from elasticdl_like.data_readers.files.source import RandomAccessFile
from elasticdl_like.data_readers.recordio.format import (
    HEADER_BYTES,
    HEADER_LAYOUT,
    MAGIC,
    ChunkFormatError,
    ChunkHeader,
    decode_header,
    header_fields,
)
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.sparse_index import DEFAULT_SPACING_BYTES, SparseIndex

# A quarter of the usual, so that chunks of the size that our own writer makes by default, 64 KiB
# before compression, are decoded one by one: a task in random order needs only one or two of them.
SPACING_BYTES = DEFAULT_SPACING_BYTES // 4


def index_chunks(file: RandomAccessFile) -> SparseIndex:
    """Walks the chunk headers of a file, and returns where some of the chunks begin.

    Each stretch of the index is one chunk, or several small ones. No bodies are read but those
    that are fetched with a header anyway.

    An empty file is a file without records. A body size that is wrong shows where the next chunk
    should begin. A number of records that is wrong but possible does not show before the chunk is
    read, which then fails; the records after it count from a wrong number, but each counts once.

    Raises:
        DataError: the file cannot be read.
        CorruptDataError: something that is not a whole chunk, and where.
    """
    # This loop is most of what it takes to list a large data set, so that every step counts.
    size_bytes, read, unpack = file.size_bytes, file.read, HEADER_LAYOUT.unpack_from
    records, offsets = array("q", [0]), array("q", [0])
    offset = record_count = entry_offset = 0
    window = b""
    window_start = window_end = 0
    near_bytes = file.efficient_read_bytes
    is_near = True  # whether a read of that size is likely to hold the next header as well
    while offset < size_bytes:
        body_offset = offset + HEADER_BYTES
        if body_offset > window_end:
            window_start = offset
            window_end = offset + near_bytes if is_near else body_offset
            if window_end > size_bytes:
                window_end = size_bytes
            window = read(offset, window_end - offset)
        following_bytes = size_bytes - body_offset
        try:
            if following_bytes < 0:
                decode_header(window, following_bytes)  # which says that the header is cut short
            magic, _, third, fourth, fifth = unpack(window, offset - window_start)
            if (
                magic == MAGIC
                and third <= 2
                and 3 < fourth <= following_bytes
                and (0 < fifth <= fourth >> 2)
            ):
                # What `header_fields` makes of the usual chunk: the go dialect, and no more records
                # than there would be room for without compression.
                body_size_bytes, chunk_records = fourth, fifth
            else:
                _, _, _, body_size_bytes, chunk_records = header_fields(
                    window, offset - window_start, following_bytes
                )
        except ChunkFormatError as error:
            raise corrupt_chunk(file.name, offset, error) from error
        next_offset = body_offset + body_size_bytes
        chunk_bytes = next_offset - offset
        is_near = chunk_bytes < near_bytes
        # A large chunk has a stretch of its own, also when only a little was before it.
        distance = offset - entry_offset
        if distance >= SPACING_BYTES or (distance and chunk_bytes >= SPACING_BYTES):
            records.append(record_count)
            offsets.append(offset)
            entry_offset = offset
        offset = next_offset
        record_count += chunk_records
    if record_count:
        records.append(record_count)
        offsets.append(offset)
    return SparseIndex(records, offsets)


def chunk_headers(file: RandomAccessFile) -> Iterator[tuple[int, ChunkHeader]]:
    """Yields where each chunk of a file begins, in bytes, and its header.

    Raises:
        DataError: the file cannot be read.
        CorruptDataError: something that is not a whole chunk, and where.
    """
    offset = 0
    while offset < file.size_bytes:
        following_bytes = file.size_bytes - offset - HEADER_BYTES
        try:
            header = decode_header(
                file.read(offset, min(HEADER_BYTES, file.size_bytes - offset)), following_bytes
            )
        except ChunkFormatError as error:
            raise corrupt_chunk(file.name, offset, error) from error
        yield offset, header
        offset += HEADER_BYTES + header.body_size_bytes


def corrupt_chunk(name: str, offset_bytes: int, error: ChunkFormatError) -> CorruptDataError:
    """Returns the error for a chunk at this place that `format` refuses."""
    return CorruptDataError(
        name, offset_bytes, f"{error}; copy or write the file again, or leave it out"
    )
