"""The formats of files of predictions: from columns to the bytes of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from elasticdl_like.errors import ConfigError

Columns = Mapping[str, NDArray[Any]]
"""Rows, by column: arrays of shape (rows, …), of numbers, or of `bytes` and `str`."""

FORMATS = ("parquet", "jsonl", "csv", "recordio")


def part_encoder(name: str) -> Callable[[Columns], bytes]:
    """Returns the function that makes a file of at least one row.

    It raises a `DataError` when a column is of a kind that the format does not have.

    Args:
        name: one of `FORMATS`; it is how the names of the files end, too.

    Raises:
        ConfigError: there is no such format, or it needs a package that is missing.
    """
    # Imported when needed: two of them take pyarrow.
    match name:
        case "parquet":
            from elasticdl_like.prediction_outputs.arrow_parts import encode_parquet

            return encode_parquet
        case "csv":
            from elasticdl_like.prediction_outputs.arrow_parts import encode_csv

            return encode_csv
        case "jsonl":
            from elasticdl_like.prediction_outputs.json_parts import encode_json_lines

            return encode_json_lines
        case "recordio":
            from elasticdl_like.prediction_outputs.json_parts import encode_recordio

            return encode_recordio
    raise ConfigError(f"--prediction_format {name}: there is {', '.join(FORMATS)}")
