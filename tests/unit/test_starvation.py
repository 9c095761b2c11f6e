"""When there is a warning that training starves, of what, and how often."""

from __future__ import annotations

import pytest

from elasticdl_like.activity import Activity
from elasticdl_like.starvation import Starvation, StarvationWatch, starvation
from elasticdl_like.time_shares import TimeWindow
from elasticdl_like.time_spent import TimeSpent

READING = {"reading": 1.0}
CASES = [
    # In each second: waiting for records, for parsing, and the input side meanwhile; the cause.
    (0.0, 0.0, READING, None),
    (0.2, 0.0, READING, None),
    (0.21, 0.0, READING, "reading"),
    (1.0, 0.0, READING, "reading"),
    (0.0, 0.2, {}, None),
    (0.0, 0.3, {}, "parsing"),
    (0.1, 0.15, READING, "parsing"),
    (0.15, 0.1, READING, "reading"),
    (0.4, 0.1, {"reading": 0.1, "decoding": 0.1, "waiting_for_master": 0.3}, "waiting_for_master"),
    (0.3, 0.2, {"reading": 0.1, "decoding": 0.1, "waiting_for_master": 0.1}, "parsing"),
    (0.3, 0.0, {"reading": 0.4, "decoding": 0.5}, "decoding"),
    (0.3, 0.0, {"waiting_for_master": 0.9, "reading": 0.1}, "waiting_for_master"),
    (0.3, 0.0, {"converting": 0.6, "reading": 0.1}, "converting"),
    (0.3, 0.0, {"reading": 3.0, "decoding": 1.0}, "reading"),
    (0.3, 0.0, {"reading": 0.1}, "parsing"),
    (0.3, 0.0, {"reading": 0.2}, "reading"),
    (0.3, 0.0, {}, "parsing"),
]
ADVICE = {
    "waiting_for_master": "--num_minibatches_per_task",
    "reading": "--read_threads or --prefetch_bytes",
    "decoding": "elasticdl data convert",
    "converting": "BatchDataReader",
    "parsing": "feed_batch in place of feed",
}


class Worker:
    """A worker's time, second by second."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.totals = TimeSpent().totals()
        self.watch = StarvationWatch()

    def spend(
        self, seconds: float, waiting: float, parsing: float = 0.0, **input_side: float
    ) -> None:
        rates = {
            "training": 1 - waiting - parsing,
            "waiting_for_input": waiting,
            "parsing": parsing,
            **{f"awaited_{name}": rate for name, rate in input_side.items()},
        }
        self.now_s += seconds
        for name, rate in rates.items():
            self.totals[name] += seconds * rate

    def look(self) -> Starvation | None:
        return self.watch.look(self.now_s, dict(self.totals))

    def run(self, seconds: int, waiting: float, **input_side: float) -> list[tuple[int, str]]:
        """Returns when there were warnings, in seconds from now, and of what."""
        warnings = []
        for second in range(2, seconds + 1, 2):
            self.spend(2, waiting, **input_side)
            if found := self.look():
                warnings.append((second, str(found.cause)))
        return warnings


@pytest.mark.parametrize(("waiting", "parsing", "input_side", "cause"), CASES)
def test_decision(
    waiting: float, parsing: float, input_side: dict[str, float], cause: str | None
) -> None:
    worker = Worker()
    worker.totals["training"] = 1.0
    window = TimeWindow()
    for _ in range(11):
        window.add(worker.now_s, dict(worker.totals))
        worker.spend(1, waiting, parsing, **input_side)
    found = starvation(window)
    if cause is None:
        assert found is None
        return
    assert found is not None
    assert (found.cause, found.window_s) == (cause, 10)
    assert found.waiting == pytest.approx(waiting + parsing)
    assert ADVICE[cause] in str(found)


def test_every_cause_has_advice() -> None:
    assert {case[3] for case in CASES} == {None, *ADVICE}
    assert str(Starvation(0.43, Activity.WAITING_FOR_MASTER, 30.2)) == (
        "training has waited for input 43% of the last 30 s, mostly waiting for master: "
        "make tasks larger with --num_minibatches_per_task; where epochs or evaluations take less "
        "than a second it is their ends that wait"
    )


def test_nothing_before_ten_seconds_of_steps() -> None:
    worker = Worker()
    worker.spend(100, 1.0, **READING)  # until the first batch is there
    assert worker.look() is None
    assert worker.run(30, 0.5, **READING) == [(12, "reading")]


def test_waits_before_the_first_step_do_not_count() -> None:
    worker = Worker()
    worker.spend(100, 1.0, **READING)
    assert worker.look() is None
    assert worker.run(100, 0.1, **READING) == []


def test_again_after_ten_minutes_or_for_another_cause() -> None:
    worker = Worker()
    assert worker.run(700, 0.5, **READING) == [(12, "reading"), (612, "reading")]
    ((changed_s, cause),) = worker.run(100, 0.5, decoding=1.0)
    assert cause == "decoding"
    assert changed_s <= 32
    # Back and forth is no news.
    assert worker.run(100, 0.5, **READING) == []


def test_a_moment_is_not_enough() -> None:
    worker = Worker()
    assert worker.run(60, 0.0, **READING) == []
    assert worker.run(4, 1.0, **READING) == []
    assert worker.run(60, 0.0, **READING) == []
