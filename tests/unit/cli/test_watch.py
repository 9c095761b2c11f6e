"""Watching a job whose master goes, and comes back, or does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.cli import watch as watch_module
from elasticdl_like.cli.status_source import CUT_OFF, StatusSource
from elasticdl_like.cli.watch import Watcher, watch
from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import JournalError, MasterUnavailableError
from watched_job import document

GONE = MasterUnavailableError("the master at host:1 does not answer")


def asking(*answers: dict[str, Any] | Exception) -> Callable[[], dict[str, Any]]:
    """Returns what answers so, one after the other."""
    left: Iterator[dict[str, Any] | Exception] = iter(answers)

    def ask() -> dict[str, Any]:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "_INTERVAL_S", 0.0)


def test_a_master_that_goes_is_waited_for() -> None:
    now_s = 0.0
    watcher = Watcher(asking(document(step=7), GONE, GONE, document(step=8)), lambda: now_s)
    assert watcher.look().problem == ""
    now_s = 62.0
    gone = watcher.look()
    assert (gone.document["step"], gone.ended) == (7, False)
    assert gone.problem.startswith("no answer for 1:02, still trying: the master at host:1")
    now_s = 70.0
    assert "for 1:10" in watcher.look().problem
    back = watcher.look()
    assert (back.document["step"], back.problem) == (8, "")


def test_a_master_that_was_never_there_is_an_error() -> None:
    with pytest.raises(MasterUnavailableError, match="does not answer"):
        Watcher(asking(GONE), lambda: 0.0).look()


def test_a_job_that_was_cut_off_is_waited_for() -> None:
    sight = Watcher(asking(document(state=CUT_OFF)), lambda: 0.0).look()
    assert not sight.ended
    assert sight.problem == "waiting for a master that goes on with the job"


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize(("state", "code"), [("finished", 0), ("failed", 1), ("interrupted", 1)])
def test_json_is_a_document_a_line_until_the_job_ends(
    capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    assert watch(asking(document(), GONE, document(state=state)), as_json=True) == code
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["state"] for each in lines] == ["running", "running", state]
    assert [bool(each["problem"]) for each in lines] == [False, True, False]


@pytest.mark.usefixtures("_at_once")
def test_a_pipe_gets_a_block_when_something_has_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask = asking(document(), document(), document(), GONE, GONE, document(state="finished"))
    assert watch(ask, as_json=False) == 0
    out = capsys.readouterr().out
    blocks = [line for line in out.splitlines() if line.startswith("job digits")]
    assert [line.split()[2] for line in blocks] == ["running", "running", "finished"]
    assert "\x1b" not in out


@pytest.mark.usefixtures("_at_once")
def test_ctrl_c_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    def ask() -> dict[str, Any]:
        raise KeyboardInterrupt

    assert watch(ask, as_json=True) == 130


def test_a_directory_without_a_job_is_an_error(tmp_path: Path) -> None:
    source = StatusSource(str(tmp_path), "", TlsConfig())
    with pytest.raises(JournalError):
        source.ask(details=True)
