"""How time is shared out, and over which part of it."""

from __future__ import annotations

import pytest

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.time_shares import TimeShares, TimeWindow, check_seconds, time_shares
from elasticdl_like.time_spent import TimeSpent


def test_waits_are_for_what_the_input_side_does_meanwhile() -> None:
    shares = time_shares(
        {
            "training": 60,
            "evaluating": 8,
            "saving": 2,
            "waiting_for_input": 26,
            "parsing": 4,
            # Several threads: more than the wait.
            "awaited_reading": 40,
            "awaited_decoding": 10,
            "awaited_waiting_for_master": 0,
            "awaited_converting": 2,
            # Nobody waits for this.
            "reading": 100,
            "waiting_for_master": 10000,
        }
    )
    assert shares is not None
    assert shares.working == pytest.approx(
        {"training": 0.6, "evaluating": 0.08, "predicting": 0, "saving": 0.02}
    )
    assert shares.waiting == pytest.approx(
        {
            "waiting_for_master": 0,
            "reading": 0.2,
            "retrying": 0,
            "decoding": 0.05,
            "converting": 0.01,
            "parsing": 0.04,
        }
    )
    assert shares.waiting_total == pytest.approx(0.3)
    assert str(shares) == (
        "training 60%, evaluating 8%, saving 2%, waiting for input 30% "
        "(reading 20%, decoding 5%, converting 1%, parsing 4%)"
    )


def test_a_wait_in_which_the_input_side_was_idle_is_for_parsing() -> None:
    shares = time_shares(
        {"training": 5, "waiting_for_input": 4, "parsing": 1, "awaited_reading": 1.5}
    )
    assert shares is not None
    assert shares.waiting["reading"] == pytest.approx(0.15)
    assert shares.waiting["parsing"] == pytest.approx(0.35)
    assert shares.waiting_total == pytest.approx(0.5)
    shares = time_shares({"training": 1, "waiting_for_input": 1})
    assert shares is not None
    assert str(shares) == "training 50%, waiting for input 50% (parsing 50%)"


def test_without_waits_nothing_is_shared_out() -> None:
    shares = time_shares({"training": 2, "reading": 1.5})
    assert shares is not None
    assert shares.waiting_total == 0
    assert str(shares) == "training 100%, waiting for input 0%"


@pytest.mark.parametrize("seconds", [{}, {"reading": 5.0}, {"training": 0.0}])
def test_without_a_training_thread_there_is_nothing_to_share_out(
    seconds: dict[str, float],
) -> None:
    assert time_shares(seconds) is None


@pytest.mark.parametrize(
    ("seconds", "complaint"),
    [
        ({"sleeping": 1.0}, "'sleeping', which is not known"),
        ({"x" * 1000: 1.0}, "'x{40}', which is not known"),
        ({"training": -1.0}, "-1.0 seconds were spent on training"),
        ({"training": 1.0, "reading": float("nan")}, "nan seconds were spent on reading"),
        ({"reading": float("inf")}, "inf seconds"),
        ({"reading": 1e300}, r"1e\+300 seconds"),
    ],
)
def test_seconds_of_another_process_are_checked(seconds: dict[str, float], complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        check_seconds(seconds)


def test_seconds_that_are_right() -> None:
    check_seconds(TimeSpent().totals())
    check_seconds({})


def window_of(*samples: tuple[float, float]) -> TimeWindow:
    window = TimeWindow()
    for now_s, training_s in samples:
        window.add(now_s, {"training": training_s, "waiting_for_input": now_s - training_s})
    return window


def test_the_window_begins_with_the_first_step() -> None:
    window = window_of((0, 0), (50, 0))
    assert (window.length_s, window.seconds()) == (0, {})
    window = window_of((0, 0), (50, 0), (60, 1))
    assert window.length_s == 0
    window = window_of((0, 0), (50, 0), (60, 1), (64, 4))
    assert window.length_s == 4
    assert window.seconds() == {"training": 3, "waiting_for_input": 1}


def test_the_window_forgets() -> None:
    window = window_of(*[(float(now_s), now_s / 2) for now_s in range(2, 301, 2)])
    assert window.length_s == 30
    assert window.seconds() == {"training": 15, "waiting_for_input": 15}


def test_the_window_spans_a_time_without_samples() -> None:
    window = window_of((2, 1), (4, 2), (304, 152))
    assert window.length_s == 300
    assert window.seconds()["training"] == 150


def test_a_flood_of_samples_takes_no_room() -> None:
    window = window_of(*[(1 + number / 1000, 1 + number / 2000) for number in range(100_000)])
    assert len(window._samples) <= 32
    assert 29 <= window.length_s <= 31


def test_totals_that_go_back_are_no_time() -> None:
    assert window_of((1, 1), (2, 0.5)).seconds()["training"] == 0


def test_who_predicts_does_not_train() -> None:
    assert str(TimeShares({"training": 0.0, "predicting": 0.25}, {"reading": 0.75})) == (
        "predicting 25%, waiting for input 75% (reading 75%)"
    )
