"""What `elasticdl scale` and `elasticdl status` print of a job of several workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from elasticdl_like.cli import job as job_commands
from elasticdl_like.cli import status_source
from elasticdl_like.cli.connection import RunningMaster
from elasticdl_like.cli.main import elasticdl
from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ElasticdlError, InvalidRequestError, JobDirectoryError

WORKER = {
    "description": "host pid 12",
    "silent_s": 0.25,
    "recent_s": 0.0,
    "recent_time_shares": None,
    "time_shares": None,
    "seconds_spent": {},
    "num_retries": 0,
    "starvation": "",
}


class StandInMaster(RunningMaster):
    """Answers without a connection."""

    document: dict[str, Any]
    asked: list[tuple[str, int]]
    refusal: ElasticdlError | None

    def status(self, details: bool = False) -> dict[str, Any]:
        return self.document | {"ledger": {}}

    def scale(self, num_workers: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((self.address, num_workers))


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> type[StandInMaster]:
    """The master of each job directory, and at each address."""
    StandInMaster.asked = []
    StandInMaster.refusal = None
    StandInMaster.document = {
        "job": "digits",
        "state": "running",
        "reason": "",
        "kind": "training",
        "epoch": 0,
        "num_epochs": 2,
        "step": 44,
        "records": 10,
        "total_records": 20,
        "records_per_s": 5.0,
        "loss": None,
        "evaluations": [],
        "workers_wanted": 3,
        "round": {"number": 5, "state": "running", "members": [2, 0]},
        "workers": [
            WORKER | {"worker_id": 1, "phase": "starting", "rank": None, "step": 0},
            WORKER | {"worker_id": 0, "phase": "training", "rank": 1, "step": 1044},
        ],
    }
    for module in (job_commands, status_source):
        monkeypatch.setattr(module, "RunningMaster", StandInMaster)
        monkeypatch.setattr(
            module, "master_of", lambda *_: StandInMaster("of-directory:1", "", TlsConfig())
        )
    return StandInMaster


def run(*words: str) -> Result:
    return CliRunner().invoke(elasticdl, list(words))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (5, "job digits goes from 3 to 5: 2 workers will join, between two steps"),
        (2, "job digits goes from 3 to 2: 1 worker will leave, between two steps"),
        (3, "job digits stays as it is: 3 workers are wanted already"),
    ],
)
def test_scale_says_what_will_happen(
    master: type[StandInMaster], tmp_path: Path, number: int, words: str
) -> None:
    finished = run("scale", str(tmp_path), "--num_workers", str(number))
    assert (finished.exit_code, finished.stdout) == (0, words + "\n")
    assert master.asked == [("of-directory:1", number)]


def test_scale_finds_the_master_at_an_address(master: type[StandInMaster], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    words = ("scale", "host:7", "--num_workers", "4", "--token_file", str(tmp_path / "token"))
    assert run(*words).exit_code == 0
    assert master.asked == [("host:7", 4)]


def test_scale_is_refused_by_the_master(master: type[StandInMaster], tmp_path: Path) -> None:
    master.refusal = InvalidRequestError("--num_workers 9: --max_workers is 4")
    finished = run("scale", str(tmp_path), "--num_workers", "9")
    assert finished.exception is master.refusal
    assert finished.stdout == ""


def test_scale_needs_a_job_that_runs(tmp_path: Path) -> None:
    finished = run("scale", str(tmp_path), "--num_workers", "2")
    assert isinstance(finished.exception, JobDirectoryError)
    assert f"no job runs in {tmp_path}" in str(finished.exception)


def test_status_shows_the_round_and_its_members(
    master: type[StandInMaster], tmp_path: Path
) -> None:
    lines = run("status", str(tmp_path)).stdout.splitlines()
    assert lines[2:] == [
        "3 workers are wanted; round 5 is running, members: 2, 0",
        "worker 0: host pid 12, training, rank 1, step 1,044, heard from 0.2 s ago",
        "worker 1: host pid 12, starting, step 0, heard from 0.2 s ago",
    ]


def test_status_of_a_worker_that_trains_alone(master: type[StandInMaster], tmp_path: Path) -> None:
    alone = WORKER | {"worker_id": 0, "phase": "", "rank": None, "step": 0}
    master.document |= {"round": None, "workers_wanted": 1, "workers": [alone]}
    lines = run("status", str(tmp_path)).stdout.splitlines()
    assert lines[2:] == ["worker 0: host pid 12, heard from 0.2 s ago"]


def test_status_of_an_evaluation(master: type[StandInMaster], tmp_path: Path) -> None:
    evaluation = {"epoch": 0, "step": 0, "metrics": {"accuracy": 0.75}}
    alone = {"kind": "evaluation", "round": None, "workers": [], "evaluations": [evaluation]}
    master.document |= alone
    lines = run("status", str(tmp_path)).stdout.splitlines()
    assert lines == [
        "job digits: running",
        "evaluation, 10 of 20 records, 5 records/s",
        "result: accuracy 0.7500",
    ]
