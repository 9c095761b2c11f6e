from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from elasticdl_like.data_readers.odps.fetched import Fetched, Run


def make_run(size_bytes: int = 1) -> Run:
    return Run({"x": np.zeros(1)}, size_bytes)


def test_a_run_is_fetched_once_by_however_many_threads() -> None:
    fetched, begun, go_on = Fetched(2, 100), threading.Event(), threading.Event()
    calls = []

    def fetch() -> Run:
        calls.append(1)
        begun.set()
        go_on.wait(10)
        return make_run()

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(lambda: fetched.get("a", fetch).result()) for _ in range(4)]
        assert begun.wait(10)
        go_on.set()
        assert len({id(each.result()) for each in asked}) == 1
    assert calls == [1]


def test_the_newest_that_fit_are_kept() -> None:
    fetched, calls = Fetched(1, 100), []

    def fetch(key: str, size_bytes: int) -> None:
        def now() -> Run:
            calls.append(key)
            return make_run(size_bytes)

        fetched.get(key, now).result()
        # The next one is fetched by the same thread, after it has noted this one.
        fetched._threads.submit(lambda: None).result()

    for key in "ab":
        fetch(key, 50)
    fetch("a", 50)
    fetch("c", 50)  # in the place of b
    fetch("a", 50)
    fetch("b", 50)
    fetch("large", 1000)
    fetch("large", 1000)
    fetch("a", 50)
    assert calls == ["a", "b", "c", "b", "large", "a"]


def test_what_failed_is_fetched_again_when_it_is_asked_for() -> None:
    fetched = Fetched(1, 100)

    def fail() -> Run:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        fetched.get("a", fail).result()
    assert fetched.get("a", make_run).result().size_bytes == 1
