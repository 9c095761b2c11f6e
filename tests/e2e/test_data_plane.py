"""Several worker processes share the epochs of one master, whatever happens to one of them."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from elasticdl_command import RunElasticdl, RunningCommand, eventually, running
from elasticdl_like.data_readers import RecordIOWriter

NUM_EPOCHS = 2
NUM_FILES = 3
RECORDS_PER_FILE = 1_000
NUM_RECORDS = NUM_FILES * RECORDS_PER_FILE

WORKER = Path(__file__).with_name("data_plane_worker.py")


class DataPlane:
    """A running master without a model, and the workers of one test."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self.job = directory / "job"
        self.master = stack.enter_context(
            running(
                [
                    *("-m", "elasticdl_like", "master", "--training_data", directory / "data"),
                    *("--num_epochs", NUM_EPOCHS, "--minibatch_size", 20, "--worker_timeout", 1),
                    *("--num_minibatches_per_task", 2, "--job_name", "shared"),
                    *("--job_dir", self.job),
                ],
                directory,
            )
        )
        self.address = eventually(self._endpoint, 20, self.master)
        self._logs: dict[str, Path] = {}

    def start_worker(self, name: str, *hold: object) -> RunningCommand:
        """Starts a worker, which has registered and waits for a line."""
        log = self._logs[name] = self._directory / f"{name}.jsonl"
        worker = self._stack.enter_context(running([WORKER, self.job, log, *hold], self._directory))
        self.wait_for_event(name, "registered", worker)
        return worker

    def wait_for_event(self, name: str, event: str, worker: RunningCommand) -> None:
        eventually(lambda: event in [line["event"] for line in self.log(name)], 20, worker)

    def log(self, name: str) -> list[dict[str, Any]]:
        path = self._logs[name]
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def counted(self, name: str) -> Counter[tuple[int, int]]:
        """Returns how often each (epoch, id) was acknowledged to a worker."""
        return Counter(
            (line["epoch"], record_id)
            for line in self.log(name)
            if line["event"] == "counted"
            for record_id in line["ids"]
        )

    def last_intent(self, name: str) -> Counter[tuple[int, int]]:
        """Returns what a worker that holds was about to write down."""
        intent, holding = self.log(name)[-2:]
        assert (intent["event"], holding["event"]) == ("intent", "holding")
        return Counter((intent["epoch"], record_id) for record_id in intent["ids"])

    def _endpoint(self) -> str:
        path = self.job / "endpoint"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def data_plane(tmp_path: Path) -> Iterator[DataPlane]:
    (tmp_path / "data").mkdir()
    for number in range(NUM_FILES):
        with RecordIOWriter(tmp_path / "data" / f"{number}.recordio") as writer:
            for record_id in range(number * RECORDS_PER_FILE, (number + 1) * RECORDS_PER_FILE):
                writer.write(b"%d" % record_id)
    with ExitStack() as stack:
        yield DataPlane(tmp_path, stack)


def read_ledger(run_elasticdl: RunElasticdl, job: Path) -> list[dict[str, Any]]:
    epochs: list[dict[str, Any]] = json.loads(run_elasticdl("ledger", job, "--json").stdout)[
        "epochs"
    ]
    return epochs


def assert_exactly_once(counted: Counter[tuple[int, int]], ledger: list[dict[str, Any]]) -> None:
    everything = {(epoch, each) for epoch in range(NUM_EPOCHS) for each in range(NUM_RECORDS)}
    assert [key for key, count in counted.items() if count != 1] == []
    assert counted.keys() == everything
    assert [(each["records"], each["committed"], each["missing"]) for each in ledger] == [
        (NUM_RECORDS, NUM_RECORDS, 0)
    ] * NUM_EPOCHS
    assert not any(each["leased"] or each["quarantined"] for each in ledger)


def test_three_workers_share_every_epoch(
    data_plane: DataPlane, run_elasticdl: RunElasticdl
) -> None:
    names = ["a", "b", "c"]
    workers = [data_plane.start_worker(name) for name in names]
    for worker in workers:
        worker.send_line()
    for process in (*workers, data_plane.master):
        finished = process.wait(30)
        assert finished.exit_code == 0, finished.stderr
    shares = [data_plane.counted(name) for name in names]
    assert sum(map(bool, shares)) > 1
    ledger = read_ledger(run_elasticdl, data_plane.job)
    assert_exactly_once(sum(shares, Counter()), ledger)
    assert not any(each["leases_lost"] or each["reports_fenced"] for each in ledger)


@pytest.mark.parametrize("hold_point", ["before", "after"])
def test_killed_worker_loses_and_repeats_nothing(
    data_plane: DataPlane, run_elasticdl: RunElasticdl, hold_point: str
) -> None:
    # Five commits of ten records, of leases of forty: it dies in the middle of a lease.
    victim = data_plane.start_worker("victim", hold_point, 5)
    others = [data_plane.start_worker(name) for name in ("a", "b")]
    victim.send_line()
    data_plane.wait_for_event("victim", "holding", victim)
    for worker in others:
        worker.send_line()
    os.kill(victim.pid, signal.SIGKILL)
    for process in (*others, data_plane.master):
        finished = process.wait(30)
        assert finished.exit_code == 0, finished.stderr
    counted = sum(map(data_plane.counted, ("victim", "a", "b")), Counter())
    if hold_point == "after":
        counted += data_plane.last_intent("victim")
    ledger = read_ledger(run_elasticdl, data_plane.job)
    assert_exactly_once(counted, ledger)
    assert ledger[0]["leases_lost"] >= 1
    # Beside those that were lost, some move from a worker that has many to one that has none.
    most = 2 * NUM_RECORDS // 40 + ledger[0]["leases_lost"]
    assert NUM_RECORDS // 40 < ledger[0]["leases_granted"] <= most


def test_stopped_worker_that_comes_back_spoils_nothing(
    data_plane: DataPlane, run_elasticdl: RunElasticdl
) -> None:
    sleeper = data_plane.start_worker("sleeper", "before", 5)
    other = data_plane.start_worker("a")
    sleeper.send_line()
    data_plane.wait_for_event("sleeper", "holding", sleeper)
    os.kill(sleeper.pid, signal.SIGSTOP)
    eventually(lambda: read_ledger(run_elasticdl, data_plane.job)[0]["leases_lost"], 20)
    os.kill(sleeper.pid, signal.SIGCONT)
    sleeper.send_line()
    # It is told that it was given up, and takes part again, under another name.
    eventually(
        lambda: sum(each["event"] == "registered" for each in data_plane.log("sleeper")) == 2, 20
    )
    other.send_line()
    for process in (sleeper, other, data_plane.master):
        finished = process.wait(30)
        assert finished.exit_code == 0, finished.stderr
    ledger = read_ledger(run_elasticdl, data_plane.job)
    assert_exactly_once(data_plane.counted("sleeper") + data_plane.counted("a"), ledger)


def test_status_of_a_live_job_by_address_and_by_directory(
    data_plane: DataPlane, run_elasticdl: RunElasticdl
) -> None:
    worker = data_plane.start_worker("a", "after", 3)
    worker.send_line()
    data_plane.wait_for_event("a", "holding", worker)
    by_address = (data_plane.address, "--token_file", data_plane.job / "token")
    for job in (by_address, (data_plane.job,)):
        finished = run_elasticdl("status", *job, "--json")
        assert finished.exit_code == 0, finished.stderr
        status = json.loads(finished.stdout)
        assert (status["job"], status["state"]) == ("shared", "running")
        assert (status["records"], status["total_records"]) == (40, NUM_EPOCHS * NUM_RECORDS)
        assert [each["worker_id"] for each in status["workers"]] == [0]
        assert status["workers"][0]["description"] == f"pid {worker.pid}"
    refused = run_elasticdl("status", data_plane.address)
    assert refused.exit_code == 1
    assert "--token_file is missing" in refused.stderr
    as_text = run_elasticdl("status", *by_address).stdout
    assert "40 of 6,000 records" in as_text
    assert f"worker 0: pid {worker.pid}" in as_text
    ledger = run_elasticdl("ledger", data_plane.job)
    assert ledger.exit_code == 0
    assert "not ended" in ledger.stdout
