"""The data reader for TFRecord files."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Sequence

import numpy as np

from elasticdl_like.data_readers.files import RandomAccessFile
from elasticdl_like.data_readers.files.indexed_reader import (
    FileFormat,
    IndexedFileReader,
    check_count,
)
from elasticdl_like.data_readers.tfrecord.format import (
    TFRecordFormatError,
    decode_records,
    record_ends,
    walk_headers,
)
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.sparse_index import DEFAULT_SPACING_BYTES, SparseIndex, Stretch

_BLOCK_BYTES = 1 << 20


class TFRecordFormat(FileFormat):
    """TFRecord files, by themselves or compressed by gzip as a whole."""

    name = "tfrecord/1"
    suffixes = (
        *(".tfrecord", ".tfrecords", ".tfrec"),
        *(".tfrecord.gz", ".tfrecords.gz", ".tfrec.gz"),
    )
    decodes_runs = True

    def scan(self, file: RandomAccessFile) -> SparseIndex:
        """Walks from record to record, checking the checksum of each length.

        Large records are passed over without being read.

        Raises:
            CorruptDataError: something that is not a record, or a file that ends within one.
        """
        entries = _Entries()
        offset = 0
        large_block_bytes = max(_BLOCK_BYTES, file.efficient_read_bytes)
        block_bytes = large_block_bytes
        while offset < file.size_bytes:
            block = file.read(offset, min(block_bytes, file.size_bytes - offset))
            try:
                begins, next_begin = walk_headers(block)
            except TFRecordFormatError as error:
                raise _corrupt(file.name, offset, error) from error
            if not begins or offset + next_begin > file.size_bytes:
                begin = offset + begins[-1] if begins else offset
                raise CorruptDataError(
                    file.name,
                    begin,
                    f"the last record ends beyond the file, which has {file.size_bytes} bytes; "
                    "copy or write the file again",
                )
            entries.add(offset, begins)
            offset += next_begin
            is_large = next_begin > len(begins) * file.efficient_read_bytes
            block_bytes = file.efficient_read_bytes if is_large else large_block_bytes
        return entries.finish(file.size_bytes)

    def decode(self, file_name: str, stretch: Stretch, data: bytes) -> Sequence[bytes]:
        """Returns the records of a stretch, all checksums checked."""
        return self.decode_run(file_name, [stretch], data)

    def decode_run(self, file_name: str, run: Sequence[Stretch], data: bytes) -> Sequence[bytes]:
        """Returns the records of adjacent stretches, all checksums checked."""
        begin_byte = run[0].start_byte
        try:
            records = decode_records(data)
        except TFRecordFormatError as error:
            raise _corrupt(file_name, begin_byte, error) from error
        ends = [stretch.end_byte - begin_byte for stretch in run]
        counts = np.diff(np.searchsorted(record_ends(records), ends, "right"), prepend=0)
        for stretch, count in zip(run, counts.tolist(), strict=True):
            check_count(file_name, stretch, count)
        return records


class TFRecordDataReader(IndexedFileReader):
    """Reads TFRecord files; a record is its bytes, often a serialized `tf.train.Example`.

    A file whose name ends with `.gz` is decompressed as a whole by each process that reads of it.

    Args:
        data_origin: a file, a directory, a glob pattern, several of these with commas between
            them, or URLs.
        index_dir: a directory for indexes, which spare the next process to make them again; ""
            for none.

    Raises:
        ConfigError: `data_origin` is empty.
    """

    def __init__(self, *, data_origin: str, index_dir: str = "") -> None:
        super().__init__(
            TFRecordFormat(),
            data_origin=data_origin,
            index_dir=index_dir,
        )


class _Entries:
    """The entries of an index, made from where each record begins."""

    def __init__(self) -> None:
        self._records = array("q")
        self._offsets = array("q")
        self._record_count = 0
        self._due_offset = 0

    def add(self, offset: int, begins: Sequence[int]) -> None:
        """Adds records.

        Args:
            offset: of the block that they begin in.
            begins: where in this block they begin, ascending.
        """
        number = bisect.bisect_left(begins, self._due_offset - offset)
        while number < len(begins):
            begin = offset + begins[number]
            self._records.append(self._record_count + number)
            self._offsets.append(begin)
            self._due_offset = begin + DEFAULT_SPACING_BYTES
            number = bisect.bisect_left(begins, self._due_offset - offset, number)
        self._record_count += len(begins)

    def finish(self, end_offset: int) -> SparseIndex:
        """Returns the index of data that ends here."""
        self._records.append(self._record_count)
        self._offsets.append(end_offset)
        return SparseIndex(self._records, self._offsets)


def _corrupt(file_name: str, offset_bytes: int, error: TFRecordFormatError) -> CorruptDataError:
    return CorruptDataError(
        file_name,
        offset_bytes + error.offset_bytes,
        f"{error.problem}; copy or write the file again, or leave it out",
    )
