"""`elasticdl report`: a job's page as a file; tests/browser opens it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elasticdl_command import RunElasticdl, RunningCommand, eventually, running
from elasticdl_like.job_directory import JobDirectory

SECRET = "do-not-tell-anybody"
READER = """
from elasticdl_like.data_readers import AbstractDataReader


class CustomDataReader(AbstractDataReader):
    def __init__(self, access_key=""):
        pass

    def create_shards(self):
        return {"one": (0, 1000), "two": (0, 500)}

    def read_records(self, task):
        yield from range(task.start, task.end)
"""


def documents_of(report: Path) -> dict[str, Any]:
    text = report.read_text(encoding="utf-8")
    assert SECRET not in text
    (found,) = re.findall(r'id="report-data">(.*?)</script>', text, re.DOTALL)
    documents: dict[str, Any] = json.loads(found)
    return documents


@pytest.fixture
def master(tmp_path: Path) -> Iterator[RunningCommand]:
    """A job of two shards in `tmp_path / "job"`, which waits for workers."""
    (tmp_path / "model.py").write_text(READER, encoding="utf-8")
    (tmp_path / "params").write_text(f"access_key={SECRET}", encoding="utf-8")
    command = (
        *("-m", "elasticdl_like", "master", "--data_only", "--model_zoo", tmp_path),
        *("--model_def", "model.no_model", "--training_data", "made-up", "--job_name", "shown"),
        *("--job_dir", tmp_path / "job"),
        *("--data_reader_params", f"@{tmp_path / 'params'}"),
    )
    with running(command, tmp_path) as started:
        eventually(JobDirectory(tmp_path / "job").status_page, 30, started)
        yield started


def test_tells_of_a_running_job_and_of_one_that_was_cut_off(
    master: RunningCommand, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    written = run_elasticdl("report", tmp_path / "job", "-o", tmp_path / "report.html")
    assert written.exit_code == 0, written.stderr

    documents = documents_of(tmp_path / "report.html")
    assert documents["status"]["state"] == "running"
    assert documents["ledger"]["epochs"][0]["records"] == 1500
    assert [strip["name"] for strip in documents["coverage"]["shards"]] == ["one", "two"]
    assert documents["coverage"]["waiting"] == 1500
    assert documents["config"]["job_dir"] == str(tmp_path / "job")
    assert "elasticdl master" in documents["config"]["resume_command"]

    master.close()
    written = run_elasticdl("report", tmp_path / "job", "-o", tmp_path / "report.html")
    assert written.exit_code == 0, written.stderr
    documents = documents_of(tmp_path / "report.html")
    assert documents["status"]["state"] == "cut off"
    assert documents["events"][0]["kind"] == "job"


def test_without_a_job_it_says_so(run_elasticdl: RunElasticdl, tmp_path: Path) -> None:
    refused = run_elasticdl("report", tmp_path / "nothing")

    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"elasticdl: error: there is no job in {tmp_path / 'nothing'}")
    assert refused.stderr.count("\n") == 1
    assert list(tmp_path.glob("*.html")) == []


def test_an_output_that_cannot_be_written_is_named(
    master: RunningCommand, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    output = tmp_path / "nowhere" / "report.html"

    refused = run_elasticdl("report", tmp_path / "job", "-o", output)

    assert refused.exit_code == 1
    assert f"--output {output} cannot be written: No such file or directory" in refused.stderr
