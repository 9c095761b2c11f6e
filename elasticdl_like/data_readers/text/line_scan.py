"""Scans a file of lines, block by block, in memory that grows with neither file nor lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from elasticdl_like.data_readers.files import RandomAccessFile
from elasticdl_like.data_readers.text.line_index import (
    Block,
    BlockLines,
    FindLineEnds,
    LineIndexBuilder,
    lines_of_block,
)
from elasticdl_like.sparse_index import SparseIndex

UTF8_BOM = b"\xef\xbb\xbf"

# What NumPy makes of a block, up to eight times its size, should fit into the processor's cache.
_BLOCK_BYTES = 1 << 20
# One thread reads and adds up, so more than two do not find enough to do.
_THREADS = 2
_MAX_BLOCKS_AHEAD = 2 * _THREADS


class ScannedLines(NamedTuple):
    """What a scan found.

    Attributes:
        lines: where they are.
        state: that of `FindLineEnds` after the last byte.
        last_start: where the last line begins; at the end of the file when every line has an end.
    """

    lines: SparseIndex
    state: int
    last_start: int


class _Scanned(NamedTuple):
    lines: BlockLines
    state: int
    state_after: int


def skip_bom(file: RandomAccessFile) -> int:
    """Returns where the text of a file begins: after the mark with which some begin UTF-8."""
    head = file.read(0, min(len(UTF8_BOM), file.size_bytes))
    return len(UTF8_BOM) if head == UTF8_BOM else 0


def scan_lines(
    file: RandomAccessFile,
    start: int,
    find_line_ends: FindLineEnds,
    spacing_bytes: int,
    block_bytes: int = _BLOCK_BYTES,
) -> ScannedLines:
    """Finds the lines of a file.

    Blocks are looked at in parallel, so the state before each is a guess; where that turns out to
    be wrong, they are looked at once more.

    Args:
        file: the file.
        start: where its lines begin, in bytes.
        find_line_ends: where lines end, by the rules of the format.
        spacing_bytes: how far the entries of the index are apart.
        block_bytes: how much is looked at in one piece.

    Raises:
        DataError: the file cannot be read.
    """
    builder = LineIndexBuilder(start, spacing_bytes)
    state = 0

    def scan(block: Block, state: int | None) -> _Scanned:
        ends = find_line_ends(block, state)
        lines = lines_of_block(block, ends.positions, spacing_bytes)
        return _Scanned(lines, ends.state, ends.state_after)

    def add(block: Block, scanned: _Scanned) -> int:
        if scanned.state != state:
            scanned = scan(block, state)
        builder.add(scanned.lines)
        return scanned.state_after

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="line-scan") as pool:
        ahead: deque[tuple[Block, Future[_Scanned]]] = deque()
        for block in _blocks(file, start, block_bytes):
            ahead.append((block, pool.submit(scan, block, None)))
            if len(ahead) >= _MAX_BLOCKS_AHEAD:
                oldest, future = ahead.popleft()
                state = add(oldest, future.result())
        for oldest, future in ahead:
            state = add(oldest, future.result())
    return ScannedLines(builder.finish(), state, builder.line_start)


def _blocks(file: RandomAccessFile, start: int, block_bytes: int) -> Iterator[Block]:
    before, offset = b"", 0
    held: Block | None = None
    for data in file.blocks(block_bytes):
        if offset + len(data) > start:
            wanted = data[start - offset :] if offset < start else data
            if held is not None:
                yield held._replace(after=wanted[:1])
                before = held.data[-1:]
            held = Block(max(offset, start), before, wanted, b"")
        offset += len(data)
    if held is not None:
        yield held
