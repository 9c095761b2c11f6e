"""Jobs whose data is a table of MaxCompute, on a server of the real protocol in its own process."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from elasticdl_command import RunElasticdl, RunningCommand, eventually, running
from elasticdl_like.master.reports import load_status
from odps_server import Action, Control, Fault, Kind

WORKER = Path(__file__).with_name("data_plane_worker.py")
NUM_EPOCHS = 2
NUM_ROWS = 3_000


def test_irises_in_a_table(
    run_elasticdl: RunElasticdl, model_zoo: Path, odps: Control, tmp_path: Path
) -> None:
    table = f"odps://{odps.project}/iris"
    script = model_zoo / "iris_odps" / "make_table.py"
    for _ in range(2):
        subprocess.run([sys.executable, script, table], check=True, timeout=60)
    assert odps.rows("iris", "part=train").num_rows == 120
    for at_byte in (0, 100, 400):
        odps.add_fault(Fault(Action.RESET, kind=Kind.DATA, at_byte=at_byte))
    finished = run_elasticdl(
        "train",
        *("--model_zoo", model_zoo, "--model_def", "iris_odps.iris_dnn.custom_model"),
        *("--training_data", f"{table}/part=train"),
        *("--validation_data", f"{table}/part=validation"),
        *("--num_epochs", 30, "--minibatch_size", 16, "--num_minibatches_per_task", 2),
        *("--job_dir", tmp_path / "job", "--output", tmp_path / "model"),
    )
    assert finished.exit_code == 0, finished.stderr
    status = load_status(tmp_path / "job")
    assert status["evaluations"][-1]["metrics"]["accuracy"] >= 0.8
    assert status["records"] == 30 * 120
    ledger = run_elasticdl("ledger", tmp_path / "job", "--verify")
    assert ledger.exit_code == 0, ledger.stdout
    assert odps.faults_left() == 0
    for secret in (odps.access_key, odps.access_id):
        assert secret not in finished.stdout + finished.stderr
        assert secret not in run_elasticdl("status", tmp_path / "job", "--json").stdout
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def add_rows(server: Control) -> None:
    server.add_table("t", {"id": "bigint", "text": "string"}, {"ds": "string"})
    for part in range(3):
        start = part * NUM_ROWS // 3
        rows = [(number, f"row {number}") for number in range(start, start + NUM_ROWS // 3)]
        server.append("t", rows, partition=f"ds={part}")


def add_faults(server: Control) -> None:
    """Lets the first requests for each partition fail, not too many in a row."""
    for number, fault in enumerate(
        (
            Fault(Action.RESET, kind=Kind.DATA, at_byte=300),
            Fault(Action.FIN, kind=Kind.DATA, at_byte=500),
            Fault(Action.CORRUPT, kind=Kind.DATA, at_byte=700),
            Fault(Action.STATUS, kind=Kind.DATA, status=503),
            Fault(Action.TRUNCATE, kind=Kind.DATA, at_byte=900),
            Fault(Action.STATUS, kind=Kind.DATA, status=429),
            Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.DATA),
            Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.DOWNLOAD_STATUS),
            Fault(Action.STATUS, kind=Kind.DOWNLOAD_STATUS, status=500),
        )
    ):
        server.add_fault(dataclasses.replace(fault, path=f"ds={number % 3}"))


def counted(log: Path) -> Counter[tuple[int, int]]:
    """Returns how often each (epoch, id) was acknowledged to a worker."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    return Counter(
        (line["epoch"], record_id)
        for line in lines
        if line["event"] == "counted"
        for record_id in line["ids"]
    )


@pytest.mark.parametrize("kills", [False, True])
def test_two_workers_while_faults_are_on(
    run_elasticdl: RunElasticdl, odps: Control, tmp_path: Path, kills: bool
) -> None:
    add_rows(odps)
    add_faults(odps)
    job = tmp_path / "job"
    with ExitStack() as stack:

        def start_worker(name: str, *hold: object) -> RunningCommand:
            command = [WORKER, job, tmp_path / f"{name}.jsonl", *hold]
            worker = stack.enter_context(running(command, tmp_path))
            eventually(lambda: worker_has("registered", name), 30, worker)
            return worker

        def worker_has(event: str, name: str) -> bool:
            log = tmp_path / f"{name}.jsonl"
            return log.exists() and f'"{event}"' in log.read_text()

        master = stack.enter_context(
            running(
                [
                    *("-m", "elasticdl_like", "master", "--training_data"),
                    *(f"odps://{odps.project}/t", "--num_epochs", NUM_EPOCHS),
                    *("--minibatch_size", 50, "--num_minibatches_per_task", 2),
                    *("--worker_timeout", 1, "--job_dir", job, "--job_name", "shared"),
                    *("--custom_data_reader_params", '{"columns": ["id", "text"]}'),
                ],
                tmp_path,
            )
        )
        eventually((job / "endpoint").exists, 30, master)
        # A worker that holds has sent nothing of what it was about to commit.
        held = ("before", 20) if kills else ()
        workers = [start_worker("one", *held), start_worker("two")]
        for worker in workers:
            worker.send_line()
        if kills:
            eventually(lambda: worker_has("holding", "one"), 60, workers[0])
            os.kill(workers[0].pid, signal.SIGKILL)
            workers[0] = start_worker("three")
            workers[0].send_line()
            odps.expire_sessions("t")
        for worker in workers:
            finished = worker.wait(90)
            assert finished.exit_code == 0, finished.stderr
        assert master.wait(60).exit_code == 0, master.stderr
    logs = sorted(tmp_path.glob("*.jsonl"))
    assert len(logs) == 2 + kills
    total = sum(map(counted, logs), Counter())
    assert total == Counter((epoch, row) for epoch in range(NUM_EPOCHS) for row in range(NUM_ROWS))
    ledger = run_elasticdl("ledger", job, "--verify")
    assert ledger.exit_code == 0, ledger.stdout
    assert odps.faults_left() == 0
    for path in job.rglob("*"):
        assert not path.is_file() or odps.access_key.encode() not in path.read_bytes()
