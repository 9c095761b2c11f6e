from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elasticdl_like.data_readers.parquet import ParquetDataReader, ParquetWriter
from elasticdl_like.testing import check_data_reader

ROWS = 2500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of row groups of uneven sizes, one without rows, and what is not data."""
    rng = np.random.default_rng(0)
    for number, group_rows in enumerate((1, 64, 1000, 5000)):
        rows = ROWS if group_rows > 1 else 7
        table = pa.table(
            {
                "id": np.arange(rows) + 10_000 * number,
                "weight": pa.array(rng.random(rows), mask=rng.random(rows) < 0.1),
                "name": [f"{'x' * (row % 7)}{row}" for row in range(rows)],
                "kind": pa.array([f"kind {row % 3}" for row in range(rows)]).dictionary_encode(),
                "pair": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(2 * rows)), 2),
            }
        )
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=group_rows)
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".0.parquet.crc").touch()
    return tmp_path


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"columns": ["weight", "id"]},
        {"filter": [("id", ">=", 30_500), ("name", "!=", "x1")], "columns": ["name"]},
    ],
)
def test_directory(folder: Path, parameters: dict[str, Any]) -> None:
    check_data_reader(lambda: ParquetDataReader(data_origin=str(folder), **parameters))


def test_files_of_our_own_writer(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    with ParquetWriter(path, max_group_rows=100) as writer:
        for size in (0, 1, 150, 333):
            writer.write_batch([b"%d" % row * (row % 4) for row in range(size)])
    check_data_reader(lambda: ParquetDataReader(data_origin=str(path)))
