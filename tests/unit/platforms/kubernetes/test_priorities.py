from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.priorities import class_of_worker, parse_priority
from elasticdl_like.platforms.kubernetes.settings import Priority


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("", Priority()),
        ("high", Priority("high")),
        ("high=0.5", Priority("high", 0.5)),
        ("high=0.5, low", Priority("high", 0.5, "low")),
        ("system.a-b=1", Priority("system.a-b")),
    ],
)
def test_priorities_are_classes_for_all_or_for_a_part(text: str, priority: Priority) -> None:
    assert parse_priority(text, "--p") == priority


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("high=x", "'x' is not a number"),
        ("high=0", "not above 0"),
        ("high=1.5", "not above 0"),
        ("high=nan", "not above 0"),
        ("0.5=high", "'high' is not a number"),
        ("0.5", "Write high=0.5"),
        ("=0.5", "cannot be the name of a PriorityClass"),
        ("High", "cannot be the name of a PriorityClass"),
        ("high,low", "which part of the pods gets 'high'"),
        ("high=0.5,", "'' cannot be the name"),
        ("high=0.5,low=0.5", "'low=0.5' cannot be the name"),
    ],
)
def test_a_wrong_priority_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_priority(text, "--p")
    assert message in str(caught.value)


@given(percent=st.integers(1, 100), workers=st.integers(0, 200))
def test_the_part_holds_for_any_number_of_workers(percent: int, workers: int) -> None:
    priority = Priority("high", percent / 100, "low")
    classes = [class_of_worker(priority, worker_id) for worker_id in range(workers)]
    assert classes.count("high") == math.ceil(workers * percent / 100 - 1e-9)
    assert set(classes) <= {"high", "low"}


def test_the_first_worker_has_the_class() -> None:
    assert class_of_worker(Priority("high", 0.01), 0) == "high"
    assert class_of_worker(Priority("high", 0.01), 1) == ""
    assert class_of_worker(Priority(), 0) == ""
