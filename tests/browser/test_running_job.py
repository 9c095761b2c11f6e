"""The status page of a job with two workers, in a browser, while it trains."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.jobs import COVERAGE, StartJob, link_of
from elasticdl_command import RunningCommand
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.platforms.worker_record import WorkerRecords

if TYPE_CHECKING:
    from browser.chromium import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

THROUGHPUT = "#throughput-chart canvas"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def kill_a_worker(job: Path) -> None:
    record = WorkerRecords(JobDirectory(job).workers).load(1)
    assert record is not None
    assert record.pid
    os.kill(record.pid, signal.SIGKILL)


def wait_for_step(opened: OpenPage, step: int, command: RunningCommand) -> None:
    opened.wait_for(lambda: opened.number("step") >= step, command)


def test_shows_a_job_and_the_death_of_a_worker(
    start_job: StartJob, opened: OpenPage, tmp_path: Path
) -> None:
    from browser.chromium import PHONE

    with start_job("--num_workers", 2, "--num_epochs", 500) as command:
        opened.open(link_of(tmp_path / "job", command))
        wait_for_step(opened, 1, command)
        assert opened.text("job-name") == "digits"
        assert opened.text("state") == "running"
        assert opened.text("link") == "live"
        first_step = opened.number("step")
        wait_for_step(opened, first_step + 5, command)
        opened.wait_for(lambda: opened.text("num-workers") == "2 of 2", command)

        # The picture fills: of an epoch there is less at first, and more later.
        opened.wait_for(lambda: opened.pixels(COVERAGE, "committed") > 0, command)
        opened.wait_for(lambda: opened.pixels(COVERAGE, "waiting") > 0, command)
        opened.wait_for(
            lambda: opened.pixels(COVERAGE, "committed") > opened.pixels(COVERAGE, "waiting"),
            command,
        )

        # Samples before the loss of a worker, for its mark to be on the chart.
        opened.wait_for(lambda: opened.pixels(THROUGHPUT, "accent") > 0, command)
        kill_a_worker(tmp_path / "job")
        opened.wait_for(lambda: opened.count("#events li[data-kind=worker_lost]") == 1, command)
        opened.wait_for(
            lambda: opened.count("#throughput-marks li[data-kind=worker_lost]") == 1, command
        )
        opened.wait_for(lambda: opened.pixels(THROUGHPUT, "bad") > 0, command)
        step = opened.number("step")
        wait_for_step(opened, step + 5, command)
        opened.wait_for(lambda: opened.text("num-workers") == "2 of 2", command)
        opened.wait_for(lambda: opened.count("#workers .share") > 0, command)

        opened.page.locator("#filters button", has_text="workers").click()
        kinds = {
            item.get_attribute("data-kind") for item in opened.page.locator("#events li").all()
        }
        assert kinds == {"worker_joined", "worker_lost"}
        opened.page.locator("#filters button", has_text="all").click()

        opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        opened.page.locator("#commands .copy").first.click()
        opened.wait_for(lambda: opened.count("text=Copied") == 1)
        copied = opened.page.evaluate("navigator.clipboard.readText()")
        assert "elasticdl train" in copied
        assert str(tmp_path / "job") in copied

        opened.page.locator(COVERAGE).focus()
        opened.page.keyboard.press("ArrowRight")
        assert "records" in opened.text("coverage-tip")
        assert ".recordio" in opened.text("coverage-tip")
        opened.page.keyboard.press("Escape")
        assert not opened.page.locator("#coverage-tip").is_visible()

        opened.screenshot("running-light")
        opened.page.emulate_media(color_scheme="dark")
        dark = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(14, 18, 23)"
        opened.wait_for(lambda: opened.pixels(COVERAGE, "committed") > 0, command)
        opened.screenshot("running-dark")
        opened.page.set_viewport_size(PHONE)
        opened.wait_for(lambda: not opened.is_wider_than_the_window(), command)
        opened.wait_for(lambda: opened.pixels(COVERAGE, "committed") > 0, command)
        opened.screenshot("running-phone")
        assert opened.problems == []


def test_says_that_the_master_is_gone_and_goes_on_when_it_is_back(
    start_job: StartJob, opened: OpenPage, tmp_path: Path
) -> None:
    flags = ("--num_workers", 1, "--num_epochs", 500, "--status_port", free_port())
    with start_job(*flags) as command:
        opened.open(link_of(tmp_path / "job", command))
        wait_for_step(opened, 3, command)
        os.kill(command.pid, signal.SIGSTOP)
        opened.wait_for(lambda: "lost" in opened.banner())
        os.kill(command.pid, signal.SIGCONT)
        opened.wait_for(lambda: opened.text("link") == "live", command)
        os.kill(command.pid, signal.SIGKILL)
        opened.wait_for(lambda: "lost" in opened.banner())
        assert opened.text("link") == "connection lost"
        opened.screenshot("connection-lost")
    step = opened.number("step")
    with start_job(*flags) as command:
        opened.wait_for(lambda: opened.text("link") == "live", command)
        assert opened.banner() == ""
        wait_for_step(opened, step + 5, command)
        assert opened.count("#events li[data-kind=job]") == 2
