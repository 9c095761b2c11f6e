"""What is left of a job to look at: the page when its master has stopped, and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stand_in_master import STATUS

from browser.jobs import COVERAGE, StartJob, link_of
from elasticdl_command import RunElasticdl
from elasticdl_like.window.report import make_report

if TYPE_CHECKING:
    from browser.chromium import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

NUM_EPOCHS = 2


def test_the_report_says_what_the_page_has_said(
    start_job: StartJob, opened: OpenPage, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    job, report = tmp_path / "job", tmp_path / "report.html"
    with start_job("--num_workers", 1, "--num_epochs", NUM_EPOCHS) as command:
        opened.open(link_of(job, command))
        opened.wait_for(lambda: opened.text("state") == "finished")
        opened.wait_for(lambda: "has ended" in opened.banner())
        assert command.wait(120).exit_code == 0
    shown = {name: opened.text(name) for name in ("step", "records", "percent", "loss")}
    assert shown["percent"] == "100.0 %"

    written = run_elasticdl("report", job, "-o", report)
    assert written.exit_code == 0, written.stderr
    opened.open("about:blank")
    opened.problems.clear()  # of the connection that was lost when the master stopped
    opened.open(report.as_uri())

    opened.wait_for(lambda: opened.text("state") == "finished")
    assert {name: opened.text(name) for name in shown} == shown
    ledger = json.loads(run_elasticdl("ledger", job, "--json").stdout)["epochs"]
    assert opened.count("#ledger tr") == len(ledger) > NUM_EPOCHS
    assert opened.count("#events li[data-kind=evaluation]") == NUM_EPOCHS
    assert opened.count("#workers .shares") == 0
    assert opened.text("link").startswith("report, as of ")
    assert "elasticdl train" in opened.text("commands")
    opened.wait_for(lambda: opened.pixels(COVERAGE, "committed") > 0)
    assert opened.pixels(COVERAGE, "waiting") == 0
    opened.screenshot("report")
    assert opened.problems == []


def test_what_a_job_says_is_text_and_nothing_else(opened: OpenPage, tmp_path: Path) -> None:
    attack = "<img src=x onerror='document.title=1'></script><script>document.title=2</script>"
    ledger = {"type": "training", "epoch": 0, "records": 1, "committed": 0, "tentative": 0}
    counts = {"leased": 0, "quarantined": 1, "missing": None}
    counts |= {"leases_granted": 1, "leases_lost": 0, "reports_fenced": 0}
    quarantined = {"type": "training", "epoch": 0, "shard": attack, "start": 0, "end": 1}
    strip = {"name": attack, "records": 1, "num_shards": 1, "cells": [[0, 0, 0, 1]]}
    documents = {
        "status": replace(STATUS, job=attack, reason=attack).to_plain(),
        "ledger": {
            "job": attack,
            "epochs": [ledger | counts],
            "quarantined": [quarantined | {"problem": attack}],
        },
        "events": [{"id": 1, "time_s": 1.0, "kind": "worker_lost", "text": attack, "worker_id": 1}],
        "history": {
            "samples": {"time_s": [1.0], "records_per_s": [1.0], "loss": [1.0]},
            "evaluations": [{"time_s": 1.0, "epoch": 0, "step": 1, "metrics": {attack: 0.5}}],
        },
        "coverage": {
            "type": "training",
            "epoch": 0,
            "records": 1,
            "committed": 0,
            "tentative": 0,
            "leased": 0,
            "quarantined": 1,
            "waiting": 0,
            "num_shards": 1,
            "shards": [strip | {"workers": [-1]}],
        },
        "config": {"name": attack, "resume_command": attack, "job_dir": attack},
    }
    (tmp_path / "report.html").write_text(make_report(documents), encoding="utf-8")

    opened.open((tmp_path / "report.html").as_uri())

    opened.wait_for(lambda: opened.text("job-name") == attack)
    opened.page.locator(COVERAGE).focus()
    opened.page.keyboard.press("ArrowRight")
    for name in ("reason", "events", "quarantined-list", "commands", "charts", "coverage-tip"):
        assert attack in opened.text(name), name
    assert opened.count("img") == 0
    assert opened.count("script") == 2
    assert opened.page.title().endswith(attack)
    assert opened.problems == []


def test_a_failed_job_says_why(
    opened: OpenPage,
    run_elasticdl: RunElasticdl,
    model_zoo: Path,
    digits: Path,
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for path in (digits / "train").iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    last = max(data.iterdir())
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 0xFF
    last.write_bytes(content)
    finished = run_elasticdl(
        *("train", "--model_zoo", model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
        *("--training_data", data, "--num_epochs", 2, "--job_dir", tmp_path / "job"),
        timeout=180,
    )
    assert finished.exit_code == 1, finished.stderr

    written = run_elasticdl("report", tmp_path / "job", "-o", tmp_path / "report.html")
    assert written.exit_code == 0, written.stderr
    opened.open((tmp_path / "report.html").as_uri())

    opened.wait_for(lambda: opened.text("state") == "failed")
    assert last.name in opened.text("reason")
    opened.screenshot("failed")
    assert opened.problems == []
