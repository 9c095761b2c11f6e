"""Text files, of which each line is a record."""

from __future__ import annotations

import numpy as np

from elasticdl_like.data_readers.files import RandomAccessFile
from elasticdl_like.data_readers.text.line_index import Block, LineEnds
from elasticdl_like.data_readers.text.line_scan import scan_lines, skip_bom
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.sparse_index import DEFAULT_SPACING_BYTES, SparseIndex, Stretch

_LF, _CR = b"\n\r"


def find_line_ends(block: Block, state: int | None) -> LineEnds:
    r"""Finds each "\n", and each "\r" before it or at the end of the file; there is one state."""
    data = np.frombuffer(block.data, np.uint8)
    ends = data == _LF
    if b"\r" in block.data:
        returns = data == _CR
        ends[:-1] |= returns[:-1] & ends[1:]
        ends[-1] |= returns[-1] and block.after in (b"\n", b"")
    return LineEnds(np.flatnonzero(ends), 0, 0)


def scan_text(file: RandomAccessFile) -> SparseIndex:
    """Returns the index of the nonempty lines of a text file.

    Raises:
        DataError: the file cannot be read.
    """
    return scan_lines(file, skip_bom(file), find_line_ends, DEFAULT_SPACING_BYTES).lines


def decode_lines(file_name: str, stretch: Stretch, data: bytes) -> list[bytes]:
    """Returns the nonempty lines of a stretch, without their ends.

    Raises:
        CorruptDataError: there are more or fewer than were indexed.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if not all(lines):
        lines = [line for line in lines if line]
    if len(lines) != stretch.count:
        raise CorruptDataError(
            file_name,
            stretch.start_byte,
            f"there are {len(lines)} lines where {stretch.count} were indexed; "
            "leave data files alone while a job reads them, and start the job again",
        )
    return lines
