"""The data readers for text files and for JSON lines."""

from __future__ import annotations

from elasticdl_like.data_readers.files import RandomAccessFile
from elasticdl_like.data_readers.files.indexed_reader import FileFormat, IndexedFileReader
from elasticdl_like.data_readers.text.lines import decode_lines, scan_text
from elasticdl_like.sparse_index import SparseIndex, Stretch


class LinesFormat(FileFormat):
    """Files of lines.

    Args:
        suffixes: how the names of the files end in a directory.
    """

    name = "lines/1"

    def __init__(self, suffixes: tuple[str, ...]) -> None:
        self.suffixes = suffixes

    def scan(self, file: RandomAccessFile) -> SparseIndex:
        """Returns where the lines of a file are.

        Raises:
            DataError: the file cannot be read.
        """
        return scan_text(file)

    def decode(self, file_name: str, stretch: Stretch, data: bytes) -> list[bytes]:
        """Returns the lines of a stretch.

        Raises:
            CorruptDataError: there are more or fewer than were indexed.
        """
        return decode_lines(file_name, stretch, data)


class TextDataReader(IndexedFileReader):
    r"""Reads text files; each line that is not empty is a record, its bytes without the line end.

    A line ends with "\n" or "\r\n", the last one also where the file ends. The mark with which
    some files begin UTF-8 is left out. Otherwise bytes are taken as they are.

    Args:
        data_origin: a file, a directory, a glob pattern, several of these, or a URL.
        index_dir: a directory for indexes; "" for none.

    Raises:
        ConfigError: `data_origin` is empty.
    """

    _suffixes: tuple[str, ...] = (".txt", ".txt.gz")

    def __init__(self, *, data_origin: str, index_dir: str = "") -> None:
        super().__init__(
            LinesFormat(self._suffixes),
            data_origin=data_origin,
            index_dir=index_dir,
        )


class JsonLinesDataReader(TextDataReader):
    """Reads files of JSON lines; a record is the line, for `feed` or `feed_batch` to parse."""

    _suffixes = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
