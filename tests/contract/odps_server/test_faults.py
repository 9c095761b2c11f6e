"""Each fault as the real client sees it."""

import time
from collections.abc import Callable

import pyarrow as pa
import pytest
import requests
import urllib3
from odps import errors
from odps.config import options
from odps.tunnel import TableTunnel
from odps.tunnel.tabletunnel import TableDownloadSession

from odps_server import Action, Fault, Framing, Kind, OdpsServer

COUNT = 20_000
ROWS = pa.table({"id": range(COUNT), "name": [f"row {index}" for index in range(COUNT)]})


def read_arrow(session: TableDownloadSession, start: int = 0, count: int = COUNT) -> list[int]:
    with session.open_arrow_reader(start, count, columns=["id", "name"]) as reader:
        return list(reader.read().column("id").to_pylist())


def read_records(session: TableDownloadSession, start: int = 0, count: int = COUNT) -> list[int]:
    with session.open_record_reader(start, count) as reader:
        return [record["id"] for record in reader]


def ask_once(
    session: TableDownloadSession, start: int = 0, count: int = 10, timeout_s: float = 60
) -> bytes:
    """Ask for rows as the client does, but without its own retries, which take seconds."""
    response = session._client.get(
        session._table.table_resource(),
        actions=["data", "arrow"],
        params={"downloadid": session.id, "rowrange": f"({start},{count})"},
        timeout=timeout_s,
    )
    return bytes(response.content)


Read = Callable[[TableDownloadSession], list[int]]
both = pytest.mark.parametrize("read", [read_arrow, read_records])


@pytest.fixture
def session(server: OdpsServer, tunnel: TableTunnel) -> TableDownloadSession:
    server.add_table("t", {"id": "bigint", "name": "string"}, rows=ROWS)
    return tunnel.create_download_session("t")


def served_bytes(server: OdpsServer) -> list[int]:
    return [request.bytes_sent for request in server.requests(Kind.DATA)]


@both
def test_reset_before_headers(
    server: OdpsServer, session: TableDownloadSession, read: Read
) -> None:
    server.add_fault(Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.DATA, times=2))
    assert read(session) == list(range(COUNT))
    assert [request.faults for request in server.requests(Kind.DATA)] == [
        ["reset_before_headers"],
        ["reset_before_headers"],
        [],
    ]
    assert served_bytes(server)[:2] == [0, 0]


@both
@pytest.mark.parametrize("framing", Framing)
def test_reset_in_the_body(
    server: OdpsServer, session: TableDownloadSession, read: Read, framing: Framing
) -> None:
    server.set_framing(framing)
    server.add_fault(Fault(Action.RESET, kind=Kind.DATA, at_byte=200_001))
    assert read(session) == list(range(COUNT))  # the client goes on where it was
    broken, resumed = server.requests(Kind.DATA)
    assert (broken.rows, broken.bytes_sent) == ((0, COUNT), 200_001)
    assert resumed.rows is not None
    assert 0 < resumed.rows[0] < COUNT
    assert resumed.rows[1] == COUNT


def test_an_early_reset_escapes_from_the_client_in_record_mode(
    server: OdpsServer, session: TableDownloadSession
) -> None:
    options.retry_times = 0
    server.add_fault(Fault(Action.RESET, kind=Kind.DATA, at_byte=100))
    with pytest.raises((urllib3.exceptions.ProtocolError, OSError)):
        read_records(session)


def read_with_fin_at(
    server: OdpsServer, session: TableDownloadSession, positions: range
) -> list[list[int] | type[Exception]]:
    """What record mode gives for 100 rows when the body ends at each position."""
    seen: list[list[int] | type[Exception]] = []
    for at_byte in positions:
        server.add_fault(Fault(Action.FIN, kind=Kind.DATA, at_byte=at_byte))
        try:
            seen.append(read_records(session, 0, 100))
        except errors.StreamTruncatedException:
            seen.append(errors.StreamTruncatedException)
    return seen


def test_fin_in_record_mode(server: OdpsServer, session: TableDownloadSession) -> None:
    # Between records the option makes it an error; within one the client asks again by itself.
    seen = read_with_fin_at(server, session, range(500, 540))
    assert all(read in (list(range(100)), errors.StreamTruncatedException) for read in seen)
    assert 1 <= seen.count(errors.StreamTruncatedException) < len(seen)


def test_fin_in_record_mode_goes_unseen_without_the_option(
    server: OdpsServer, session: TableDownloadSession
) -> None:
    options.tunnel.require_stream_footer = False
    seen = read_with_fin_at(server, session, range(500, 540))
    short = [read for read in seen if read != list(range(100))]
    assert short
    assert all(read == list(range(len(read))) for read in short if isinstance(read, list))


def test_fin_in_arrow_mode(server: OdpsServer, session: TableDownloadSession) -> None:
    server.add_fault(Fault(Action.FIN, kind=Kind.DATA, at_byte=100_000))
    assert read_arrow(session) == list(range(COUNT))
    assert len(server.requests(Kind.DATA)) == 2


def test_fin_between_batches_goes_unseen_in_arrow_mode(
    server: OdpsServer, session: TableDownloadSession
) -> None:
    server.add_fault(Fault(Action.FIN, kind=Kind.DATA, at_byte=4))  # after the size of a chunk
    assert read_arrow(session) == []
    assert len(server.requests(Kind.DATA)) == 1


@both
def test_truncated(server: OdpsServer, session: TableDownloadSession, read: Read) -> None:
    server.add_fault(Fault(Action.TRUNCATE, kind=Kind.DATA, at_byte=200_000))
    assert read(session) == list(range(COUNT))
    assert len(server.requests(Kind.DATA)) == 2


@both
def test_corrupt_byte(server: OdpsServer, session: TableDownloadSession, read: Read) -> None:
    options.retry_times = 0
    expected = read(session)
    server.add_fault(Fault(Action.CORRUPT, kind=Kind.DATA, at_byte=150_000))
    with pytest.raises((errors.ChecksumError, OSError, pa.ArrowInvalid, ValueError)):
        read(session)
    assert read(session) == expected


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, errors.Unauthorized, "Unauthorized"),
        (403, errors.NoPermission, "NoPermission"),
        (404, errors.ODPSError, "NoSuchDownload"),
        (429, errors.FlowExceeded, "FlowExceeded"),
        (500, errors.InternalServerError, "InternalServerError"),
        (503, errors.ServiceUnavailable, "ServiceUnavailable"),
    ],
)
def test_status(
    server: OdpsServer,
    session: TableDownloadSession,
    status: int,
    error: type[errors.ODPSError],
    code: str,
) -> None:
    server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=status, times=2))
    for _ in range(2):
        with pytest.raises(error) as raised:
            ask_once(session)
        assert (raised.value.status_code, raised.value.code) == (status, code)
    assert ask_once(session)
    assert server.faults_left() == 0


def test_status_of_the_service(server: OdpsServer, session: TableDownloadSession) -> None:
    server.add_fault(
        Fault(Action.STATUS, kind=Kind.TABLE, status=403, code="ODPS-0130013", times=None)
    )
    client = server.client()
    for _ in range(3):
        with pytest.raises(errors.NoPermission):
            client.get_table("t").reload()
    assert server.faults_left() == 1
    server.clear_faults()
    client.get_table("t").reload()


def test_the_client_waits_a_second_after_throttling(
    server: OdpsServer, session: TableDownloadSession
) -> None:
    server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=429))
    assert read_arrow(session, 0, 10) == list(range(10))
    assert [request.status for request in server.requests(Kind.DATA)] == [429, 200]


def test_slow_first_byte(server: OdpsServer, session: TableDownloadSession) -> None:
    server.add_fault(Fault(Action.SLOW_FIRST_BYTE, kind=Kind.DATA, delay_s=30))
    with pytest.raises(requests.exceptions.ReadTimeout):
        ask_once(session, timeout_s=0.2)
    assert ask_once(session, timeout_s=20)


def test_slow_stream(server: OdpsServer, session: TableDownloadSession) -> None:
    size_bytes = len(ask_once(session, 0, 1000))
    server.add_fault(Fault(Action.SLOW_STREAM, kind=Kind.DATA, bytes_per_s=4 * size_bytes))
    started_s = time.monotonic()
    assert len(ask_once(session, 0, 1000)) == size_bytes
    assert time.monotonic() - started_s > 0.2  # never faster than it was told to be


def test_which_requests_a_fault_befalls(server: OdpsServer, session: TableDownloadSession) -> None:
    server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=404, row=15, skip=1))
    server.add_fault(Fault(Action.STATUS, path="/tables/other", status=404, times=None))
    answered = []
    for start in (0, 10, 20, 10, 0, 10):
        try:
            answered.append((start, bool(ask_once(session, start, 10))))
        except errors.ODPSError:
            answered.append((start, False))
    assert answered == [(0, True), (10, True), (20, True), (10, False), (0, True), (10, True)]


def test_faults_add_up(server: OdpsServer, session: TableDownloadSession) -> None:
    whole = ask_once(session)
    server.add_fault(Fault(Action.SLOW_FIRST_BYTE, kind=Kind.DATA, delay_s=0.01))
    server.add_fault(Fault(Action.CORRUPT, kind=Kind.DATA, at_byte=7))
    server.add_fault(Fault(Action.CORRUPT, kind=Kind.DATA, at_byte=-1))
    first, second = ask_once(session), ask_once(session)
    assert [index for index, byte in enumerate(whole) if byte != first[index]] == [7]
    assert [index for index, byte in enumerate(whole) if byte != second[index]] == [len(whole) - 1]
    assert ask_once(session) == whole
    assert server.requests(Kind.DATA)[1].faults == ["slow_first_byte", "corrupt"]
