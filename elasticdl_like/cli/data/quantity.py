"""Numbers as people write and read them."""

from __future__ import annotations

import re

import click

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?|)b?", re.IGNORECASE)


class ByteSize(click.ParamType[int]):
    """A flag such as `256MiB`, `1.5GB` or `4096`."""

    name = "SIZE"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Returns the number of bytes.

        Raises:
            click.BadParameter: the value is something else.
        """
        if isinstance(value, int):
            return value
        found = _PATTERN.fullmatch(value.strip())
        number = float(found[1]) * (_UNITS | _BINARY_UNITS)[found[2].lower()] if found else 0
        if number < 1:
            self.fail(f"{value!r} is not a size such as 256MiB, 1.5GB or 4096", param, ctx)
        return int(number)


def format_count(count: int, unit: str) -> str:
    """Returns a number of something that has its plural in s, such as `1 file` or `1,000 files`."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def format_bytes(size_bytes: float) -> str:
    """Returns a number of bytes in the unit that fits, such as `1.5 GiB`."""
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:,.1f} {name}"
    return f"{size_bytes:,.0f} bytes"
