"""The status page of a job of a million tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.jobs import COVERAGE, link_of
from elasticdl_command import running

if TYPE_CHECKING:
    from browser.chromium import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NUM_SHARDS = 12_500
TASKS_PER_SHARD = 80
READER = f"""
from elasticdl_like.data_readers import AbstractDataReader


class CustomDataReader(AbstractDataReader):
    def __init__(self, **kwargs):
        pass

    def create_shards(self):
        return {{f"part-{{number:05}}": (0, {TASKS_PER_SHARD}) for number in range({NUM_SHARDS})}}

    def read_records(self, task):
        yield from range(task.start, task.end)
"""


def test_aggregates_a_million_tasks(opened: OpenPage, tmp_path: Path) -> None:
    from browser.chromium import PHONE

    (tmp_path / "model.py").write_text(READER, encoding="utf-8")
    command = (
        *("-m", "elasticdl_like", "master", "--training_data", "made-up"),
        *("--model_zoo", tmp_path, "--model_def", "model.custom_model"),
        *("--data_only", "--minibatch_size", 1, "--num_minibatches_per_task", 1),
        *("--job_name", "large", "--job_dir", tmp_path / "job"),
    )
    with running(command, tmp_path) as master:
        opened.open(link_of(tmp_path / "job", master))
        opened.wait_for(lambda: opened.number("records") == 0, master)
        opened.wait_for(lambda: "12,500 shards" in opened.text("coverage-aside"), master)
        assert "of 1,000,000 records" in opened.text("records")
        opened.wait_for(lambda: opened.pixels(COVERAGE, "waiting") > 0, master)
        opened.page.locator(COVERAGE).focus()
        opened.page.keyboard.press("ArrowDown")
        assert "shards, records 0 to" in opened.text("coverage-tip")
        opened.screenshot("large")
        opened.page.set_viewport_size(PHONE)
        opened.wait_for(lambda: not opened.is_wider_than_the_window(), master)
        opened.screenshot("large-phone")
        assert opened.problems == []
