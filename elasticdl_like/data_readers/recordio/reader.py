"""The data reader for RecordIO files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elasticdl_like.data_readers.equal_records import join_records
from elasticdl_like.data_readers.files.indexed_reader import (
    FileFormat,
    IndexedFileReader,
    check_count,
)
from elasticdl_like.data_readers.files.source import RandomAccessFile
from elasticdl_like.data_readers.recordio.format import (
    ChunkFormatError,
    decode_chunk_at,
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
    decodes_runs = True

    def scan(self, file: RandomAccessFile) -> SparseIndex:
        """Walks the chunk headers of the file."""
        return index_chunks(file)

    def decode(self, file_name: str, stretch: Stretch, data: bytes) -> Sequence[bytes]:
        """Returns the records of the chunks of a stretch."""
        return self.decode_run(file_name, [stretch], data)

    def decode_run(self, file_name: str, run: Sequence[Stretch], data: bytes) -> Sequence[bytes]:
        """Returns the records of the chunks of adjacent stretches."""
        chunks: list[Sequence[bytes]] = []
        begin_byte, offset = run[0].start_byte, 0
        for stretch in run:
            num_records = 0
            stop = min(stretch.end_byte - begin_byte, len(data))
            while offset < stop:
                try:
                    chunk, end = decode_chunk_at(data, offset, stop)
                    num_records += len(chunk)
                    if num_records > stretch.count:
                        raise ChunkFormatError(
                            "with this chunk there are more records than when the file was indexed"
                        )
                except ChunkFormatError as error:
                    raise corrupt_chunk(file_name, begin_byte + offset, error) from error
                chunks.append(chunk)
                offset = end
            check_count(file_name, stretch, num_records)
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
