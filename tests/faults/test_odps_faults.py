"""What goes wrong between the reader for MaxCompute and the service: right rows, or an error."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from elasticdl_command import RunElasticdl
from elasticdl_like.data_readers.odps import ODPSDataReader
from elasticdl_like.data_readers.places import task_of
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.errors import ConfigError, DataChangedError, DataError
from elasticdl_like.tasks import Shard
from odps_reading import (
    COLUMNS,
    access_to,
    assert_rows,
    be_quick,
    make_odps_reader,
    make_rows,
    read_all,
    read_ids,
    read_shard,
)
from odps_server import Action, Fault, Framing, Kind, OdpsServer

ROWS = 700
POSITIONS = 24


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OdpsServer]:
    be_quick(monkeypatch)
    with OdpsServer(batch_rows=50) as server:
        server.add_table("t", COLUMNS, rows=make_rows(ROWS))
        yield server


def listed(reader: ODPSDataReader) -> Shard:
    (shard,) = list_shards(reader)
    return shard


def body_bytes(server: OdpsServer, mode: str) -> int:
    """Returns the size of the first body that a reader gets."""
    server.clear_requests()
    read_all(make_odps_reader(server, mode=mode))
    first = next(each for each in server.requests(Kind.DATA) if each.rows and not each.rows[0])
    return first.bytes_sent


@pytest.mark.parametrize("mode", ["arrow", "record"])
@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize("action", [Action.RESET, Action.FIN, Action.TRUNCATE, Action.CORRUPT])
def test_bodies_that_break_or_are_damaged_anywhere_are_fetched_to_their_end(
    server: OdpsServer, action: Action, framing: Framing, mode: str
) -> None:
    server.set_framing(framing)
    truth = server.rows("t")
    size = body_bytes(server, mode)
    chosen = random.Random(f"{action} {framing} {mode}").sample(range(size), POSITIONS)
    for at_byte in (0, 1, 3, 4, 5, size - 1, size - 4, size - 5, *chosen):
        server.add_fault(Fault(action, kind=Kind.DATA, row=0, at_byte=at_byte))
        assert_rows(read_all(make_odps_reader(server, mode=mode)), truth)
    assert server.faults_left() == 0


@pytest.mark.parametrize("mode", ["arrow", "record"])
def test_a_stream_that_breaks_again_and_again_is_gone_on_with_where_it_was(
    server: OdpsServer, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What has come of a stream can be used in pieces of 64 KiB.
    monkeypatch.setattr("elasticdl_like.data_readers.odps.reader._MOST_ROWS_PER_REQUEST", 1 << 14)
    rows = 20_000
    server.add_table("large", COLUMNS, rows=make_rows(rows))
    # Not a reset, with which the system throws away what the client has not read yet.
    server.add_fault(Fault(Action.TRUNCATE, kind=Kind.DATA, times=6, at_byte=150_000))
    assert_rows(read_all(make_odps_reader(server, "large", mode=mode)), server.rows("large"))
    ranges = [each.rows for each in server.requests(Kind.DATA) if each.rows]
    of_first_run = [each for each in ranges if each[0] < 1 << 14]
    starts = [start for start, _ in of_first_run]
    assert starts == sorted(starts)
    assert len(set(starts)) > 2
    assert {end for _, end in of_first_run} == {1 << 14}


@pytest.mark.parametrize("kind", [Kind.TABLE, Kind.CREATE_DOWNLOAD, Kind.DATA])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_or_failing_service_is_asked_again(
    server: OdpsServer, kind: Kind, status: int
) -> None:
    server.add_fault(Fault(Action.STATUS, kind=kind, status=status, times=3))
    reader = make_odps_reader(server)
    assert_rows(read_all(reader), server.rows("t"))
    assert server.faults_left() == 0
    assert reader.time_spent.totals()["retrying"] > 0


@pytest.mark.parametrize("kind", [Kind.TABLE, Kind.CREATE_DOWNLOAD, Kind.DATA])
def test_lost_replies_are_asked_for_again(server: OdpsServer, kind: Kind) -> None:
    server.add_fault(Fault(Action.RESET_BEFORE_HEADERS, kind=kind, times=2))
    assert_rows(read_all(make_odps_reader(server)), server.rows("t"))
    assert server.faults_left() == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Action.STATUS, kind=Kind.DATA, status=429, times=None),
        Fault(Action.STATUS, kind=Kind.DATA, status=503, times=None),
        Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.DATA, times=None),
        Fault(Action.RESET, kind=Kind.DATA, times=None, at_byte=10),
        Fault(Action.FIN, kind=Kind.DATA, times=None, at_byte=10),
        Fault(Action.CORRUPT, kind=Kind.DATA, times=None, at_byte=100),
        Fault(Action.FIN, kind=Kind.DATA, times=None, at_byte=0),
    ],
    ids=lambda fault: f"{fault.action}-{fault.status}-{fault.at_byte}",
)
@pytest.mark.parametrize("mode", ["arrow", "record"])
def test_what_does_not_pass_is_an_error_with_table_and_range(
    server: OdpsServer, fault: Fault, mode: str
) -> None:
    reader = make_odps_reader(server, mode=mode, retry_timeout=0.3)
    shard = listed(reader)
    server.add_fault(fault)
    with pytest.raises(DataError, match=r"records \[0, 256\) of test_project\.t") as raised:
        read_shard(reader, shard)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_fails_at_once(server: OdpsServer, status: int) -> None:
    reader = make_odps_reader(server)
    shard = listed(reader)
    server.clear_requests()
    server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=status, row=0, times=None))
    with pytest.raises(ConfigError, match="check the credentials and their permissions"):
        read_shard(reader, shard)
    assert len([each for each in server.requests(Kind.DATA) if each.rows == (0, 256)]) == 1


def test_a_slow_service_is_waited_for(server: OdpsServer) -> None:
    server.add_fault(Fault(Action.SLOW_FIRST_BYTE, kind=Kind.DATA, row=0, delay_s=0.3))
    server.add_fault(Fault(Action.SLOW_STREAM, kind=Kind.DATA, row=300, bytes_per_s=50_000))
    assert_rows(read_all(make_odps_reader(server)), server.rows("t"))


def test_a_silent_service_is_asked_again(server: OdpsServer) -> None:
    server.add_fault(Fault(Action.SLOW_FIRST_BYTE, kind=Kind.DATA, row=0, delay_s=3))
    server.clear_requests()
    # A request may be silent for no longer than it may fail.
    reader = make_odps_reader(server, retry_timeout=1)
    shard = listed(reader)
    assert_rows(read_shard(reader, shard), server.rows("t"))
    first = [each for each in server.requests(Kind.DATA) if each.rows == (0, 256)]
    assert len(first) == 2


def test_an_expired_session_is_renewed_in_each_process(server: OdpsServer) -> None:
    # With one thread nothing is fetched ahead.
    master = make_odps_reader(server, num_threads=1)
    workers = [make_odps_reader(server, num_threads=1) for _ in range(2)]
    shard = listed(master)
    first = task_of(shard, 0, 10)
    assert read_ids(workers[0], first) == list(range(10))
    server.expire_sessions("t")
    for worker in workers:
        assert_rows(read_shard(worker, shard), server.rows("t"))
    assert len(server.requests(Kind.CREATE_DOWNLOAD)) == 3
    (again,) = list_shards(make_odps_reader(server))
    assert again.version == shard.version


def test_an_expired_session_is_renewed_once_by_many_threads(server: OdpsServer) -> None:
    reader = make_odps_reader(server)
    shard = listed(reader)
    server.expire_sessions("t")
    tasks = [task_of(shard, start, start + 100) for start in range(0, ROWS, 100)]
    with ThreadPoolExecutor(len(tasks)) as threads:
        found = threads.map(lambda task: read_ids(reader, task), tasks)
    assert list(itertools.chain.from_iterable(found)) == list(range(ROWS))
    assert len(server.requests(Kind.CREATE_DOWNLOAD)) == 2


@pytest.mark.parametrize("is_attached", [True, False])
@pytest.mark.parametrize("change", ["more", "other", "gone"])
def test_an_expired_session_of_a_table_that_changed_is_an_error(
    server: OdpsServer, change: str, is_attached: bool
) -> None:
    worker = make_odps_reader(server, num_threads=1)
    shard = listed(make_odps_reader(server, num_threads=1))
    if is_attached:
        list(read_task(worker, task_of(shard, 0, 1)))
    server.expire_sessions("t")
    if change == "gone":
        server.drop_table("t")
    else:
        # The service tells the time of the last change in whole seconds.
        later = shard.version.replace("modified_s=", "modified_s=1")
        shard = Shard(shard.name, 0, shard.count, later, shard.locator)
        server.replace("t", make_rows(ROWS + (change == "more"), first=7))
    with pytest.raises(DataError) as raised:
        list(read_task(worker, task_of(shard, 300, 301)))
    assert isinstance(raised.value, DataChangedError) is (change != "gone")


@pytest.mark.parametrize("mode", ["arrow", "record"])
def test_a_table_that_changes_under_a_session_is_an_error(server: OdpsServer, mode: str) -> None:
    reader = make_odps_reader(server, mode=mode, num_threads=1)
    shard = listed(reader)
    assert read_ids(reader, task_of(shard, 0, 1)) == [0]
    server.append("t", make_rows(1, first=ROWS))
    with pytest.raises(DataChangedError, match="the table has changed since the job began"):
        list(read_task(reader, task_of(shard, 300, 301)))


def test_threads_read_right_rows_while_everything_goes_wrong_now_and_then(
    server: OdpsServer,
) -> None:
    choose = random.Random(1)
    for number in range(60):
        server.add_fault(
            Fault(
                choose.choice(
                    [
                        Action.RESET,
                        Action.FIN,
                        Action.TRUNCATE,
                        Action.CORRUPT,
                        Action.STATUS,
                        Action.RESET_BEFORE_HEADERS,
                    ]
                ),
                kind=Kind.DATA,
                skip=number * 2,
                at_byte=choose.randrange(12_000),
                status=choose.choice([429, 500, 503]),
            )
        )
    for _ in range(10):
        assert_rows(read_all(make_odps_reader(server, num_threads=3)), server.rows("t"))


def test_a_process_that_has_given_up_ends_at_once(
    server: OdpsServer, run_elasticdl: RunElasticdl, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in access_to(server).items():
        monkeypatch.setenv(f"PARAMETER_{name.upper()}", value)
    # One range cannot be read, the others are tried again for minutes.
    server.add_table("large", COLUMNS, rows=make_rows(40_000))
    server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=403, row=0))
    server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=503, row=39_999, times=None))
    finished = run_elasticdl(
        *("data", "head", f"odps://{server.project}/large", "-n", 40_000),
        "--custom_data_reader_params",
        "; ".join(f"{name}=env:PARAMETER_{name.upper()}" for name in access_to(server)),
        timeout=60,
    )
    assert finished.exit_code == 1
    assert "check the credentials and their permissions" in finished.stderr
