"""Seconds by activity: nested, from several threads, and of what is still going on."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from elasticdl_like.activity import AWAITED
from elasticdl_like.time_spent import Activity, TimeSpent, share_time_spent, time_spent_of


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spent(time_spent: TimeSpent) -> dict[str, float]:
    return {name: seconds for name, seconds in time_spent.totals().items() if seconds}


def test_there_is_a_total_of_every_activity(clock: Clock) -> None:
    names = [*Activity, *(f"awaited_{name}" for name in Activity if name in AWAITED)]
    assert TimeSpent(clock).totals() == dict.fromkeys(names, 0.0)


def test_the_inner_one_pauses_the_outer_one(clock: Clock) -> None:
    time_spent = TimeSpent(clock)
    with time_spent.measure(Activity.READING):
        clock.now_s += 1
        for _ in range(2):
            with time_spent.measure(Activity.DECODING):
                clock.now_s += 10
            clock.now_s += 2
    clock.now_s += 1000
    assert spent(time_spent) == {"reading": 5, "decoding": 20}


def test_what_goes_on_is_counted_as_far_as_it_is(clock: Clock) -> None:
    time_spent = TimeSpent(clock)
    with time_spent.measure(Activity.TRAINING):
        clock.now_s += 1
        with time_spent.measure(Activity.SAVING):
            clock.now_s += 3
            assert spent(time_spent) == {"training": 1, "saving": 3}
        clock.now_s += 1
        assert spent(time_spent) == {"training": 2, "saving": 3}


def test_an_activity_inside_itself_counts_once(clock: Clock) -> None:
    time_spent = TimeSpent(clock)
    with time_spent.measure(Activity.READING), time_spent.measure(Activity.READING):
        clock.now_s += 3
    assert spent(time_spent) == {"reading": 3}


def test_an_exception_ends_it(clock: Clock) -> None:
    time_spent = TimeSpent(clock)

    def read() -> None:
        with time_spent.measure(Activity.READING):
            clock.now_s += 3
            raise KeyError

    with pytest.raises(KeyError):
        read()
    clock.now_s += 3
    assert spent(time_spent) == {"reading": 3}


@contextmanager
def elsewhere(time_spent: TimeSpent, activity: Activity) -> Iterator[None]:
    """Another thread is at it as long as the context lasts."""
    has_begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        with time_spent.measure(activity):
            has_begun.set()
            may_end.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    assert has_begun.wait(20)
    yield
    may_end.set()
    thread.join(20)


def test_threads_do_not_pause_each_other(clock: Clock) -> None:
    time_spent = TimeSpent(clock)
    with elsewhere(time_spent, Activity.READING):
        with time_spent.measure(Activity.TRAINING):
            clock.now_s += 5
        clock.now_s += 1
    clock.now_s += 1
    assert spent(time_spent) == {"reading": 6, "training": 5}


@pytest.mark.parametrize("looks", [False, True])
def test_what_the_training_thread_waits_for(clock: Clock, looks: bool) -> None:
    time_spent = TimeSpent(clock)

    def go_on(seconds: float) -> None:
        clock.now_s += seconds
        if looks:  # which must change nothing
            time_spent.totals()

    with elsewhere(time_spent, Activity.READING):
        go_on(1)
        with time_spent.measure(Activity.WAITING_FOR_INPUT):
            go_on(2)
            with elsewhere(time_spent, Activity.WAITING_FOR_MASTER):
                go_on(4)
                with time_spent.measure(Activity.PARSING):
                    go_on(8)
                go_on(16)
                assert time_spent.totals()["awaited_reading"] == 22
            with elsewhere(time_spent, Activity.TRAINING):
                go_on(32)
        go_on(64)
        with time_spent.measure(Activity.WAITING_FOR_INPUT):
            go_on(128)
    with time_spent.measure(Activity.WAITING_FOR_INPUT):
        go_on(256)
    assert spent(time_spent) == {
        "reading": 255,
        "waiting_for_input": 2 + 4 + 16 + 32 + 128 + 256,
        "parsing": 8,
        "waiting_for_master": 28,
        "training": 32,
        "awaited_reading": 2 + 4 + 16 + 32 + 128,
        "awaited_waiting_for_master": 4 + 16,
    }


def test_many_threads_lose_nothing() -> None:
    ticks = iter(range(10**9))
    time_spent = TimeSpent(lambda: float(next(ticks)))

    def work() -> None:
        for _ in range(2000):
            with time_spent.measure(Activity.READING), time_spent.measure(Activity.DECODING):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = [time_spent.totals()["decoding"] for _ in range(100)]
    for thread in threads:
        thread.join(20)
    assert seen == sorted(seen)
    # Each look at the clock is a second later than the one before; a measurement inside another
    # one begins and ends with one look each.
    totals = time_spent.totals()
    assert totals["decoding"] >= 8000
    assert totals["reading"] >= 16000


def test_a_measurement_around_a_yield_does_no_lasting_harm(clock: Clock) -> None:
    time_spent = TimeSpent(clock)

    def decode() -> Generator[int]:
        with time_spent.measure(Activity.DECODING):
            yield 1

    with time_spent.measure(Activity.READING):
        records = decode()
        next(records)
        clock.now_s += 1
    clock.now_s += 1
    with time_spent.measure(Activity.TRAINING):
        clock.now_s += 4
        records.close()  # no longer the innermost
        clock.now_s += 1
    clock.now_s += 1000
    assert spent(time_spent) == {"decoding": 2, "training": 5}


def test_a_measurement_that_another_thread_ends_is_over(clock: Clock) -> None:
    time_spent = TimeSpent(clock)
    measurement = time_spent.measure(Activity.DECODING)
    thread = threading.Thread(target=measurement.__enter__)
    thread.start()
    thread.join(20)
    clock.now_s += 1
    measurement.__exit__(None, None, None)
    clock.now_s += 1
    assert spent(time_spent) == {"decoding": 1}


class Plain:
    """A reader that is derived from nothing."""


class Closed:
    """A reader whose objects take no attributes."""

    __slots__ = ()


def test_a_reader_measures_with_what_it_is_given() -> None:
    shared = TimeSpent()
    reader: Any
    for reader in (Plain(), Closed()):
        assert share_time_spent(shared, reader) is shared
    reader = Plain()
    assert time_spent_of(reader) is time_spent_of(reader) is reader.time_spent
    share_time_spent(shared, reader)
    assert time_spent_of(reader) is shared
    assert isinstance(time_spent_of(Closed()), TimeSpent)
