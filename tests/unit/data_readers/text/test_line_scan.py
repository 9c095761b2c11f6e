"""The index of lines, against lines that are split in memory, for every size of block."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.files import open_file
from elasticdl_like.data_readers.text.line_scan import scan_lines, skip_bom
from elasticdl_like.data_readers.text.lines import decode_lines, find_line_ends, scan_text
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.sparse_index import SparseIndex, Stretch
from in_memory_file import InMemoryFile


def expected_lines(data: bytes) -> list[bytes]:
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [line for line in (each.removesuffix(b"\r") for each in lines) if line]


def lines_of(data: bytes, index: SparseIndex) -> list[list[bytes]]:
    return [
        decode_lines("in memory", stretch, data[stretch.start_byte : stretch.end_byte])
        for stretch in index.stretches()
    ]


@settings(deadline=None)
@given(
    data=st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", b"\0", b"\xff"])).map(
        b"".join
    ),
    has_bom=st.booleans(),
    spacing_bytes=st.integers(1, 20),
    block_bytes=st.integers(1, 12),
)
def test_lines_are_those_of_split(
    data: bytes, has_bom: bool, spacing_bytes: int, block_bytes: int
) -> None:
    data = b"\xef\xbb\xbf" * has_bom + data
    file = InMemoryFile(data)
    index = scan_lines(file, skip_bom(file), find_line_ends, spacing_bytes, block_bytes).lines
    expected = expected_lines(data)
    assert list(chain.from_iterable(lines_of(data, index))) == expected
    assert index.num_records == len(expected)
    assert index.num_stretches <= len(data)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), max_size=60),
    spacing_bytes=st.integers(1, 30),
    block_bytes=st.integers(1, 100),
)
def test_a_stretch_is_two_spacings_long_at_most_or_one_line(
    lengths: list[int], spacing_bytes: int, block_bytes: int
) -> None:
    data = b"".join(b"x" * length + b"\n" for length in lengths)
    index = scan_lines(InMemoryFile(data), 0, find_line_ends, spacing_bytes, block_bytes).lines
    for stretch, lines in zip(index.stretches(), lines_of(data, index), strict=True):
        assert stretch.size_bytes <= 2 * spacing_bytes or len(lines) == 1
    if index.num_records:
        assert index.offsets[-1] == len(data)


def test_the_index_of_a_large_file_is_small(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 88 + b"\n" + b"0123456\n" * (1 << 20))
    with open_file(str(path)) as file:
        index = scan_text(file)
    assert index.num_records == 1 + (1 << 20)
    assert index.num_stretches == 129
    assert len(index.to_bytes()) < 1000


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\n\r\n\n", b"\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"]
)
def test_a_file_without_lines_has_no_stretches(data: bytes) -> None:
    index = scan_text(InMemoryFile(data))
    assert (index.num_records, index.num_stretches) == (0, 0)


@pytest.mark.parametrize("data", [b"a\nb\n", b"a\n\nb", b""])
def test_other_lines_than_were_indexed_are_an_error(data: bytes) -> None:
    with pytest.raises(CorruptDataError, match=r"f\.txt, at byte 100: .* where 1 were indexed"):
        decode_lines("f.txt", Stretch(7, 8, 100, 100 + len(data)), data)
