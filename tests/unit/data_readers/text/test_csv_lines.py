"""Where rows end, against Python's csv module."""

from __future__ import annotations

import csv
import io
from itertools import chain

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.text.csv_lines import QUOTED, CsvDialect
from elasticdl_like.data_readers.text.line_scan import scan_lines
from elasticdl_like.errors import ConfigError
from in_memory_file import InMemoryFile

# Quotes in the middle of fields among them, which are ordinary characters.
csv_text = st.lists(st.sampled_from([*'\n\r,"a', "\r\n", '""', '",', ',"', '"\n'])).map("".join)


def rows_of(text: str) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


@settings(deadline=None)
@given(text=csv_text, spacing_bytes=st.integers(1, 20), block_bytes=st.integers(1, 12))
def test_rows_are_those_of_the_csv_module(text: str, spacing_bytes: int, block_bytes: int) -> None:
    find_line_ends = CsvDialect(",", '"').find_line_ends
    found = scan_lines(InMemoryFile(text.encode()), 0, find_line_ends, spacing_bytes, block_bytes)
    assume(found.state != QUOTED)
    expected = rows_of(text)
    assert found.lines.num_records == len(expected)
    stretches = [rows_of(text[each.start_byte : each.end_byte]) for each in found.lines.stretches()]
    assert list(chain.from_iterable(stretches)) == expected
    assert [len(rows) for rows in stretches] == [each.count for each in found.lines.stretches()]


@settings(deadline=None)
@given(text=csv_text, block_bytes=st.integers(1, 12))
def test_the_size_of_blocks_makes_no_difference(text: str, block_bytes: int) -> None:
    find_line_ends = CsvDialect(",", '"').find_line_ends
    file = InMemoryFile(text.encode())
    whole = scan_lines(file, 0, find_line_ends, 4)
    in_blocks = scan_lines(file, 0, find_line_ends, 4, block_bytes)
    assert in_blocks.lines == whole.lines
    assert (in_blocks.state == QUOTED, in_blocks.last_start) == (
        whole.state == QUOTED,
        whole.last_start,
    )


@settings(deadline=None)
@given(
    values=st.lists(
        st.lists(st.text("ab;'\"\n\r", min_size=1), min_size=2, max_size=2), max_size=12
    ),
    block_bytes=st.integers(1, 12),
)
def test_what_the_csv_module_writes_is_found_again(
    values: list[list[str]], block_bytes: int
) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=";", quotechar="'").writerows(values)
    file = InMemoryFile(written.getvalue().encode())
    found = scan_lines(file, 0, CsvDialect(";", "'").find_line_ends, 8, block_bytes)
    assert found.state != QUOTED
    assert found.lines.num_records == len(values)


def test_without_a_quote_character_every_line_end_counts() -> None:
    file = InMemoryFile(b'a,"b\nc,d"\n"\n')
    assert scan_lines(file, 0, CsvDialect(",", "").find_line_ends, 8).lines.num_records == 3


@pytest.mark.parametrize(
    ("delimiter", "quote_char"), [("", '"'), (",,", '"'), ("\n", '"'), ("é", '"'), (",", "''")]
)
def test_a_dialect_of_other_than_single_ascii_characters_is_refused(
    delimiter: str, quote_char: str
) -> None:
    with pytest.raises(ConfigError, match="one ASCII character"):
        CsvDialect(delimiter, quote_char)


def test_a_delimiter_that_is_the_quote_is_refused() -> None:
    with pytest.raises(ConfigError, match="both ','"):
        CsvDialect(",", ",")
