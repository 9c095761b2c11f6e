from __future__ import annotations

import json
import random

import pytest

from elasticdl_like.master.quarantine import Quarantine, SetAside


def ranges(of: Quarantine) -> list[tuple[str, int, int, str]]:
    return [(*each,) for each in of]


def test_ranges_that_touch_become_one() -> None:
    one = Quarantine([SetAside("a", 5, 6, "torn"), SetAside("a", 7, 9, "torn")])
    assert ranges(one) == [("a", 5, 6, "torn"), ("a", 7, 9, "torn")]
    one.add(SetAside("a", 6, 7, "torn"))
    assert ranges(one) == [("a", 5, 9, "torn")]


def test_other_shards_and_other_problems_stay_apart() -> None:
    one = Quarantine()
    for each in (("b", 1, 2, "x"), ("a", 1, 2, "y"), ("a", 2, 3, "x"), ("a", 0, 1, "x")):
        one.add(SetAside(*each))
    assert ranges(one) == [
        ("a", 0, 1, "x"),
        ("a", 2, 3, "x"),
        ("a", 1, 2, "y"),
        ("b", 1, 2, "x"),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_in_whatever_order_they_come(seed: int) -> None:
    bad = [index for index in range(60) if index % 7]
    random.Random(seed).shuffle(bad)
    one = Quarantine()
    for index in bad:
        one.add(SetAside("a", index, index + 1, "torn"))
    assert ranges(one) == [
        ("a", start + 1, min(start + 7, 60), "torn") for start in range(0, 60, 7)
    ]


def test_json() -> None:
    one = Quarantine(
        [SetAside("a", 5, 6, "torn"), SetAside("a", 7, 9, "lost"), SetAside("b", 0, 1, "")]
    )
    plain = json.loads(json.dumps(one.to_plain()))
    assert ranges(Quarantine.from_plain(plain)) == ranges(one)
    assert Quarantine().to_plain() == []
