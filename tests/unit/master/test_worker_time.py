"""The time of a worker whose processes each begin at 0."""

from elasticdl_like.master.worker_time import WorkerTime
from elasticdl_like.starvation import StarvationWatch


def test_one_process_tells_more_and_more() -> None:
    time = WorkerTime()
    time.note(0, {"training": 1.0}, 1)
    time.note(0, {"training": 3.0, "reading": 1.0}, 2)
    assert time.seconds == {"training": 3.0, "reading": 1.0}
    assert time.num_retries == 2


def test_the_next_round_is_added_to_those_before() -> None:
    time = WorkerTime()
    time.note(1, {"training": 3.0, "reading": 1.0}, 2)
    time.note(2, {"training": 0.5, "parsing": 0.25}, 1)
    time.note(2, {"training": 1.0, "parsing": 0.5}, 1)
    assert time.seconds == {"training": 4.0, "reading": 1.0, "parsing": 0.5}
    assert time.num_retries == 3


def test_a_new_round_is_no_starvation() -> None:
    time, watch, watch_of_processes = WorkerTime(), StarvationWatch(), StarvationWatch()
    warned = []
    for now_s in range(0, 60, 2):
        # The first process trains all the time, as do the others once they have got their data.
        round_number, age_s = 1 + now_s // 30, float(now_s % 30)
        waiting_s = min(age_s, 2.0) if round_number > 1 else 0.0
        told = {"training": age_s - waiting_s, "waiting_for_input": waiting_s}
        time.note(round_number, told, 0)
        assert watch.look(float(now_s), time.seconds) is None
        warned.append(watch_of_processes.look(float(now_s), told))
    assert any(warned)
