"""Records that are written into a table of MaxCompute are there once, whatever goes wrong."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers.conversion.table_output import Stage, TableUpload, UploadRecord
from elasticdl_like.data_readers.odps import ODPSDataReader
from elasticdl_like.data_readers.odps.access import OdpsAccess
from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.data_readers.odps.output_columns import column_types_of
from elasticdl_like.data_readers.odps.uploads import UploadState
from elasticdl_like.data_readers.odps.writer import OdpsWriter
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task
from odps_server import Action, Fault, Kind, OdpsServer

COLUMNS = {"id": "bigint", "name": "string"}


@pytest.fixture
def server() -> Iterator[OdpsServer]:
    with OdpsServer() as server:
        yield server


def access_of(server: OdpsServer) -> OdpsAccess:
    return OdpsAccess(
        server.project,
        server.endpoint,
        server.tunnel_endpoint,
        server.access_id,
        server.access_key,
    )


def writer_of(server: OdpsServer, origin: str = "t", timeout_s: float = 20) -> OdpsWriter:
    return OdpsWriter(access_of(server), OdpsLocation.parse(origin), timeout_s)


def rows(start: int, end: int) -> dict[str, Any]:
    return {
        "id": np.arange(start, end),
        "name": np.array([b"row %d" % number for number in range(start, end)], object),
    }


def write(writer: OdpsWriter, session_id: str, number: int, start: int, end: int) -> None:
    with writer.open_block(session_id, number) as add:
        add(rows(start, (start + end) // 2))
        add(rows((start + end) // 2, end))


def ids(server: OdpsServer, partition: str = "") -> list[int]:
    return list(server.rows("t", partition).column("id").to_pylist())


def test_blocks_of_several_writers(server: OdpsServer) -> None:
    first = writer_of(server)
    first.open_table(COLUMNS)
    session_id = first.begin()
    second = writer_of(server)
    write(second, session_id, 1, 100, 150)
    write(first, session_id, 0, 0, 100)
    # A task that is tried again.
    write(second, session_id, 0, 0, 100)
    assert (first.state(session_id), first.blocks(session_id)) == (UploadState.OPEN, {0, 1})
    assert ids(server) == []
    first.commit(session_id, range(2))
    second.commit(session_id, range(2))
    assert ids(server) == list(range(150))
    assert server.rows("t").column("name").to_pylist()[149] == "row 149"
    assert first.state(session_id) is UploadState.COMMITTED


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Action.RESET_BEFORE_HEADERS),
        Fault(Action.STATUS, status=503, times=2),
        Fault(Action.STATUS, status=429, times=2),
        Fault(Action.STATUS, status=500),
    ],
    ids=lambda fault: f"{fault.action}-{fault.status}",
)
def test_faults_at_every_request(server: OdpsServer, fault: Fault) -> None:
    kinds = (
        Kind.TABLE,
        Kind.SUBMIT_SQL,
        Kind.CREATE_UPLOAD,
        Kind.UPLOAD_STATUS,
        Kind.UPLOAD_BLOCK,
        Kind.COMMIT,
    )
    for kind in kinds:
        server.add_fault(dataclasses.replace(fault, kind=kind))
    writer = writer_of(server)
    writer.open_table(COLUMNS)
    session_id = writer.begin()
    write(writer_of(server), session_id, 0, 0, 100)
    writer.commit(session_id, [0])
    assert ids(server) == list(range(100))
    assert server.faults_left() == 0


def test_a_commit_whose_reply_is_lost_is_not_done_twice(server: OdpsServer) -> None:
    server.add_table("t", COLUMNS, rows=[(-1, "there before")])
    writer = writer_of(server)
    session_id = writer.begin()
    write(writer, session_id, 0, 0, 10)
    server.add_fault(Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.COMMIT))
    writer.commit(session_id, [0])
    assert len(server.requests(Kind.COMMIT)) == 1
    assert ids(server) == [-1, *range(10)]


def test_what_was_there_before_is_removed_if_wanted(server: OdpsServer) -> None:
    server.add_table("t", COLUMNS, rows=[(-1, "there before")])
    writer = writer_of(server)
    session_id = writer.begin(overwrite=True)
    write(writer, session_id, 0, 0, 10)
    assert ids(server) == [-1]
    writer.commit(session_id, [0])
    assert ids(server) == list(range(10))


def test_blocks_that_break_off_and_are_sent_again(server: OdpsServer) -> None:
    server.add_table("t", COLUMNS)
    writer = writer_of(server)
    session_id = writer.begin()
    threads = [
        threading.Thread(
            target=write, args=(writer, session_id, block, block * 1000, block * 1000 + 1000)
        )
        for block in range(8)
    ]
    for skip in (0, 2, 5):
        server.add_fault(Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.UPLOAD_BLOCK, skip=skip))
        server.add_fault(Fault(Action.STATUS, status=500, kind=Kind.UPLOAD_BLOCK, skip=skip + 1))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.commit(session_id, range(8))
    assert ids(server) == list(range(8000))


def test_large_blocks_go_through_a_file(server: OdpsServer) -> None:
    server.add_table("t", {"x": "binary"})
    writer = writer_of(server)
    session_id = writer.begin()
    with writer.open_block(session_id, 0) as add:
        for number in range(40):
            add({"x": np.array([bytes([number]) * (1 << 20)], object)})
    writer.commit(session_id, [0])
    written = server.rows("t").column("x").to_pylist()
    assert [value[:1] for value in written] == [bytes([number]) for number in range(40)]
    assert {len(value) for value in written} == {1 << 20}


def test_a_missing_block_is_not_committed(server: OdpsServer) -> None:
    server.add_table("t", COLUMNS)
    writer = writer_of(server)
    session_id = writer.begin()
    write(writer, session_id, 3, 0, 10)
    with pytest.raises(DataError, match=r"\[4\] are missing, \[\] should not be there"):
        writer.commit(session_id, [3, 4])
    with pytest.raises(DataError, match=r"\[\] are missing, \[3\] should not be there"):
        writer.commit(session_id, [])
    assert ids(server) == []


def test_an_expired_session(server: OdpsServer) -> None:
    server.add_table("t", COLUMNS)
    writer = writer_of(server)
    session_id = writer.begin()
    server.expire_sessions("t")
    assert writer.state(session_id) is UploadState.EXPIRED
    with pytest.raises(DataError, match="the upload session is expired"):
        write(writer, session_id, 0, 0, 10)
    with pytest.raises(DataError, match="the upload session is expired"):
        writer.commit(session_id, [0])
    assert writer.state("no such session") is UploadState.UNKNOWN


def test_nothing_is_written_after_the_commit(server: OdpsServer) -> None:
    server.add_table("t", COLUMNS)
    writer = writer_of(server)
    session_id = writer.begin()
    write(writer, session_id, 0, 0, 10)
    writer.commit(session_id, [0])
    with pytest.raises(DataError, match="the upload session is closed"):
        write(writer, session_id, 1, 10, 20)
    assert ids(server) == list(range(10))


def test_partitions(server: OdpsServer) -> None:
    for hour in ("01", "02"):
        writer = writer_of(server, f"odps://{server.project}/t/ds=20260101/hh={hour}")
        writer.open_table(COLUMNS)
        session_id = writer.begin()
        write(writer, session_id, 0, int(hour), int(hour) + 10)
        writer.commit(session_id, [0])
    assert ids(server, "ds=20260101,hh=02") == list(range(2, 12))
    assert ids(server, "ds=20260101,hh=01") == list(range(1, 11))
    with pytest.raises(ConfigError, match=r"is partitioned by ds, hh; say which one"):
        writer_of(server, f"odps://{server.project}/t/ds=20260101").open_table(COLUMNS)
    with pytest.raises(ConfigError, match="is partitioned by ds, hh"):
        writer_of(server, f"odps://{server.project}/t/day=1").open_table(COLUMNS)


def test_what_does_not_fit_the_table(server: OdpsServer) -> None:
    server.add_table("t", COLUMNS)
    writer = writer_of(server)
    with pytest.raises(DataError, match=r"has the columns id, name, and the records have id, x"):
        writer.open_table({"id": "bigint", "x": "double"})
    session_id = writer.begin()
    for column, values in (
        ("id", np.array([1.5])),
        ("id", np.array([1 << 63], np.uint64)),
        ("id", np.array([b"1"], object)),
        ("id", np.zeros((1, 2))),
        ("name", np.array([b"\xff"], object)),
    ):
        batch = rows(0, 1) | {column: values}
        with (
            pytest.raises(DataError, match=f"column '{column}' is (bigint|string), and cannot"),
            writer.open_block(session_id, 0) as add,
        ):
            add(batch)
    assert writer.blocks(session_id) == set()


def test_a_missing_table_without_columns(server: OdpsServer) -> None:
    with pytest.raises(DataError, match=r"MaxCompute has no table test_project\.t"):
        writer_of(server).begin()


def test_wrong_credentials_are_not_shown(server: OdpsServer) -> None:
    wrong = OdpsAccess(
        server.project, server.endpoint, server.tunnel_endpoint, server.access_id, "secret-key"
    )
    with pytest.raises(ConfigError) as caught:
        OdpsWriter(wrong, OdpsLocation.parse("t")).open_table(COLUMNS)
    assert "secret-key" not in str(caught.value)
    assert server.access_id not in str(caught.value)


def test_values_that_the_reader_reads_are_written_as_they_were(server: OdpsServer) -> None:
    types = {
        "tiny": "tinyint",
        "small": "smallint",
        "normal": "int",
        "big": "bigint",
        "f": "float",
        "d": "double",
        "yes": "boolean",
        "s": "string",
        "b": "binary",
        "v": "varchar(10)",
        "at": "datetime",
        "stamp": "timestamp",
        "ntz": "timestamp_ntz",
        "day": "date",
        "money": "decimal(20,4)",
        "numbers": "array<double>",
        "texts": "array<string>",
        "by_name": "map<string,bigint>",
        "by_number": "map<bigint,string>",
        "pair": "struct<x:bigint,y:array<string>>",
    }
    columns = {
        "tiny": np.array([-128, 127], np.int8),
        "small": np.array([-(1 << 15), 7], np.int16),
        "normal": np.array([1, -5], np.int32),
        "big": np.array([1 << 62, -(1 << 63)]),
        "f": np.array([1.5, np.nan], np.float32),
        "d": np.array([0.1, np.inf]),
        "yes": np.array([True, False]),
        "s": np.array(["ä".encode(), b""], object),
        "b": np.array([b"\xff\x00", b""], object),
        "v": np.array([b"abc", b"d"], object),
        "at": np.array([1_700_000_000_123, -1_000]),
        "stamp": np.array([1_700_000_000_123_456_789, -1]),
        "ntz": np.array([1, 2]),
        "day": np.array([20_000, -400], np.int32),
        "money": np.array([12.25, -0.0001]),
        "numbers": np.array([b"[1.5,2.0]", b"[]"], object),
        "texts": np.array([b'["a","b"]', b"[]"], object),
        "by_name": np.array([b'{"a":1}', b"{}"], object),
        "by_number": np.array([b'{"7":"x"}', b"{}"], object),
        "pair": np.array([b'{"x":1,"y":["z"]}', b'{"x":2,"y":[]}'], object),
    }
    writer = writer_of(server, "all_types")
    writer.open_table(types)
    session_id = writer.begin()
    with writer.open_block(session_id, 0) as add:
        add(columns)
    writer.commit(session_id, [0])
    reader = ODPSDataReader(
        data_origin="all_types",
        project=server.project,
        endpoint=server.endpoint,
        tunnel_endpoint=server.tunnel_endpoint,
        access_id=server.access_id,
        access_key=server.access_key,
    )
    (name,) = reader.create_shards()
    (read,) = reader.read_record_batches(Task(name, 0, 2))
    assert list(read) == list(columns)
    for column, values in columns.items():
        assert read[column].dtype == values.dtype, column
        np.testing.assert_array_equal(read[column], values, column)


def test_nulls_and_arrays(server: OdpsServer) -> None:
    server.add_table("t", {"x": "array<float>", "s": "string", "n": "bigint", "m": "decimal(10,2)"})
    writer = writer_of(server)
    session_id = writer.begin()
    with writer.open_block(session_id, 0) as add:
        add(
            {
                "x": np.array([[1, 2], [3, 4]], np.float32),
                "S": np.array([None, "text"], object),
                "n": np.array([None, 3], object),
                "m": np.array([np.nan, 1.25]),
            }
        )
    writer.commit(session_id, [0])
    written = server.rows("t").to_pydict()
    assert written["x"] == [[1, 2], [3, 4]]
    assert written["s"] == [None, "text"]
    assert written["n"] == [None, 3]
    assert [str(value) for value in written["m"]] == ["None", "1.25"]


def test_types_of_new_tables() -> None:
    columns = {
        "a": np.zeros(2, np.int8),
        "b": np.zeros(2, np.uint16),
        "c": np.zeros((2, 3), np.float32),
        "d": np.array([b"text", None], object),
        "e": np.array([b"\xff", None], object),
        "f": np.array(["x", "y"]),
        "g": np.zeros(2, bool),
        "h": np.zeros(2),
    }
    assert list(column_types_of(columns).values()) == [
        *("tinyint", "int", "array<float>", "string", "binary", "string", "boolean", "double"),
    ]
    for column in (np.zeros((2, 2, 2)), np.array([[1], {}], object), np.zeros(2, complex)):
        with pytest.raises(DataError, match="column 'x' has values of type"):
            column_types_of({"x": column})


def test_whether_an_unknown_upload_was_committed(server: OdpsServer, tmp_path: Path) -> None:
    server.add_table("t", COLUMNS)
    path = tmp_path / "_upload.json"
    UploadRecord("long ago", Stage.COMMITTING).save(path)
    with pytest.raises(DataError, match=r"look whether test_project\.t has the records"):
        TableUpload(writer_of(server), path)
    # Of one that was not asked to commit nothing is in the table.
    UploadRecord("long ago", Stage.WRITING).save(path)
    upload = TableUpload(writer_of(server), path)
    assert upload.session_id not in ("", "long ago")
    assert UploadRecord.load(path) == UploadRecord(upload.session_id, Stage.WRITING)
    # Done, but killed before that was written down.
    with writer_of(server).open_block(upload.session_id, 0) as add:
        add(rows(0, 10))
    writer_of(server).commit(upload.session_id, [0])
    assert TableUpload(writer_of(server), path).is_done
    assert UploadRecord.load(path) == UploadRecord(upload.session_id, Stage.COMMITTED)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"_upload\.json cannot be read"):
        TableUpload(writer_of(server), path)
