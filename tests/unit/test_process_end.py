from __future__ import annotations

import signal

import pytest

from elasticdl_like.process_end import EndKind, describe_end, end_kind


@pytest.mark.parametrize(
    "exit_code",
    [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, 130, 137, 143, None],
)
def test_being_killed_from_outside_is_a_loss(exit_code: int | None) -> None:
    assert end_kind(exit_code) is EndKind.LOSS


@pytest.mark.parametrize(
    "exit_code",
    [
        *(-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE),
        *(0, 1, 2, 3, 134, 139, 255),
    ],
)
def test_ending_by_itself_is_a_crash(exit_code: int) -> None:
    assert end_kind(exit_code) is EndKind.CRASH


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (-9, "was killed by SIGKILL"),
        (-35, "was killed by signal 35"),
        (3, "ended with exit code 3"),
        (0, "ended before its work was done (exit code 0)"),
        (None, "is gone"),
    ],
)
def test_ends_in_words(exit_code: int | None, words: str) -> None:
    assert describe_end(exit_code) == words
