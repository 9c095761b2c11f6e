"""Sizes on the command line."""

from __future__ import annotations

import click
import pytest

from elasticdl_like.cli.data.quantity import ByteSize, format_bytes, format_count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4096", 4096),
        ("1k", 1000),
        ("1KiB", 1024),
        ("1.5 GB", 1_500_000_000),
        ("256MiB", 256 << 20),
        ("2ti", 2 << 40),
        (7, 7),
    ],
)
def test_sizes(text: str | int, expected: int) -> None:
    assert ByteSize().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "MiB", "1X", "0.1", "1e3", "1,000"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size such as 256MiB"):
        ByteSize().convert(text, None, None)


def test_shown() -> None:
    shown = [format_bytes(size) for size in (0, 1023, 1024, 1.5 * (1 << 30), 5 << 40)]
    assert shown == ["0 bytes", "1,023 bytes", "1.0 KiB", "1.5 GiB", "5.0 TiB"]
    assert [format_count(n, "file") for n in (0, 1, 1000)] == ["0 files", "1 file", "1,000 files"]
