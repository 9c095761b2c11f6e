"""What the tests of the status page share: the browser, and a job worth looking at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.jobs import StartJob
from elasticdl_command import RunningCommand, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from browser.chromium import OpenPage

# The digits, slowly: an epoch takes long enough to be looked at.
_SLOWLY = """

def callbacks():
    import time

    class Slowly(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.05)

    return [Slowly()]
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from browser.chromium import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Browser) -> Iterator[OpenPage]:
    """A page that shows nothing yet."""
    from browser.chromium import DESKTOP, OpenPage

    context = browser.new_context(viewport=DESKTOP, color_scheme="light")
    try:
        yield OpenPage(context.new_page())
    finally:
        context.close()


@pytest.fixture(scope="session")
def slow_zoo(tmp_path_factory: pytest.TempPathFactory, model_zoo: Path) -> Path:
    zoo = tmp_path_factory.mktemp("zoo")
    model = (model_zoo / "digits" / "digits_cnn.py").read_text(encoding="utf-8")
    (zoo / "model.py").write_text(model + _SLOWLY, encoding="utf-8")
    return zoo


@pytest.fixture
def start_job(tmp_path: Path, slow_zoo: Path, digits: Path) -> StartJob:
    """Trains the digits in `tmp_path / "job"` as long as the context lasts."""

    def start(*flags: object) -> AbstractContextManager[RunningCommand]:
        command = (
            *("-m", "elasticdl_like", "train", "--job_name", "digits"),
            *("--job_dir", tmp_path / "job", "--model_zoo", slow_zoo),
            *("--model_def", "model.custom_model", "--training_data", digits / "train"),
            *("--validation_data", digits / "validation", "--minibatch_size", 8),
            *("--num_minibatches_per_task", 2, *flags),
        )
        return running(command, tmp_path)

    return start
