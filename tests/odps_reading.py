"""What the tests of the reader for MaxCompute share: a table, and ways to read and compare it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from elasticdl_like.data_readers.odps import ODPSDataReader, patience, reader
from elasticdl_like.data_readers.places import task_of
from elasticdl_like.data_readers.reading import join_batches, list_shards, read_task
from elasticdl_like.tasks import Shard, Task
from odps_server.control import Control

COLUMNS = {"id": "bigint", "name": "string", "value": "double", "flag": "boolean"}
ROWS_PER_REQUEST = 256


def make_rows(count: int, first: int = 0) -> pa.Table:
    """Returns rows that all differ, with text of all lengths."""
    ids = np.arange(first, first + count)
    return pa.table(
        {
            "id": ids,
            "name": [f"{'é' * (number % 11)}{number}" for number in ids],
            "value": ids / 3,
            "flag": ids % 3 == 0,
        }
    )


def access_to(server: Control) -> dict[str, Any]:
    """Returns the reader parameters that say where the server is."""
    return {
        "project": server.project,
        "endpoint": server.endpoint,
        "tunnel_endpoint": server.tunnel_endpoint,
        "access_id": server.access_id,
        "access_key": server.access_key,
    }


def make_odps_reader(server: Control, table: str = "t", **parameters: Any) -> ODPSDataReader:
    return ODPSDataReader(
        data_origin=f"odps://{server.project}/{table}", **(access_to(server) | parameters)
    )


def read_shard(data_reader: ODPSDataReader, shard: Shard) -> dict[str, np.ndarray[Any, Any]]:
    """Reads a whole shard as one batch."""
    batch = join_batches(list(read_task(data_reader, task_of(shard, shard.first, shard.end))))
    assert isinstance(batch, dict)
    return batch


def read_ids(data_reader: ODPSDataReader, task: Task) -> list[int]:
    """Reads a task of the table that `COLUMNS` describes; returns one of its columns."""
    ids: list[int] = []
    for batch in read_task(data_reader, task):
        assert isinstance(batch, dict)
        ids += batch["id"].tolist()
    return ids


def read_all(data_reader: ODPSDataReader) -> dict[str, np.ndarray[Any, Any]]:
    """Lists the shards, and reads all of them as one batch."""
    batch = join_batches([read_shard(data_reader, shard) for shard in list_shards(data_reader)])
    assert isinstance(batch, dict)
    return batch


def assert_rows(found: Mapping[str, np.ndarray[Any, Any]], truth: pa.Table) -> None:
    """Checks that columns hold exactly these rows, in this order."""
    assert list(found) == truth.column_names
    for name in truth.column_names:
        assert found[name].tolist() == _plain(truth.column(name).to_pylist()), name


def _plain(values: Sequence[Any]) -> list[Any]:
    return [value.encode() if isinstance(value, str) else value for value in values]


def be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes requests small, and pauses before they are repeated short."""
    monkeypatch.setattr(reader, "_MOST_ROWS_PER_REQUEST", ROWS_PER_REQUEST)
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0.001)
