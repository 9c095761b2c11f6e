"""Starting, finding and ending the processes of workers, with real ones."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from elasticdl_command import eventually
from elasticdl_like.errors import JobDirectoryError, JobFailedError
from elasticdl_like.platforms.worker_process import (
    MakeCommand,
    WorkerProcess,
    find_left_process,
    start_process,
)
from elasticdl_like.platforms.worker_record import WorkerRecord, WorkerRecords, find_process

PythonWorker = Callable[[str], MakeCommand]
Start = Callable[[WorkerRecords, MakeCommand, Path], WorkerProcess]

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def records(tmp_path: Path) -> WorkerRecords:
    return WorkerRecords(tmp_path)


def the_record(records: WorkerRecords) -> WorkerRecord:
    record = records.load(0)
    assert record is not None
    return record


def found_pid(record: WorkerRecord) -> int | None:
    process = find_process(record)
    return None if process is None else process.pid


def test_records_are_kept(records: WorkerRecords) -> None:
    assert records.load(3) is None
    for record in (WorkerRecord("ab"), WorkerRecord("ab", 12, 34.5)):
        records.save(3, record)
        assert records.load(3) == record
        assert records.load(4) is None
    records.remove(3)
    records.remove(3)
    assert records.load(3) is None


@pytest.mark.parametrize(
    "damage", ["", "{", "[1]", "{}", '{"incarnation": ""}', '{"incarnation": "ab", "pid": "1"}']
)
def test_a_damaged_record_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "0.json").write_text(damage)
    with pytest.raises(JobDirectoryError, match=r"0\.json cannot be read .* no worker process"):
        WorkerRecords(tmp_path).load(0)


def test_a_started_process_is_recorded_and_found(
    start: Start, records: WorkerRecords, python_worker: PythonWorker, log_path: Path
) -> None:
    process = start(records, python_worker(SLEEP), log_path)
    record = the_record(records)
    assert record.pid == process.pid
    assert record.started == pytest.approx(psutil.Process(process.pid).create_time(), abs=0.1)
    assert os.getsid(process.pid) == process.pid
    assert found_pid(record) == process.pid
    assert process.running
    process.kill()
    # Nobody has waited for it yet, which leaves a zombie.
    eventually(lambda: found_pid(record) is None, 10)
    assert process.wait(10)
    assert process.exit_code == -signal.SIGKILL


def test_each_process_has_another_incarnation(
    start: Start, records: WorkerRecords, python_worker: PythonWorker, log_path: Path
) -> None:
    first = start(records, python_worker(""), log_path)
    first_incarnation = the_record(records).incarnation
    assert first.wait(10)
    start(records, python_worker(""), log_path)
    assert the_record(records).incarnation != first_incarnation


def test_the_record_is_there_before_the_process(
    start: Start, records: WorkerRecords, log_path: Path
) -> None:
    seen: list[WorkerRecord] = []

    def make_command(worker_id: int, incarnation: str) -> Sequence[str]:
        seen.append(the_record(records))
        assert seen[0].incarnation == incarnation
        return [sys.executable, "-c", ""]

    start(records, make_command, log_path)
    assert (seen[0].pid, seen[0].started) == (None, None)


def test_a_process_whose_number_was_not_noted_is_found_by_its_command_line(
    start: Start, records: WorkerRecords, python_worker: PythonWorker, log_path: Path
) -> None:
    # The child that it forks has the same command line.
    code = f"import os; os.fork(); {SLEEP}"
    process = start(records, python_worker(code), log_path)
    incarnation = the_record(records).incarnation
    eventually(lambda: psutil.Process(process.pid).children(), 10)
    assert found_pid(WorkerRecord(incarnation)) == process.pid
    assert found_pid(WorkerRecord("0" * 32)) is None


def test_a_process_with_a_number_that_was_used_before_is_another_one(
    start: Start, records: WorkerRecords, python_worker: PythonWorker, log_path: Path
) -> None:
    start(records, python_worker(SLEEP), log_path)
    record = the_record(records)
    assert record.started is not None
    assert record.pid is not None
    earlier = dataclasses.replace(record, incarnation="0" * 32, started=record.started - 60)
    assert found_pid(earlier) is None
    # The clock was set, which moves all start times; or the process has renamed itself.
    moved = dataclasses.replace(record, started=record.started - 60)
    # Its arguments show an instant after it has started.
    eventually(lambda: found_pid(moved) == record.pid, 20)
    assert found_pid(dataclasses.replace(record, incarnation="0" * 32)) == record.pid


def test_the_process_of_a_killed_master_is_taken_over(
    records: WorkerRecords, tmp_path: Path, log_path: Path
) -> None:
    master = f"""
import sys, time
from pathlib import Path
from elasticdl_like.platforms.worker_process import start_process
from elasticdl_like.platforms.worker_record import WorkerRecords

def make_command(worker_id, incarnation):
    return [sys.executable, "-c", {SLEEP!r}, incarnation]

start_process(WorkerRecords(Path({str(tmp_path)!r})), 0, make_command,
              Path({str(log_path)!r}))
time.sleep(600)
"""
    killed = subprocess.Popen([sys.executable, "-c", master])
    try:
        eventually(lambda: (found := records.load(0)) and found.pid, 20)
    finally:
        killed.kill()
        killed.wait()
    left = find_left_process(records, 0, log_path)
    assert left is not None
    assert left.pid == the_record(records).pid
    assert left.running
    assert left.end()
    assert not left.running
    assert left.exit_code is None
    assert find_left_process(records, 0, log_path) is None


def test_a_process_that_ignores_the_request_to_end_is_killed(
    start: Start, records: WorkerRecords, python_worker: PythonWorker, log_path: Path
) -> None:
    code = f"import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
    process = start(records, python_worker(code), log_path)
    eventually(lambda: "ready" in log_path.read_text(), 10)
    assert process.end()
    assert process.exit_code == -signal.SIGKILL


def test_a_stopped_process_is_ended(
    start: Start, records: WorkerRecords, python_worker: PythonWorker, log_path: Path
) -> None:
    process = start(records, python_worker(SLEEP), log_path)
    os.kill(process.pid, signal.SIGSTOP)
    assert process.end()
    assert not process.running


def run_to_end(
    start: Start, records: WorkerRecords, command: MakeCommand, log_path: Path
) -> WorkerProcess:
    process = start(records, command, log_path)
    assert process.wait(10)
    return process


def test_the_last_lines_are_those_of_the_process(
    start: Start, records: WorkerRecords, python_worker: PythonWorker, log_path: Path
) -> None:
    run_to_end(start, records, python_worker("print('first')"), log_path)
    many = run_to_end(start, records, python_worker("[print(i) for i in range(30)]"), log_path)
    none = run_to_end(start, records, python_worker(""), log_path)
    assert log_path.read_text().startswith("first\n0\n")
    assert many.last_lines() == "".join(f"\n    {number}" for number in range(10, 30))
    assert none.last_lines() == " (empty)"


def test_flags_for_other_commands_are_not_inherited(
    start: Start,
    records: WorkerRecords,
    python_worker: PythonWorker,
    log_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELASTICDL_MASTER_ADDR", "elsewhere:1")
    monkeypatch.setenv("MY_OWN", "kept")
    code = "import os; print(os.environ.get('ELASTICDL_MASTER_ADDR'), os.environ['MY_OWN'])"
    run_to_end(start, records, python_worker(code), log_path)
    assert log_path.read_text() == "None kept\n"


def test_a_command_that_cannot_be_started(records: WorkerRecords, log_path: Path) -> None:
    with pytest.raises(JobFailedError, match=r"worker 0 cannot be started: .*no-such-command"):
        start_process(records, 0, lambda *_: ["/no-such-command"], log_path)


def test_a_log_that_cannot_be_written(records: WorkerRecords, tmp_path: Path) -> None:
    with pytest.raises(JobDirectoryError, match="nowhere/log cannot be written: No such file"):
        start_process(records, 0, lambda *_: ["true"], tmp_path / "nowhere" / "log")
