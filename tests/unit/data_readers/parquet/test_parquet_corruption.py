from __future__ import annotations

import collections
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FUZZ = Path(__file__).with_name("fuzz_parquet.py")


def write(path: Path, **options: Any) -> Path:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "id": np.arange(900),
            "weight": rng.random(900),
            "kind": pa.array([f"kind {row % 5}" for row in range(900)]),
            "pair": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(1800)), 2),
        }
    )
    pq.write_table(table, path, row_group_size=300, **options)
    return path


def fuzz(path: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, FUZZ, path], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("compression", ["snappy", "none"])
@pytest.mark.parametrize("checksums", [True, False])
def test_damaged_files(tmp_path: Path, checksums: bool, compression: str) -> None:
    path = write(tmp_path / "a.parquet", write_page_checksum=checksums, compression=compression)
    found = fuzz(path)
    counts = collections.Counter(each["outcome"] for each in found)
    assert len(found) > 400
    # Of the pages' contents only checksums tell; numbers of rows are known without.
    allowed = {"error", "right"} if checksums else {"error", "right", "other values"}
    assert set(counts) <= allowed, [each for each in found if each["outcome"] not in allowed]
    assert counts["error"] > 100
    assert found[-1]["grown_kib"] < 64 << 10
