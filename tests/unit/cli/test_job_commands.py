"""What `elasticdl ledger` prints of a job without a master, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from elasticdl_like.cli.main import elasticdl
from elasticdl_like.master import reports

ENTRY = {
    "type": "training",
    "epoch": 0,
    "records": 10,
    "committed": 10,
    "tentative": 0,
    "leased": 0,
    "quarantined": 0,
    "missing": 0,
    "ended": True,
}


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The ledger that the journal of each job gives."""
    document: dict[str, Any] = {"job": "job", "epochs": [dict(ENTRY)], "quarantined": []}
    monkeypatch.setattr(reports, "load_ledger", lambda _: document)
    monkeypatch.setattr(reports, "verify_ledger", lambda _: [])
    return document


def run_ledger(tmp_path: Path, *flags: str) -> Result:
    return CliRunner().invoke(elasticdl, ["ledger", str(tmp_path), *flags])


def test_a_ledger_that_adds_up(ledger: dict[str, Any], tmp_path: Path) -> None:
    finished = run_ledger(tmp_path)
    assert finished.exit_code == 0
    assert len(finished.stdout.splitlines()) == 2
    verified = run_ledger(tmp_path, "--verify")
    assert verified.exit_code == 0
    assert verified.stdout.startswith(finished.stdout)
    assert verified.stdout.splitlines()[2].startswith("verified: ")
    assert json.loads(run_ledger(tmp_path, "--json").stdout) == ledger


def test_missing_records_are_told_by_the_exit_code(ledger: dict[str, Any], tmp_path: Path) -> None:
    ledger["epochs"][0] |= {"committed": 9, "missing": 1}
    assert run_ledger(tmp_path).exit_code == 1
    ledger["epochs"][0] |= {"missing": None}
    assert run_ledger(tmp_path).exit_code == 0


def test_each_difference_is_named(
    ledger: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "verify_ledger", lambda _: ["shard 'a' is gone", "two"])
    assert run_ledger(tmp_path).exit_code == 0
    found = run_ledger(tmp_path, "--verify")
    assert found.exit_code == 1
    assert found.stdout.splitlines()[2:] == ["difference: shard 'a' is gone", "difference: two"]
    as_json = run_ledger(tmp_path, "--verify", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["differences"] == ["shard 'a' is gone", "two"]


def test_quarantined_records_are_listed(ledger: dict[str, Any], tmp_path: Path) -> None:
    ledger["quarantined"] = [
        {"type": "training", "epoch": 0, "shard": "a", "start": 3, "end": 4, "problem": "torn"}
    ]
    finished = run_ledger(tmp_path)
    assert finished.exit_code == 0
    assert "records [3, 4) of shard 'a': torn" in finished.stdout
