from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from elasticdl_like.data_readers.parquet.newest import Newest


class Maker:
    """Makes values that are their key, and counts."""

    def __init__(self, size: int = 1) -> None:
        self.made: list[str] = []
        self._size = size

    def get(self, newest: Newest[str, str], key: str) -> str:
        def make() -> tuple[str, int]:
            self.made.append(key)
            return key, self._size

        return newest.get(key, make)


def test_those_used_last_are_kept() -> None:
    newest: Newest[str, str] = Newest(2)
    maker = Maker()
    for key in "abacab":
        assert maker.get(newest, key) == key
    assert maker.made == ["a", "b", "c", "b"]


def test_the_last_is_kept_however_large() -> None:
    newest: Newest[str, str] = Newest(10)
    maker = Maker(size=11)
    for key in "aaba":
        maker.get(newest, key)
    assert maker.made == ["a", "b", "a"]


def test_threads_that_ask_for_the_same_get_one() -> None:
    newest: Newest[str, object] = Newest(1)
    begun, go_on = threading.Event(), threading.Event()
    made = []

    def make() -> tuple[object, int]:
        begun.set()
        assert go_on.wait(30)
        made.append(object())
        return made[-1], 1

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(newest.get, "a", make)
        assert begun.wait(30)
        others = [pool.submit(newest.get, "a", make) for _ in range(2)]
        # Another key does not wait.
        assert pool.submit(newest.get, "b", lambda: ("other", 0)).result(30) == "other"
        go_on.set()
        assert {future.result(30) for future in (first, *others)} == set(made)
    assert len(made) == 1


def test_what_failed_is_tried_again() -> None:
    newest: Newest[str, str] = Newest(1)

    def fail() -> tuple[str, int]:
        raise OSError("gone")

    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            newest.get("a", fail)
    assert newest.get("a", lambda: ("fine", 1)) == "fine"


def test_one_pushed_out_while_it_is_made_counts_once() -> None:
    newest: Newest[str, str] = Newest(2)
    maker = Maker()

    def make_slowly() -> tuple[str, int]:
        for key in "bcd":
            maker.get(newest, key)
        return "slow", 1

    assert newest.get("a", make_slowly) == "slow"
    for key in "ad":
        maker.get(newest, key)
    assert maker.made == ["b", "c", "d"]
