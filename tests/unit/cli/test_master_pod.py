"""What the master's container leaves behind, where another master has its job directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from elasticdl_like.cli.master_pod import master_pod
from elasticdl_like.config import DataConfig, JobConfig
from elasticdl_like.errors import JobDirectoryError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.platforms.kubernetes import places, run_master
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.settings import KubernetesSettings


@pytest.fixture
def job_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of a master which is asked to end, and cannot have it."""

    def refuse(*arguments: Any) -> None:
        raise JobDirectoryError("the job directory cannot be had")

    config, settings = JobConfig("digits", DataConfig("/data")), KubernetesSettings("x:1")
    monkeypatch.setattr(places, "JOBS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(run_master, "AskedToEnd", lambda: True)
    monkeypatch.setattr(run_master, "read_job", lambda path: (config, settings))
    monkeypatch.setattr(run_master, "run_kubernetes_master", refuse)
    monkeypatch.setattr(Cluster, "connect", lambda namespace: Cluster.__new__(Cluster))
    monkeypatch.setattr(Cluster, "close", lambda self: None)
    return tmp_path / "digits"


def test_a_job_that_another_master_has_is_not_over(job_directory: Path) -> None:
    with JobDirectory(job_directory).own():
        ended = CliRunner().invoke(master_pod, ["--name", "digits", "--root_uid", "uid"])
    assert ended.exit_code == 75, ended.output


def test_a_job_directory_that_cannot_be_had_ends_the_job(job_directory: Path) -> None:
    ended = CliRunner().invoke(master_pod, ["--name", "digits", "--root_uid", "uid"])
    assert ended.exit_code == 0
    assert '"state": "failed", "reason": "the job directory cannot be had"' in ended.stderr
