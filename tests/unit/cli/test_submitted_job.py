"""What is shown of a job in the cluster."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from elasticdl_command import run
from elasticdl_like.cli import output
from elasticdl_like.cli.output import configure_logging
from elasticdl_like.cli.submitted_job import Screen, show_line
from elasticdl_like.platforms.kubernetes.master_log import FinalLedger, LogLine

WRITTEN_S = 1_700_000_000.25


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What appears on standard error."""
    text = io.StringIO()
    monkeypatch.setattr(output, "Console", lambda **options: Console(file=text, soft_wrap=True))
    return text


def test_lines_of_the_master_look_like_lines_of_this_process(screen: io.StringIO) -> None:
    configure_logging("INFO", "text")
    show_line(LogLine("{}", "it rains", "WARNING", WRITTEN_S))
    written = datetime.datetime.fromtimestamp(WRITTEN_S).strftime("%H:%M:%S")
    assert screen.getvalue() == f"{written} WARNING it rains\n"


def test_lines_below_the_log_level_are_left_out(screen: io.StringIO) -> None:
    configure_logging("WARNING", "text")
    show_line(LogLine("{}", "it drizzles", "INFO", WRITTEN_S))
    show_line(LogLine("{}", "it pours", "ERROR", WRITTEN_S))
    assert screen.getvalue().endswith("ERROR it pours\n")
    assert "drizzles" not in screen.getvalue()


def test_lines_as_json(screen: io.StringIO) -> None:
    configure_logging("INFO", "json")
    show_line(LogLine("{}", "100% of it", "INFO", WRITTEN_S))
    shown = json.loads(screen.getvalue())
    assert (shown["time"], shown["level"], shown["message"]) == (WRITTEN_S, "INFO", "100% of it")


def test_the_last_ledger_is_kept() -> None:
    screen = Screen(lambda status: None)
    ledger = FinalLedger({"epochs": []})
    screen.show(ledger)
    assert screen.ledger is ledger
    assert screen.status is None


def test_a_job_directory_comes_before_a_job_in_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    in_cluster = run("status", "digits", "--namespace", "vision", directory=tmp_path)
    assert "no Kubernetes cluster is configured" in in_cluster.stderr
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "journal.sqlite").touch()
    in_directory = run("status", "digits", "--namespace", "vision", directory=tmp_path)
    assert in_directory.exit_code == 1
    assert "journal.sqlite" in in_directory.stderr
