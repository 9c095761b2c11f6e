from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from elasticdl_like.testing import check_data_reader
from odps_reading import COLUMNS, be_quick, make_odps_reader, make_rows
from odps_server import OdpsServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OdpsServer]:
    be_quick(monkeypatch)
    with OdpsServer() as server:
        server.add_table("t", COLUMNS, rows=make_rows(3000))
        server.add_table("p", COLUMNS, {"ds": "string", "hh": "bigint"})
        for hour, count in enumerate((700, 0, 1, 256)):
            partition = f"ds=2026010{1 + hour % 2},hh={hour}"
            server.append("p", make_rows(count, 1000 * hour), partition=partition)
        yield server


@pytest.mark.parametrize(
    ("table", "parameters"),
    [
        ("t", {}),
        ("t", {"mode": "record", "num_threads": 1}),
        ("p", {}),
        ("p", {"partition": "ds=20260101", "columns": ["hh", "value", "ds", "id"]}),
        ("p", {"partition": ["ds=20260101,hh=2", "ds=20260102/hh=3"], "mode": "record"}),
    ],
)
def test_reader_keeps_the_contract(
    server: OdpsServer, table: str, parameters: dict[str, Any]
) -> None:
    check_data_reader(lambda: make_odps_reader(server, table, **parameters))
