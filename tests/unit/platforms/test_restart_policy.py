from __future__ import annotations

from elasticdl_like.platforms.restart_policy import RestartPolicy
from elasticdl_like.process_end import EndKind


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
    assert policy.ended(1019.9, EndKind.LOSS) == 16
    policy.started(2000.0)
    assert policy.ended(2020.0, EndKind.LOSS) == 0
    policy.started(3000.0)
    assert policy.ended(3001.0, EndKind.LOSS) == 1


def test_a_replacement_may_have_to_wait_in_any_case() -> None:
    policy = RestartPolicy(max_crashes=3, least_pause_s=1.5)
    pauses_s = end_early(policy, EndKind.LOSS, 4)
    assert pauses_s == [1.5, 1.5, 2, 4]
