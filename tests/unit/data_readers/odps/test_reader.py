"""The reader for MaxCompute against the real client and a server of the tests."""

from __future__ import annotations

import datetime
import decimal
import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from elasticdl_like.config import DataConfig
from elasticdl_like.data_readers.odps import ODPSDataReader
from elasticdl_like.data_readers.places import task_of
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import ConfigError, DataError, ElasticdlError
from elasticdl_like.tasks import Task
from elasticdl_like.worker.columns import record_spec, to_arrays
from odps_reading import (
    COLUMNS,
    access_to,
    assert_rows,
    be_quick,
    make_odps_reader,
    make_rows,
    read_all,
    read_ids,
)
from odps_server import Account, Action, Fault, Kind, OdpsServer

UTC = datetime.UTC
TYPES = {
    "tiny": "tinyint",
    "small": "smallint",
    "int": "int",
    "big": "bigint",
    "single": "float",
    "double": "double",
    "flag": "boolean",
    "text": "string",
    "short_text": "varchar(10)",
    "raw": "binary",
    "at": "datetime",
    "instant": "timestamp",
    "day": "date",
    "price": "decimal(10,2)",
    "numbers": "array<bigint>",
    "pair": "array<float>",
    "by_name": "map<string,array<bigint>>",
    "point": "struct<x:double,name:string>",
}
MOMENT = datetime.datetime(1925, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
VALUES: list[Any] = [
    *(-128, -32768, -(2**31), -(2**63), 0.5, 1 / 3, True, "é", "ab", b"\xff\x00", MOMENT, MOMENT),
    *(datetime.date(1969, 12, 31), decimal.Decimal("12.34"), [1, None, 3], [0.5, 1.5]),
    *({"a": [1]}, {"x": 0.5, "name": "n"}),
]
# The types that pyodps makes records of without pandas.
RECORD_TYPES = [name for name in TYPES if name != "instant"]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MOMENT_MS = (MOMENT - EPOCH) // datetime.timedelta(milliseconds=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OdpsServer]:
    be_quick(monkeypatch)
    with OdpsServer() as server:
        server.add_table("t", COLUMNS, rows=make_rows(700))
        server.add_table("types", TYPES, rows=[VALUES, [None] * len(TYPES)])
        server.add_table("p", COLUMNS, {"ds": "string", "hh": "bigint"})
        for hour in range(4):
            partition = f"ds=2026010{1 + hour // 2},hh={hour}"
            server.append("p", make_rows(10 + hour, 100 * hour), partition=partition)
        yield server


def names_of(reader: ODPSDataReader) -> list[str]:
    return [shard.name for shard in list_shards(reader)]


def test_a_table_is_one_shard_of_exactly_its_records(server: OdpsServer) -> None:
    (shard,) = list_shards(make_odps_reader(server))
    assert (shard.name, shard.first, shard.count) == ("test_project.t", 0, 700)
    (request,) = server.requests(Kind.CREATE_DOWNLOAD)
    assert json.loads(shard.locator)[0]
    assert request.status == 200
    assert not server.requests(Kind.DATA)


def test_partitions_are_shards_and_a_prefix_stands_for_several(server: OdpsServer) -> None:
    everything = [f"test_project.p/ds=2026010{1 + hour // 2}/hh={hour}" for hour in range(4)]
    assert names_of(make_odps_reader(server, "p")) == everything
    assert names_of(make_odps_reader(server, "p", partition="ds=20260102")) == everything[2:]
    assert names_of(make_odps_reader(server, "p/ds=20260102/hh=3")) == everything[3:]
    several = ["ds=20260101,hh=0", "ds=20260102,hh=2"]
    assert names_of(make_odps_reader(server, "p", partition=several)) == everything[::2]


def test_the_log_says_that_all_partitions_are_read(
    server: OdpsServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        list_shards(make_odps_reader(server, "p"))
    assert "no partition is named, so all of its 4 partitions with 46 records" in caplog.text


def test_columns_come_in_the_order_asked_for_and_partition_columns_are_added(
    server: OdpsServer,
) -> None:
    reader = make_odps_reader(
        server, "p", partition="ds=20260102,hh=2", columns=["hh", "name", "ds", "id"]
    )
    (shard,) = list_shards(reader)
    (batch,) = read_task(reader, task_of(shard, 0, 12))
    assert isinstance(batch, dict)
    assert list(batch) == ["hh", "name", "ds", "id"]
    assert batch["hh"].tolist() == [2] * 12
    assert batch["ds"].tolist() == [b"20260102"] * 12
    assert batch["id"].tolist() == list(range(200, 212))
    assert server.requests(Kind.DATA)[0].query["columns"] == "id,name"


@pytest.mark.parametrize("mode", ["arrow", "record"])
def test_each_type_has_its_array(server: OdpsServer, mode: str) -> None:
    reader = make_odps_reader(
        server,
        "types",
        mode=mode,
        columns=list(TYPES) if mode == "arrow" else RECORD_TYPES,
        array_sizes={"pair": 2},
        null_masks=["big", "text", "pair"],
        defaults={"day": 7, "text": "none"}
        | dict.fromkeys(["tiny", "small", "int", "flag", "at"], 0)
        | dict.fromkeys(["short_text", "raw", "numbers", "by_name", "point"], "")
        | {"flag": False}
        | ({"instant": 0} if mode == "arrow" else {}),
    )
    found = read_all(reader)
    assert {name: values.dtype for name, values in found.items()} == {
        name: dtype.base for name, dtype in reader.output_signature.items()
    }
    first = {name: values[0] for name, values in found.items()}
    assert first.pop("pair").tolist() == [0.5, 1.5]
    if mode == "arrow":
        assert first.pop("instant") == MOMENT_MS * 1_000_000
    assert first == {
        "tiny": -128,
        "small": -32768,
        "int": -(2**31),
        "big": -(2**63),
        "big_is_null": False,
        "single": 0.5,
        "double": 1 / 3,
        "flag": True,
        "text": "é".encode(),
        "text_is_null": False,
        "short_text": b"ab",
        "raw": b"\xff\x00",
        "at": MOMENT_MS,
        "day": -1,
        "price": 12.34,
        "numbers": b"[1,null,3]",
        "pair_is_null": False,
        "by_name": b'{"a":[1]}',
        "point": b'{"x":0.5,"name":"n"}',
    }
    assert np.isnan([found[name][1] for name in ("single", "double", "price")]).all()
    assert found["day"][1] == 7
    assert (found["text"][1], found["text_is_null"][1]) == (b"none", True)
    assert (found["big"][1], found["big_is_null"][1]) == (0, True)
    assert (found["pair"][1].tolist(), found["pair_is_null"][1]) == ([0.0, 0.0], True)


def test_tensorflow_takes_the_arrays(server: OdpsServer) -> None:
    reader = make_odps_reader(
        server, "types", columns=["raw", "pair", "day"], array_sizes={"pair": 2},
        null_masks=["raw", "pair", "day"],
    )  # fmt: skip
    spec = record_spec(reader)
    arrays = to_arrays(read_all(reader), spec, "ODPSDataReader")
    assert arrays["pair"].shape == (2, 2)
    assert reader.metadata.column_names == tuple(spec)


def test_single_records_are_tuples_in_column_order(server: OdpsServer) -> None:
    reader = make_odps_reader(server, columns=["name", "id"])
    assert list(reader.read_records(Task("test_project.t", 1, 3))) == [
        ("é1".encode(), 1),
        ("éé2".encode(), 2),
    ]


def test_small_tasks_share_requests(server: OdpsServer) -> None:
    reader = make_odps_reader(server)
    (shard,) = list_shards(reader)
    worker = make_odps_reader(server)
    ids = [
        number
        for start in range(0, 700, 7)
        for number in read_ids(worker, task_of(shard, start, start + 7))
    ]
    assert ids == list(range(700))
    requested = sorted(each.rows for each in server.requests(Kind.DATA) if each.rows)
    assert requested == [(0, 256), (256, 512), (512, 700)]
    assert len(server.requests(Kind.CREATE_DOWNLOAD)) == 1


def test_groups_are_what_the_threads_fetch_at_once(server: OdpsServer) -> None:
    (shard,) = list_shards(make_odps_reader(server, num_threads=2))
    assert list(shard.splits) == [512]
    (shard,) = list_shards(make_odps_reader(server, num_processes=1))
    assert list(shard.splits) == [256, 512]


def test_the_version_is_the_same_until_the_table_changes(server: OdpsServer) -> None:
    first, again = (list_shards(make_odps_reader(server))[0] for _ in range(2))
    assert first.version == again.version
    assert first.locator != again.locator
    server.append("t", make_rows(1, 700))
    (changed,) = list_shards(make_odps_reader(server))
    assert changed.version != first.version


@pytest.mark.parametrize(
    ("table", "parameters", "message"),
    [
        ("tt", {}, "has no table test_project.tt; there is t"),
        ("p", {"partition": "ds=20260103"}, "no partition ds=20260103; there is ds=2026010"),
        ("p", {"partition": "dd=1"}, "p is partitioned by ds, hh"),
        ("t", {"partition": "ds=1"}, "t has no partitions; leave it out"),
        ("t", {"columns": ["id", "nme"]}, "names 'nme', which is no column .*; there is name"),
        ("p", {"columns": ["ds"]}, "name one of its other columns too"),
        ("t", {"columns": "id"}, "it is a list of different column names"),
        ("t", {"defaults": {"idd": 1}}, "defaults names 'idd'"),
        ("t", {"array_sizes": {"id": 2}}, "array_sizes has column 'id', but that is bigint"),
        ("t", {"mode": "csv"}, "it is 'arrow' or 'record'"),
        ("t", {"num_threads": 0}, "it is a whole number above 0"),
        ("t", {"retry_timeout": "long"}, "it is a number above 0"),
        ("types", {"mode": "record"}, "needs pandas for columns of timestamps"),
        ("t", {"access_key": "a-wrong-key"}, "SignatureNotMatch.*check the credentials"),
        ("t", {"access_id": "a-wrong-id"}, "check the credentials"),
        ("t", {"endpoint": "loopback/api"}, "check endpoint"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(
    server: OdpsServer, table: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=message) as raised:
        list_shards(make_odps_reader(server, table, **parameters))
    assert "\n" not in str(raised.value)
    assert "a-wrong" not in str(raised.value)


def test_a_parameter_that_names_another_table_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the reader parameter table is 'p'"):
        ODPSDataReader(data_origin="odps://project/t", table="p")


def test_a_null_without_a_default_is_an_error_with_its_column(server: OdpsServer) -> None:
    with pytest.raises(DataError, match=r"test_project\.types: 1 of 2 values of column 'big'"):
        read_all(make_odps_reader(server, "types", columns=["big"]))


def test_arrays_of_another_size_are_an_error(server: OdpsServer) -> None:
    reader = make_odps_reader(
        server, "types", columns=["pair"], array_sizes={"pair": 3}, null_masks=["pair"]
    )
    with pytest.raises(DataError, match="column 'pair' has an array that is not of 3 numbers"):
        read_all(reader)


def test_a_table_without_records_is_an_error(server: OdpsServer) -> None:
    server.add_table("empty", COLUMNS)
    with pytest.raises(DataError, match=r"test_project\.empty: no record to read in it"):
        list_shards(make_odps_reader(server, "empty"))


def test_the_registry_and_elasticdls_parameters_lead_to_it(server: OdpsServer) -> None:
    access = access_to(server) | {"columns": ["id"], "num_processes": 2}
    for origin, more in (
        (f"odps://{server.project}/t", {}),
        (f"{server.project}.t", {"reader_type": "ODPS"}),
        ("t", {"reader_type": "odps"}),
        ("", {"reader_type": "ODPS", "table": "t"}),
    ):
        reader = make_reader(origin, DataConfig(origin, reader_params=access | more), None, 512)
        assert isinstance(reader, ODPSDataReader)
        assert_rows(read_all(reader), server.rows("t").select(["id"]))


def test_credentials_come_from_the_environment(
    server: OdpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PROJECT": server.project,
        "AK": server.access_id,
        "SK": server.access_key,
        "ENDPOINT": server.endpoint,
    }.items():
        monkeypatch.setenv(f"MAXCOMPUTE_{name}", value)
    # The tunnel's address is asked for.
    assert len(read_all(ODPSDataReader(data_origin="t"))["id"]) == 700


def test_temporary_credentials_are_not_logged_either(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account("an-id-of-an-hour", "a-key-of-an-hour", "a-token-of-an-hour")
    with OdpsServer(accounts=[account]) as server, caplog.at_level(logging.DEBUG):
        server.add_table("t", COLUMNS, rows=make_rows(3))
        reader = make_odps_reader(server, security_token=account.security_token)
        assert len(read_all(reader)["id"]) == 3
        server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=403))
        with pytest.raises(ElasticdlError) as raised:
            list(make_odps_reader(server, security_token=account.security_token).read_records(
                Task("test_project.t", 0, 1)
            ))  # fmt: skip
    for text in (caplog.text, str(raised.value)):
        for secret in (account.access_id, account.access_key, account.security_token):
            assert secret not in text


def test_options_of_pyodps_stay_as_they_were(server: OdpsServer) -> None:
    from odps import options

    before = (options.retry_times, options.local_timezone, options.tunnel.require_stream_footer)
    read_all(make_odps_reader(server))
    assert before == (
        options.retry_times,
        options.local_timezone,
        options.tunnel.require_stream_footer,
    )
    assert options.account is None
