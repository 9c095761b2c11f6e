"""Every column type, through both kinds of body, compared with what the tests put in."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
from odps.tunnel import TableTunnel

from odps_server import OdpsServer

NOON = datetime.datetime(2026, 1, 2, 12, 0, 0, 678000)
BEFORE_1970 = datetime.datetime(1961, 4, 12, 6, 7, 0, 250000)

# type -> values; each column also gets a null
VALUES: dict[str, list[Any]] = {
    "bigint": [-(2**63) + 1, 0, 2**63 - 1],
    "int": [-(2**31), 0, 2**31 - 1],
    "smallint": [-(2**15), 0, 2**15 - 1],
    "tinyint": [-128, 0, 127],
    "double": [-1.5, 0.0, 1e300],
    "float": [-1.5, 0.0, 0.25],
    "string": ["", "ä€𝄞", "x" * 1000],
    "varchar(20)": ["", "ä€", "x"],
    "char(4)": ["ab", "abcd", "x"],
    "binary": [b"", b"\x00\xff", b"\n" * 1000],
    "boolean": [True, False, True],
    "datetime": [BEFORE_1970, datetime.datetime(1970, 1, 1), NOON],
    "timestamp": [BEFORE_1970, datetime.datetime(1970, 1, 1), NOON],
    "timestamp_ntz": [BEFORE_1970, datetime.datetime(1970, 1, 1), NOON],
    "date": [datetime.date(1961, 4, 12), datetime.date(1970, 1, 1), datetime.date(2026, 1, 2)],
    "decimal(20,4)": [Decimal("-1.2345"), Decimal("0.0000"), Decimal("9999999999.9999")],
    "array<bigint>": [[], [1, None, 3], [2**62]],
    "array<string>": [[], ["a", None, ""], ["ä"]],
    "array<datetime>": [[], [NOON, None], [BEFORE_1970]],
    "map<string,double>": [{}, {"a": 1.0, "b": None}, {"": -1.0}],
    "map<bigint,array<string>>": [{}, {1: ["a"], 2: None}, {-1: []}],
}


@pytest.fixture(params=VALUES)
def column_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_arrow_body(server: OdpsServer, tunnel: TableTunnel, column_type: str) -> None:
    values = [VALUES[column_type][0], None, *VALUES[column_type][1:]]
    server.add_table("t", {"value": column_type}, rows=[(value,) for value in values])
    session = tunnel.create_download_session("t")
    with session.open_arrow_reader(0, session.count) as reader:
        read = reader.read().column("value").to_pylist()
    if column_type.startswith("map"):
        read = [None if pairs is None else dict(pairs) for pairs in read]
    assert read == values


def test_record_body(server: OdpsServer, tunnel: TableTunnel, column_type: str) -> None:
    if column_type.startswith("timestamp"):
        pytest.importorskip("pandas", reason="the client needs it to read timestamps from records")
    values = [VALUES[column_type][0], None, *VALUES[column_type][1:]]
    server.add_table("t", {"value": column_type}, rows=[(value,) for value in values])
    session = tunnel.create_download_session("t")
    with session.open_record_reader(0, session.count) as reader:
        assert [record["value"] for record in reader] == values


def test_record_body_of_an_upload(
    server: OdpsServer, tunnel: TableTunnel, column_type: str
) -> None:
    values = written = [VALUES[column_type][0], None, *VALUES[column_type][1:]]
    if column_type.startswith("timestamp"):
        pandas = pytest.importorskip("pandas", reason="the client takes timestamps of pandas only")
        written = [None if value is None else pandas.Timestamp(value) for value in values]
    server.add_table("t", {"value": column_type})
    session = tunnel.create_upload_session("t")
    with session.open_record_writer(0) as writer:
        for value in written:
            writer.write(session.new_record([value]))
    session.commit([0])
    server.add_table("truth", {"value": column_type}, rows=[(value,) for value in values])
    assert server.rows("t") == server.rows("truth")
