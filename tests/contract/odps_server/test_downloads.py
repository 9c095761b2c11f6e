"""Download sessions: counts, ranges, columns, partitions, and what is refused."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from odps import ODPS, errors
from odps.tunnel import TableTunnel

from odps_server import Framing, Kind, OdpsServer

ROWS = [(index, f"row {index}", index / 4) for index in range(1000)]
COLUMNS = {"id": "bigint", "name": "string", "value": "double"}


@pytest.fixture
def table(server: OdpsServer) -> str:
    server.add_table("t", COLUMNS, rows=ROWS)
    return "t"


@pytest.fixture
def partitioned(server: OdpsServer) -> str:
    server.add_table("p", COLUMNS, {"ds": "string", "hh": "string"})
    for day, hour in itertools.product((1, 2), range(60)):
        server.append("p", [(day, f"{hour}", 0.5)] * hour, f"ds=2026010{day},hh={hour:02}")
    return "p"


@pytest.mark.parametrize(("start", "count"), [(0, 1000), (0, 1), (999, 1), (95, 310)])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("framing", Framing)
def test_row_ranges(
    server: OdpsServer,
    tunnel: TableTunnel,
    table: str,
    start: int,
    count: int,
    compressed: bool,
    framing: Framing,
) -> None:
    server.set_framing(framing)
    session = tunnel.create_download_session(table)
    assert session.count == len(ROWS)
    expected = ROWS[start : start + count]
    with session.open_arrow_reader(start, count, compress=compressed) as reader:
        read = reader.read().to_pydict()
    assert list(zip(*read.values(), strict=True)) == expected
    with session.open_record_reader(start, count, compress=compressed) as reader:
        assert [tuple(record.values) for record in reader] == expected
    asked = server.requests(Kind.DATA)
    assert [request.rows for request in asked] == [(start, start + count)] * 2
    assert ["arrow" in request.query for request in asked] == [True, False]


def test_columns_come_in_table_order(tunnel: TableTunnel, table: str) -> None:
    session = tunnel.create_download_session(table)
    with session.open_arrow_reader(3, 2, columns=["value", "id"]) as reader:
        assert reader.read().to_pydict() == {"value": [0.75, 1.0], "id": [3, 4]}
    with session.open_record_reader(3, 1, columns=["id", "value"]) as reader:
        assert [record.values for record in reader] == [[3, 0.75]]


def test_refused_ranges(tunnel: TableTunnel, table: str) -> None:
    session = tunnel.create_download_session(table)
    with pytest.raises(errors.ODPSError, match=r"row range is not valid: \(990,11\) of 1000"):
        session.open_arrow_reader(990, 11)


def test_empty_table(server: OdpsServer, tunnel: TableTunnel) -> None:
    server.add_table("empty", COLUMNS)
    session = tunnel.create_download_session("empty")
    assert session.count == 0
    with session.open_record_reader(0, 0) as reader:
        assert list(reader) == []


def test_what_does_not_exist(
    client: ODPS, tunnel: TableTunnel, table: str, partitioned: str
) -> None:
    assert not client.exist_table("missing")
    with pytest.raises(errors.NoSuchTable, match=r"test_project\.missing"):
        client.get_table("missing").reload()
    with pytest.raises(errors.NoSuchTable):
        tunnel.create_download_session("missing")
    with pytest.raises(errors.NoSuchPartition, match="ds=1,hh=1"):
        tunnel.create_download_session(partitioned, partition_spec="ds=1,hh=1")
    with pytest.raises(errors.ODPSError, match="MissingPartitionSpec"):
        tunnel.create_download_session(partitioned)
    with pytest.raises(errors.ODPSError, match="no partition columns"):
        tunnel.create_download_session(table, partition_spec="ds=1")
    with pytest.raises(errors.ODPSError, match="download id does not exist: none"):
        tunnel.create_download_session(table, download_id="none")


def test_partitions(client: ODPS, tunnel: TableTunnel, partitioned: str) -> None:
    table = client.get_table(partitioned)
    assert len(list(table.partitions)) == 120  # more than a page
    day = list(table.iterate_partitions("ds=20260102"))
    assert [str(partition) for partition in day] == [
        f"ds='20260102',hh='{hour:02}'" for hour in range(60)
    ]
    assert day[7].record_num == 7
    session = tunnel.create_download_session(partitioned, partition_spec="ds='20260102',hh='07'")
    assert session.count == 7
    with session.open_record_reader(0, 7) as reader:
        assert {tuple(record.values) for record in reader} == {(2, "7", 0.5, "20260102", "07")}


def test_sessions_are_shared_by_id(server: OdpsServer, tunnel: TableTunnel, table: str) -> None:
    made = tunnel.create_download_session(table)
    again = TableTunnel(server.client()).create_download_session(table, download_id=made.id)
    assert (again.id, again.count) == (made.id, len(ROWS))
    with again.open_record_reader(500, 1) as reader:
        assert [tuple(record.values) for record in reader] == ROWS[500:501]
    assert len(server.requests(Kind.CREATE_DOWNLOAD)) == 1


def test_threads_share_a_session(server: OdpsServer, tunnel: TableTunnel, table: str) -> None:
    session = tunnel.create_download_session(table)

    def read(start: int) -> list[int]:
        with session.open_arrow_reader(start, 50) as reader:
            return list(reader.read().column("id").to_pylist())

    with ThreadPoolExecutor(4) as threads:
        read_ids = list(itertools.chain.from_iterable(threads.map(read, range(0, 1000, 50))))
    assert read_ids == list(range(1000))
    asked = sorted(request.rows or (0, 0) for request in server.requests(Kind.DATA))
    assert asked == [(start, start + 50) for start in range(0, 1000, 50)]


def test_a_table_that_changed(server: OdpsServer, tunnel: TableTunnel, table: str) -> None:
    session = tunnel.create_download_session(table)
    server.append(table, ROWS[:1])
    with pytest.raises(errors.TableModified):
        session.open_arrow_reader(0, 1)
    with pytest.raises(errors.TableModified):
        session.reload()
    assert tunnel.create_download_session(table).count == len(ROWS) + 1


def test_another_partition_changed(
    server: OdpsServer, tunnel: TableTunnel, partitioned: str
) -> None:
    session = tunnel.create_download_session(partitioned, partition_spec="ds=20260101,hh=01")
    server.replace(partitioned, ROWS[:1], "ds=20260101,hh=02")
    with session.open_record_reader(0, 1) as reader:
        assert len(list(reader)) == 1


def test_an_expired_session(server: OdpsServer, tunnel: TableTunnel, table: str) -> None:
    session = tunnel.create_download_session(table)
    assert server.expire_sessions(table) == 1
    with pytest.raises(errors.ODPSError, match=r"StatusConflict[\s\S]*session is expired"):
        session.open_arrow_reader(0, 1)
    session.reload()
    assert session.status == session.Status.Expired
    with tunnel.create_download_session(table).open_arrow_reader(0, 1) as reader:
        assert reader.read().num_rows == 1


def test_table_information(server: OdpsServer, client: ODPS) -> None:
    server.add_table(
        "described",
        COLUMNS,
        {"ds": "string"},
        comment="all of <it>",
        comments={"id": "the 'id'", "ds": "the day"},
    )
    table = client.get_table("described")
    assert table.comment == "all of <it>"
    columns = [
        (column.name, str(column.type).lower(), column.comment) for column in table.table_schema
    ]
    assert columns == [
        ("id", "bigint", "the 'id'"),
        ("name", "string", ""),
        ("value", "double", ""),
        ("ds", "string", "the day"),
    ]
    assert [column.name for column in table.table_schema.partitions] == ["ds"]
    assert table.physical_size == 0
    assert [found.name for found in client.list_tables()] == ["described"]
