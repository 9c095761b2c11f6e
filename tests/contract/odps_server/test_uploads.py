"""Upload sessions: blocks, commits, and that nothing is written twice or by halves."""

import pyarrow as pa
import pytest
from odps import ODPS, errors
from odps.tunnel import TableTunnel
from odps.tunnel.tabletunnel import TableUploadSession

from odps_server import Action, Fault, Kind, OdpsServer


@pytest.fixture
def table(server: OdpsServer) -> str:
    server.add_table("t", {"id": "bigint", "name": "string"}, rows=[(0, "first")])
    return "t"


def write_block(session: TableUploadSession, block_id: int, ids: list[int]) -> None:
    with session.open_record_writer(block_id) as writer:
        for number in ids:
            writer.write(session.new_record([number, f"row {number}"]))


def ids(server: OdpsServer, table: str, partition: str = "") -> list[int]:
    return list(server.rows(table, partition).column("id").to_pylist())


def test_blocks_are_added_by_the_commit_in_their_order(
    server: OdpsServer, tunnel: TableTunnel, table: str
) -> None:
    session = tunnel.create_upload_session(table)
    write_block(session, 1, [3, 4])
    write_block(session, 0, [1, 2])
    assert [int(block) for block in session.get_block_list()] == [0, 1]
    assert ids(server, table) == [0]
    session.commit([0, 1])
    assert ids(server, table) == [0, 1, 2, 3, 4]
    assert session.status == session.Status.Closed


def test_a_block_written_again_replaces_the_first(
    server: OdpsServer, tunnel: TableTunnel, table: str
) -> None:
    session = tunnel.create_upload_session(table)
    write_block(session, 0, [1, 2])
    shared = tunnel.create_upload_session(table, upload_id=session.id)
    write_block(shared, 0, [1, 2])
    session.commit([0])
    assert ids(server, table) == [0, 1, 2]


def test_overwrite_and_new_partitions(server: OdpsServer, tunnel: TableTunnel) -> None:
    server.add_table("p", {"id": "bigint", "name": "string"}, {"ds": "string"})
    with pytest.raises(errors.NoSuchPartition):
        tunnel.create_upload_session("p", partition_spec="ds=1")
    for overwrite, first in ((False, 1), (False, 3), (True, 5)):
        session = tunnel.create_upload_session(
            "p", partition_spec="ds=1", create_partition=True, overwrite=overwrite
        )
        write_block(session, 0, [first, first + 1])
        session.commit([0])
        expected = [5, 6] if overwrite else list(range(1, first + 2))
        assert ids(server, "p", "ds=1") == expected


@pytest.mark.parametrize("compressed", [False, True])
def test_buffered_blocks(
    server: OdpsServer, tunnel: TableTunnel, table: str, compressed: bool
) -> None:
    session = tunnel.create_upload_session(table)
    with session.open_record_writer(buffer_size=2000, compress=compressed) as writer:
        for number in range(1, 1000):
            writer.write(session.new_record([number, "x" * 10]))
    assert len(writer.get_blocks_written()) > 1
    session.commit(writer.get_blocks_written())
    assert ids(server, table) == list(range(1000))


def test_a_second_commit_is_refused(server: OdpsServer, tunnel: TableTunnel, table: str) -> None:
    session = tunnel.create_upload_session(table)
    write_block(session, 0, [1])
    session.commit([0])
    with pytest.raises(errors.ODPSError, match="StatusConflict"):
        session.commit([0])
    with pytest.raises(errors.ODPSError, match="StatusConflict"):
        write_block(session, 1, [2])
    assert ids(server, table) == [0, 1]


def test_a_commit_whose_reply_is_lost_is_done(
    server: OdpsServer, tunnel: TableTunnel, table: str
) -> None:
    session = tunnel.create_upload_session(table)
    write_block(session, 0, [1])
    server.add_fault(Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.COMMIT))
    with pytest.raises(errors.ODPSError, match="StatusConflict"):
        session.commit([0])  # the client asks again by itself
    assert len(server.requests(Kind.COMMIT)) == 2
    session.reload()
    assert session.status == session.Status.Closed
    assert ids(server, table) == [0, 1]


def test_a_block_that_breaks_off_does_not_count(
    server: OdpsServer, tunnel: TableTunnel, table: str
) -> None:
    session = tunnel.create_upload_session(table)
    writer = session.open_record_writer(0)
    writer.write(session.new_record([1, "x"]))
    writer.flush()
    with pytest.raises(errors.ODPSError, match="CorruptedDataStream"):
        writer._req_io.finish()  # the end of the request, without the end of the block
    assert session.get_block_list() == []


def test_an_expired_upload(server: OdpsServer, tunnel: TableTunnel, table: str) -> None:
    session = tunnel.create_upload_session(table)
    write_block(session, 0, [1])
    server.expire_sessions(table)
    with pytest.raises(errors.ODPSError, match="StatusConflict"):
        session.commit([0])
    assert ids(server, table) == [0]


def test_arrow_blocks(server: OdpsServer, tunnel: TableTunnel, table: str) -> None:
    pytest.importorskip("pandas", reason="the client writes Arrow with pandas only")
    session = tunnel.create_upload_session(table)
    rows = pa.table({"id": range(1, 5000), "name": ["x" * 20] * 4999})
    with session.open_arrow_writer(0) as writer:
        writer.write(rows)
    session.commit([0])
    assert ids(server, table) == list(range(5000))


def test_the_written_rows_are_read_back(client: ODPS, table: str) -> None:
    with client.get_table(table).open_writer() as writer:
        writer.write([[1, "one"], [2, None]])
    with client.get_table(table).open_reader() as reader:
        assert [record.values for record in reader] == [[0, "first"], [1, "one"], [2, None]]
