"""`elasticdl data convert … odps://…`: the records are in the table once, whatever happens."""

from __future__ import annotations

import csv
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from elasticdl_command import RunElasticdl, eventually, running
from elasticdl_like.data_readers import RecordIOWriter
from odps_server import Action, Control, Fault, Kind


def write_records(path: Path, count: int) -> list[bytes]:
    rng = random.Random(0)
    records = [b"%d " % number + rng.randbytes(rng.randrange(100)) for number in range(count)]
    with RecordIOWriter(path) as writer:
        for record in records:
            writer.write(record)
    return records


def records_of(server: Control, table: str) -> list[Any]:
    return list(server.rows(table).column("record").to_pylist())


def test_columns_become_a_table(run_elasticdl: RunElasticdl, odps: Control, tmp_path: Path) -> None:
    rows = [(number, f"text {number}", number / 7) for number in range(1000)]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "name", "score"))
        writer.writerows(rows)
    destination = f"odps://{odps.project}/scores/ds=20260101"
    words = ("data", "convert", "a.csv", destination, "--records_per_file", 300)
    for server_fault in (
        Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.UPLOAD_BLOCK),
        Fault(Action.STATUS, status=503, kind=Kind.CREATE_UPLOAD),
        Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.COMMIT),
    ):
        odps.add_fault(server_fault)
    finished = run_elasticdl(*words)
    assert finished.exit_code == 0, finished.stderr
    assert f"1,000 records in 4 blocks in {destination}" in finished.stdout
    expected = {"id": [row[0] for row in rows], "name": [row[1] for row in rows]}
    expected["score"] = [row[2] for row in rows]
    assert odps.rows("scores", "ds=20260101").to_pydict() == expected
    assert odps.faults_left() == 0
    schema = odps.client().get_table("scores").table_schema
    assert [str(column.type).lower() for column in schema] == [
        "bigint",
        "string",
        "double",
        "string",
    ]
    # Once more is not twice.
    again = run_elasticdl(*words)
    assert again.exit_code == 0, again.stderr
    assert "4 of 4 blocks there already, and committed" in again.stdout
    assert odps.rows("scores", "ds=20260101").num_rows == 1000
    # The way back.
    back = run_elasticdl("data", "convert", destination, "back", "--to", "parquet")
    assert back.exit_code == 0, back.stderr
    import pyarrow.parquet as pq

    read = pq.read_table(tmp_path / "back").to_pydict()
    assert read == expected | {"name": [name.encode() for name in expected["name"]]}
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert odps.access_key.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_time_it_goes_on(
    run_elasticdl: RunElasticdl, odps: Control, tmp_path: Path, seed: int
) -> None:
    records = write_records(tmp_path / "a.recordio", 60_000)
    words = (
        "data",
        "convert",
        "a.recordio",
        f"odps://{odps.project}/t",
        "--num_workers",
        "2",
    )
    words = (*words, "--records_per_file", "1000")
    rng = random.Random(seed)
    for skip in range(0, 100, 9):
        action = rng.choice([Action.RESET_BEFORE_HEADERS, Action.STATUS])
        odps.add_fault(Fault(action, kind=Kind.UPLOAD_BLOCK, skip=skip, status=500))
    for kill_at in sorted(rng.sample(range(1, 50), 3)):
        with running(["-m", "elasticdl_like", *words], tmp_path) as command:
            eventually(
                lambda: len(odps.requests(Kind.UPLOAD_BLOCK)) >= kill_at,  # noqa: B023
                60,
                command,
            )
            # The first process, or one of those that write.
            # Its variables are not to be seen yet in the moment that it starts.
            victims = eventually(command.processes, 60)
            if rng.random() >= 0.5:
                victims = {command.pid}
            os.kill(max(victims), signal.SIGKILL)
            eventually(lambda: not command.processes(), 60)
        assert odps.rows("t").num_rows == 0
    finished = run_elasticdl(*words)
    assert finished.exit_code == 0, finished.stderr
    assert "of 60 blocks there already\n" in finished.stdout
    assert records_of(odps, "t") == records


def test_killed_in_the_commit(run_elasticdl: RunElasticdl, odps: Control, tmp_path: Path) -> None:
    records = write_records(tmp_path / "a.recordio", 1000)
    words = (
        "data",
        "convert",
        "a.recordio",
        f"odps://{odps.project}/t",
        "--num_workers",
        "1",
    )
    odps.add_fault(Fault(Action.SLOW_FIRST_BYTE, kind=Kind.COMMIT, delay_s=60))
    with running(["-m", "elasticdl_like", *words], tmp_path) as command:
        eventually(lambda: odps.rows("t").num_rows if tables(odps) else 0, 60, command)
        os.kill(command.pid, signal.SIGKILL)
        eventually(lambda: not command.processes(), 60)
    finished = run_elasticdl(*words)
    assert finished.exit_code == 0, finished.stderr
    assert "1 of 1 block there already, and committed" in finished.stdout
    assert records_of(odps, "t") == records


def tables(server: Control) -> list[str]:
    return [table.name for table in server.client().list_tables()]


def test_an_expired_upload_begins_again(
    run_elasticdl: RunElasticdl, odps: Control, tmp_path: Path
) -> None:
    records = write_records(tmp_path / "a.recordio", 3000)
    words = (
        "data",
        "convert",
        "a.recordio",
        f"odps://{odps.project}/t",
        "--num_workers",
        "1",
    )
    words = (*words, "--records_per_file", "1000", "--work_dir", "work")
    odps.add_fault(Fault(Action.STATUS, status=403, kind=Kind.UPLOAD_BLOCK, skip=2))
    failed = run_elasticdl(*words)
    assert failed.exit_code == 1
    assert "block 2 of test_project.t" in failed.stderr
    assert "check the credentials" in failed.stderr
    assert odps.expire_sessions("t") == 1
    finished = run_elasticdl(*words)
    assert finished.exit_code == 0, finished.stderr
    assert "there already" not in finished.stdout
    assert records_of(odps, "t") == records
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [
        "_convert.json",
        "_upload.json",
    ]


def test_what_cannot_be_converted(
    run_elasticdl: RunElasticdl, odps: Control, tmp_path: Path
) -> None:
    write_records(tmp_path / "a.recordio", 10)
    odps.add_table("other", {"x": "bigint"})
    for destination, flags, words in (
        ("t", ("--to", "parquet"), "--to parquet: odps://test_project/t is a table, not files"),
        ("other", (), "has the columns x, and the records have record"),
        ("", (), "names no table of MaxCompute"),
    ):
        finished = run_elasticdl(
            "data", "convert", "a.recordio", f"odps://{odps.project}/{destination}", *flags
        )
        assert finished.exit_code == 1
        assert words in finished.stderr
    finished = run_elasticdl("data", "convert", "a.recordio", "out", "--work_dir", "work")
    assert "--work_dir work is for tables" in finished.stderr


def test_a_service_that_stays_busy(
    run_elasticdl: RunElasticdl, odps: Control, tmp_path: Path
) -> None:
    records = write_records(tmp_path / "a.recordio", 100)
    words = ("data", "convert", "a.recordio", f"odps://{odps.project}/t")
    odps.add_fault(Fault(Action.STATUS, status=429, kind=Kind.UPLOAD_BLOCK, times=None))
    finished = run_elasticdl(*words, "--odps_retry_timeout", 1)
    assert finished.exit_code == 1
    assert "FlowExceeded" in finished.stderr
    assert "--odps_retry_timeout is 1 s" in finished.stderr
    odps.clear_faults()
    finished = run_elasticdl(*words, "--odps_retry_timeout", 60)
    assert finished.exit_code == 0, finished.stderr
    assert records_of(odps, "t") == records
