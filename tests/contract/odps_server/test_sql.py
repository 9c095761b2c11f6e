"""Tables and partitions made and dropped by the client, which does it with SQL."""

import pytest
from odps import ODPS, errors
from odps.models import TableSchema
from odps.types import Column, Partition

from odps_server import Kind, OdpsServer

SCHEMA = TableSchema(
    columns=[
        Column("id", "bigint", comment="it's the id, (really)"),
        Column("price", "decimal(10,2)", nullable=False),
        Column("tags", "map<string,array<bigint>>"),
    ],
    partitions=[Partition("ds", "string", comment="day"), Partition("hh", "bigint")],
)


def test_create_table(client: ODPS) -> None:
    client.create_table("made", SCHEMA, comment="a 'table', (new)")
    made = ODPS.get_table(client, "made")
    made.reload()
    assert made.comment == "a 'table', (new)"
    described = [(c.name, str(c.type).lower(), c.comment) for c in made.table_schema.columns]
    assert described == [
        ("id", "bigint", "it's the id, (really)"),
        ("price", "decimal(10,2)", ""),
        ("tags", "map<string,array<bigint>>", ""),
        ("ds", "string", "day"),
        ("hh", "bigint", ""),
    ]
    with pytest.raises(errors.ODPSError, match="already exists"):
        client.create_table("made", SCHEMA)
    client.create_table("made", SCHEMA, if_not_exists=True)
    client.create_table("plain", "id bigint, name string")
    assert [str(c.type).lower() for c in client.get_table("plain").table_schema.columns] == [
        "bigint",
        "string",
    ]


def test_partitions(client: ODPS) -> None:
    table = client.create_table("made", SCHEMA)
    for hour in (1, 2, 2):
        table.create_partition(f"ds='1',hh={hour}", if_not_exists=True)
    assert [str(partition) for partition in table.partitions] == ["ds='1',hh='1'", "ds='1',hh='2'"]
    assert table.exist_partition("ds=1,hh=2")
    assert not table.exist_partition("ds=1,hh=3")
    with pytest.raises(errors.ODPSError, match="already exists"):
        table.create_partition("ds=1,hh=1")
    table.delete_partition("ds=1,hh=1")
    assert [str(partition) for partition in table.partitions] == ["ds='1',hh='2'"]


def test_truncate_and_drop(server: OdpsServer, client: ODPS) -> None:
    server.add_table("t", {"id": "bigint"}, rows=[(1,)])
    client.get_table("t").truncate()
    assert server.rows("t").num_rows == 0
    client.delete_table("t")
    assert not client.exist_table("t")
    with pytest.raises(errors.NoSuchTable):
        client.delete_table("t")
    client.delete_table("t", if_exists=True)
    assert len(server.requests(Kind.SUBMIT_SQL)) == 4


def test_other_statements_are_refused(client: ODPS) -> None:
    with pytest.raises(errors.ParseError, match="does not know: SELECT 1"):
        client.execute_sql("SELECT 1")
