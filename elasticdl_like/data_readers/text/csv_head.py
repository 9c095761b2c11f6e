"""What the beginning of csv files says: the names of their columns, and some rows."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from elasticdl_like.data_readers.files import RandomAccessFile
from elasticdl_like.data_readers.text.csv_lines import QUOTED, UNQUOTED, CsvDialect
from elasticdl_like.data_readers.text.line_index import Block
from elasticdl_like.data_readers.text.line_scan import skip_bom
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.sparse_index import Stretch

# The rows that are within this much of the beginning of a file are those that types come from.
HEAD_BYTES = 1 << 20


class CsvHead(NamedTuple):
    """The beginning of a file.

    Attributes:
        header: the names of the columns; empty for a file without rows, or without a header.
        stretch: the rows that lie wholly in the first `HEAD_BYTES`, without the header.
        data: their bytes.
    """

    header: tuple[str, ...]
    stretch: Stretch
    data: bytes


def read_head(file: RandomAccessFile, dialect: CsvDialect, has_header: bool) -> CsvHead:
    """Reads the beginning of a csv file.

    Args:
        file: the file.
        dialect: what separates and quotes fields.
        has_header: whether the first row has the names of the columns.

    Raises:
        CorruptDataError: the header is too long, is not UTF-8, or names two columns alike.
        DataError: the file cannot be read.
    """
    start = skip_bom(file)
    data = file.read(start, min(HEAD_BYTES, file.size_bytes - start))
    if not data:
        return CsvHead((), Stretch(0, 0, start, start), b"")
    is_whole = start + len(data) == file.size_bytes
    ends, _, state = dialect.find_line_ends(Block(start, b"", data, b""), UNQUOTED)
    edges = [-1, *ends.tolist()]
    if is_whole and state != QUOTED:
        edges.append(len(data))
    rows = [(left + 1, right) for left, right in pairwise(edges) if right > left + 1]
    end = min(edges[-1] + 1, len(data))
    if not has_header:
        return _head((), start, data, 0, end, len(rows))
    if not rows:
        if is_whole and state != QUOTED:
            return _head((), start, data, 0, end, 0)
        raise CorruptDataError(
            file.name,
            start,
            f"no header in the first {len(data)} bytes; is a quote missing that should close "
            "the name of a column, or are these not lines? (see the reader parameters header, "
            "quote_char)",
        )
    (first, last), *others = rows
    names = _names(file.name, start + first, data[first:last], dialect)
    return _head(names, start, data, min(last + 1, len(data)), end, len(others))


def _head(
    names: tuple[str, ...], start: int, data: bytes, begin: int, end: int, count: int
) -> CsvHead:
    return CsvHead(names, Stretch(0, count, start + begin, start + end), data[begin:end])


def _names(file_name: str, offset: int, line: bytes, dialect: CsvDialect) -> tuple[str, ...]:
    try:
        (names,) = csv.reader(
            [line.decode()],
            delimiter=dialect.delimiter,
            quotechar=dialect.quote_char or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote_char else csv.QUOTE_NONE,
        )
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorruptDataError(
            file_name,
            offset,
            f"the header cannot be read: {error}; a file without a header needs the reader "
            "parameters header=False and column_names",
        ) from error
    for name, times in Counter(names).items():
        if times > 1:
            raise CorruptDataError(
                file_name,
                offset,
                f"the header has {times} columns named {name!r}; give them other names, or, for a "
                "file without a header, the reader parameters header=False and column_names",
            )
    return tuple(names)
