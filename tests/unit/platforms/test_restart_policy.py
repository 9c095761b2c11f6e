from __future__ import annotations

import signal

import pytest

from elasticdl_like.platforms.restart_policy import (
    EndKind,
    RestartPolicy,
    describe_end,
    end_kind,
)


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


def end_early(policy: RestartPolicy, kind: EndKind, times: int) -> list[float | None]:
    """Ends one short-lived process after the other; returns the pauses."""
    pauses = []
    for _ in range(times):
        policy.started(100.0)
        pauses.append(policy.ended(101.0, kind))
    return pauses


def test_losses_are_replaced_for_ever_with_growing_pauses() -> None:
    pauses = end_early(RestartPolicy(max_crashes=0), EndKind.LOSS, 100)
    assert pauses[:9] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert set(pauses[9:]) == {60}


def test_crashes_are_counted() -> None:
    policy = RestartPolicy(max_crashes=3)
    assert end_early(policy, EndKind.CRASH, 4) == [0, 1, 2, None]
    assert policy.crashes == 4


def test_no_crash_is_forgiven_when_none_may_be() -> None:
    assert end_early(RestartPolicy(max_crashes=0), EndKind.CRASH, 1) == [None]


def test_losses_do_not_count_as_crashes() -> None:
    policy = RestartPolicy(max_crashes=1)
    end_early(policy, EndKind.LOSS, 20)
    assert policy.crashes == 0
    assert end_early(policy, EndKind.CRASH, 2) == [60, None]


def test_a_process_that_lived_long_enough_is_replaced_at_once() -> None:
    policy = RestartPolicy(max_crashes=3)
    end_early(policy, EndKind.LOSS, 5)
    policy.started(1000.0)
    assert policy.ended(1059.9, EndKind.LOSS) == 16
    policy.started(2000.0)
    assert policy.ended(2060.0, EndKind.LOSS) == 0
    policy.started(3000.0)
    assert policy.ended(3001.0, EndKind.LOSS) == 1
