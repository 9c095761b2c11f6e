"""Predictions wait for their output, in their order, and not too many of them."""

from __future__ import annotations

import threading

import pytest

from elasticdl_like.worker.output_thread import OutputThread, Predicted

TIMEOUT_S = 20.0


class Output:
    """Notes what it is told; `may_take` holds it up."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.is_taking = threading.Event()
        self.may_take = threading.Event()
        self.may_take.set()
        self.flushed = threading.Event()

    def take(self, predicted: Predicted) -> None:
        self.is_taking.set()
        assert self.may_take.wait(TIMEOUT_S)
        if predicted.problem:
            raise ValueError(predicted.problem)
        self.told.append(predicted.predictions)

    def flush(self) -> None:
        self.told.append("flush")
        self.flushed.set()


def numbered(number: int, weight: int = 1) -> Predicted:
    return Predicted((), number, weight=weight)


def test_the_order_is_kept_and_leaving_waits_for_the_last() -> None:
    output = Output()
    with OutputThread(output, 3) as thread:
        for number in range(100):
            thread.put(numbered(number))
    assert output.told == [*range(100), "flush"]


def test_a_flush_comes_after_what_was_put_before_it_and_once() -> None:
    output = Output()
    with OutputThread(output, 10) as thread:
        thread.put(numbered(0))
        thread.flush()
        assert output.flushed.wait(TIMEOUT_S)
        thread.flush()
        thread.put(numbered(1))
    assert output.told == [0, "flush", 1, "flush"]


def test_no_more_may_wait_than_is_allowed() -> None:
    output = Output()
    output.may_take.clear()
    put = []

    def put_all(thread: OutputThread) -> None:
        for number in range(5):
            thread.put(numbered(number, weight=4))
            put.append(number)

    with OutputThread(output, 10) as thread:
        putting = threading.Thread(target=put_all, args=(thread,))
        putting.start()
        assert output.is_taking.wait(TIMEOUT_S)
        putting.join(0.2)
        # One is being taken, and counts as well until it is.
        assert len(put) <= 3
        assert putting.is_alive()
        output.may_take.set()
        putting.join()
    assert output.told == [*range(5), "flush"]


def test_a_batch_that_is_too_heavy_is_taken_alone() -> None:
    output = Output()
    with OutputThread(output, 10) as thread:
        for number in range(3):
            thread.put(numbered(number, weight=100))
    assert output.told == [0, 1, 2, "flush"]


@pytest.mark.parametrize("how", ["put", "leave"])
def test_an_error_of_the_output_is_raised_where_predictions_are_made(how: str) -> None:
    def run() -> None:
        with OutputThread(Output(), 2) as thread:
            thread.put(Predicted((), None, problem="full disk"))
            while how == "put":
                thread.put(numbered(1))

    with pytest.raises(ValueError, match="full disk"):
        run()


def test_what_waits_is_dropped_after_an_error() -> None:
    output = Output()
    output.may_take.clear()

    def run() -> None:
        with OutputThread(output, 10) as thread:
            for number in range(5):
                thread.put(numbered(number))
            assert output.is_taking.wait(TIMEOUT_S)
            threading.Timer(0.05, output.may_take.set).start()
            raise KeyError("of the model")

    with pytest.raises(KeyError):
        run()
    assert output.told == [0]
