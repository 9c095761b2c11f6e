"""Text and JSON lines keep the reader contract."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from elasticdl_like.data_readers.text import JsonLinesDataReader, TextDataReader
from elasticdl_like.testing import check_data_reader


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\n\n\r\n"])
def test_a_directory_of_text_files(tmp_path: Path, line_end: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + b"first" + line_end + b"last")
    # Several stretches, and lines that are longer than one.
    lines = [b"%d " % number * (number % 40) + b"." for number in range(4000)]
    lines[1000] = b"long" * 50_000
    (tmp_path / "b.txt").write_bytes(line_end.join(lines))
    (tmp_path / "c.txt").write_bytes(b"")
    check_data_reader(lambda: TextDataReader(data_origin=str(tmp_path)))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(bytes([number]) * 3 + b"\n" for number in range(256)))
    check_data_reader(lambda: TextDataReader(data_origin=str(path)))


def test_json_lines_with_an_index_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b'{"number": %d}\n' % number for number in range(20_000)))
    check_data_reader(
        lambda: JsonLinesDataReader(data_origin=str(path), index_dir=str(tmp_path / "indexes"))
    )


def test_gzipped_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"".join(b"line %d\n" % number for number in range(20_000))))
    check_data_reader(lambda: TextDataReader(data_origin=str(path)))
