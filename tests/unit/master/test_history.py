from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.master.history import History, Sample, TimedEvaluation


def sample(time_s: float, records: int = 0, rate: float = 0.0, loss: float | None = None) -> Sample:
    return Sample(time_s, records, rate, loss, step=records // 2, epoch=0, num_workers=1)


def test_a_sample_a_second_is_kept_as_it_is() -> None:
    history = History()
    given = [sample(1000.0 + second, second, 2.0 * second, 1.0 / 3) for second in range(500)]
    for each in given:
        history.add(each)
    assert list(history.samples) == given


@given(
    st.lists(st.floats(0, 30), min_size=1, max_size=30),
    st.integers(1, 120),
)
@settings(derandomize=True, deadline=None, max_examples=50)
def test_a_long_job_is_thinned_evenly_and_ends_with_the_newest(
    steps: list[float], repeats: int
) -> None:
    history, time_s = History(), 1e9
    rates = []
    for number, step in enumerate(steps * repeats):
        time_s += step
        rates.append(float(number % 5))
        history.add(sample(time_s, number, rates[-1]))
    times = [each.time_s for each in history.samples]
    assert len(times) <= 1000
    assert times == sorted(times)
    assert history.samples[-1].records == len(rates) - 1
    assert times[-1] == time_s
    interval_s = history.to_plain()["interval_s"]
    assert all(later - earlier >= interval_s for earlier, later in pairwise(times[:-1]))
    assert all(0 <= each.records_per_s <= 4 for each in history.samples)
    # The interval is doubled only where so many would not fit otherwise.
    assert interval_s == 1 or (time_s - 1e9) / interval_s > 250


def test_a_day_is_kept_at_a_resolution_of_minutes() -> None:
    history = History()
    for second in range(86_400):
        history.add(sample(second, second, 1.0))
    assert 500 <= len(history.samples) <= 1000
    assert max(b.time_s - a.time_s for a, b in pairwise(history.samples)) <= 256


def test_the_rate_of_a_thinned_sample_is_that_of_its_time() -> None:
    history = History()
    for second in range(1001):
        history.add(sample(second, second, 10.0 if second % 2 else 30.0))
    rates = [each.records_per_s for each in history.samples]
    assert (len(rates), set(rates[:-1])) == (501, {20.0})


def test_going_back_shows() -> None:
    history = History()
    for time_s, records in ((1, 10), (2, 20), (3, 12)):
        history.add(sample(time_s, records))
    for step in (3, 5, 6):
        history.add_evaluation(TimedEvaluation(step, 0, step, {"loss": 1.0}))
    history.go_back(5)
    assert [each.records for each in history.samples] == [10, 20, 12]
    assert [each.step for each in history.evaluations] == [3, 5]


def test_an_evaluation_done_again_replaces_the_first() -> None:
    history = History()
    for time_s, loss in ((1.0, 0.5), (2.0, 0.4)):
        history.add_evaluation(TimedEvaluation(time_s, 0, 7, {"loss": loss}))
    assert list(history.evaluations) == [TimedEvaluation(2.0, 0, 7, {"loss": 0.4})]


def test_a_clock_that_is_set_back_goes_on_where_it_was() -> None:
    history = History()
    for time_s in (100.0, 101.0, 50.0, 60.0):
        history.add(sample(time_s, int(time_s)))
    found = [(each.time_s, each.records) for each in history.samples]
    assert found == [(100, 100), (101, 101), (101, 60)]


def test_what_is_no_number_is_no_json_number() -> None:
    history = History()
    history.add(sample(1.0, loss=math.nan))
    history.add_evaluation(TimedEvaluation(1.0, 0, 1, {"auc": math.inf, "loss": 2.0}))
    plain = json.loads(json.dumps(history.to_plain(), allow_nan=False))
    assert plain["samples"]["loss"] == [None]
    assert plain["evaluations"][0]["metrics"] == {"auc": None, "loss": 2.0}


def test_it_goes_on_from_its_json() -> None:
    history, other = History(), History()
    for second in range(1500):
        history.add(sample(second, second, 5.0, 0.5))
    history.add_evaluation(TimedEvaluation(7.5, 1, 30, {"loss": 0.25}))
    plain = json.loads(json.dumps(history.to_plain()))
    other = History.from_plain(plain)
    assert other.to_plain() == history.to_plain()
    other.add(sample(2000, 2000))
    assert other.samples[-1].records == 2000


@pytest.mark.parametrize(
    "plain",
    [
        {},
        [],
        {"samples": {}, "evaluations": [], "interval_s": 1},
        {"samples": {"time_s": "x"}, "evaluations": [], "interval_s": 1},
        History().to_plain() | {"evaluations": [{"time_s": 1}]},
        History().to_plain() | {"evaluations": [{"metrics": 1}]},
        History().to_plain() | {"interval_s": None},
    ],
)
def test_what_is_no_history_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"this is no history|could not convert"):
        History.from_plain(plain)
