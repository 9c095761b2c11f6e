"""Reads damaged versions of a Parquet file, and says what came of each; a program.

It is a process of its own because damaged files make Arrow crash now and then in other programs.
One line of JSON for the first read and for each damaged version.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from elasticdl_like.data_readers.parquet import ParquetDataReader
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Task

POSITIONS = 90


def damaged_versions(whole: bytes) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(0)
    # The footer is small but says most.
    positions = [rng.randrange(len(whole)) for _ in range(POSITIONS)]
    positions += [rng.randrange(len(whole) - 1500, len(whole)) for _ in range(POSITIONS)]
    for position in positions:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.randrange(8)
        yield f"flipped {position}", bytes(flipped)
        other = bytearray(whole)
        other[position : position + 8] = rng.randbytes(8)
        yield f"replaced {position}", bytes(other)
    for position in positions[:: POSITIONS // 30]:
        yield f"truncated {position}", whole[:position]
        yield f"inserted {position}", whole[:position] + b"\0" + whole[position:]
        yield f"removed {position}", whole[:position] + whole[position + 1 :]


def read(path: Path) -> list[Any]:
    """Returns the columns of the file, in its shards' order."""
    reader = ParquetDataReader(data_origin=str(path))
    columns: dict[str, list[Any]] = {}
    for name, first, count in reader.create_shards():
        for batch in reader.read_record_batches(Task(name, first, first + count)):
            for column, values in batch.items():
                columns.setdefault(column, []).extend(np.asarray(values).tolist())
    return [columns[name] for name in sorted(columns)]


def main() -> None:
    warnings.simplefilter("ignore")  # Arrow's remarks about footers
    path = Path(sys.argv[1])
    whole = path.read_bytes()
    right = read(path)
    base_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for what, body in damaged_versions(whole):
        print(what, file=sys.stderr, flush=True)
        damaged = path.with_name(f"{what.replace(' ', '-')}.parquet")
        damaged.write_bytes(body)
        try:
            found = read(damaged)
        except DataError as error:
            outcome = "error" if str(damaged) in str(error) else f"no name: {error}"
        else:
            rows = {len(column) for column in found}
            outcome = f"{rows} rows"
            if rows == {len(right[0])}:
                # By their text, in which NaN equals NaN.
                outcome = "right" if repr(found) == repr(right) else "other values"
        damaged.unlink()
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base_kib
        print(json.dumps({"what": what, "outcome": outcome, "grown_kib": grown_kib}))


if __name__ == "__main__":
    main()
