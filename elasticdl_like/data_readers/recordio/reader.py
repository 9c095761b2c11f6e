"""The data reader for RecordIO files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elasticdl_like.data_readers.equal_records import join_records
from elasticdl_like.data_readers.files.indexed_reader import FileFormat, IndexedFileReader
from elasticdl_like.data_readers.files.source import RandomAccessFile
from elasticdl_like.data_readers.recordio.format import (
    HEADER_BYTES,
    ChunkFormatError,
    decode_chunk,
    decode_header,
)
from elasticdl_like.data_readers.recordio.index import (
    chunk_headers,
    corrupt_chunk,
    index_chunks,
)
from elasticdl_like.sparse_index import SparseIndex, Stretch

# Chunks that are larger than this on average, and hold more than a few records, are leased as a
# whole: in random order each task would decode one for a part of its records.
_LARGE_CHUNK_BYTES = 1 << 18
_FEW_RECORDS = 8


class RecordIOFormat(FileFormat):
    """RecordIO files of either dialect; a stretch is one chunk, or several small ones."""

    name = "recordio/1"
    scans_in_threads = False  # a walk from header to header is Python, one step after the other

    def scan(self, file: RandomAccessFile) -> SparseIndex:
        """Walks the chunk headers of the file."""
        return index_chunks(file)

    def decode(self, file_name: str, stretch: Stretch, data: bytes) -> Sequence[bytes]:
        """Returns the records of the chunks of a stretch."""
        chunks: list[Sequence[bytes]] = []
        num_records = offset = 0
        while offset < len(data):
            body_start = offset + HEADER_BYTES
            try:
                header = decode_header(data[offset:body_start], len(data) - body_start)
                body_end = body_start + header.body_size_bytes
                chunk = decode_chunk(header, data[body_start:body_end])
                num_records += len(chunk)
                if num_records > stretch.count:
                    raise ChunkFormatError(
                        "with this chunk there are more records than when the file was indexed"
                    )
            except ChunkFormatError as error:
                raise corrupt_chunk(file_name, stretch.start_byte + offset, error) from error
            chunks.append(chunk)
            offset = body_end
        return join_records(chunks) if chunks else []

    def natural_splits(self, index: SparseIndex) -> Sequence[int]:
        """Returns the edges of chunks that are so large that tasks had better not share them."""
        number = index.num_stretches
        are_large = index.offsets[-1] > _LARGE_CHUNK_BYTES * number
        return (
            index.records[1:-1] if are_large and index.num_records > _FEW_RECORDS * number else ()
        )

    def describe(self, file: RandomAccessFile, index: SparseIndex) -> Mapping[str, str]:
        """Returns the number of chunks, their dialects and their compressors."""
        kinds: dict[str, set[str]] = {"dialect": set(), "compressor": set()}
        chunks = 0
        for _, header in chunk_headers(file):
            chunks += 1
            kinds["dialect"].add(header.dialect)
            kinds["compressor"].add(header.compressor)
        return {"chunks": str(chunks)} | {
            column: ", ".join(sorted(values)) for column, values in kinds.items()
        }


class RecordIODataReader(IndexedFileReader):
    """Reads RecordIO files of either dialect; a shard is a file, and its name the path or URL.

    Files are indexed by the headers of their chunks. The newest decoded chunks are kept, because
    small tasks share them.

    Args:
        data_origin: a file; a directory, of which every file is read, in the order of their names,
            but those that begin with `.` or `_`; a glob pattern; or several of these, with commas
            between them. Each may be a URL.
        index_dir: a directory where indexes are kept; "" for none.

    Raises:
        ConfigError: `data_origin` is empty.
    """

    def __init__(self, *, data_origin: str, index_dir: str = "") -> None:
        super().__init__(
            RecordIOFormat(),
            data_origin=data_origin,
            index_dir=index_dir,
        )
