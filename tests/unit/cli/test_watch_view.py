from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.cli.watch_view import render_job
from watched_job import coverage, document, event, strip, worker


def lines(
    shown: dict[str, Any], width: int = 80, height: int | None = None, problem: str = ""
) -> list[str]:
    return [line.plain.rstrip() for line in render_job(shown, width, height, 0.0, problem)]


def test_a_running_job() -> None:
    text = lines(document(), 80)
    clock = text[0][-8:]
    assert text == [
        f"job digits  running{clock:>61}",
        "epoch 2/4  step 1,044  1,340/4,000 records  1,000 records/s  loss 0.25",
        "1:15 left  round 3 running for 1:05, 2/2 workers",
        "",
        "▄" * 80,
        "training epoch 2:  █ committed 34.0%  ▒ leased 6.0%  · waiting 60.0%",
        "",
        "worker  does      rank   step  records/s  retries  silent  time",
        "     0  training     0  1,044        500        0   0.2 s  train 70%, read 20%",
        "     1  training     1  1,044        500        0   0.2 s  train 70%, read 20%",
        "",
        "events",
        f"{clock}  the job began",
    ]


def test_a_narrow_terminal_leaves_out_where_little_time_goes() -> None:
    text = lines(document(), 60)
    assert max(map(len, text)) <= 60
    assert "worker  does      rank  records/s  silent  time" in text
    assert "     0  training     0        500   0.2 s  train 70%" in text
    retrying = lines(document(workers=[worker(0, num_retries=7)]), 60)
    assert "worker  does      rank  records/s  retries  silent  time" in retrying


def test_a_wide_terminal_tells_which_shards_are_leased() -> None:
    shards = [
        strip([0.0, 0.0, 1.0, 0.0], name="a", workers=[1]),
        strip([0.0, 0.0, 1.0, 0.0], name="b", workers=[1]),
        strip([0.0, 0.0, 0.0, 0.0], name="c"),
    ]
    text = "\n".join(lines(document(coverage=coverage(*shards)), 120))
    assert "records/s  has   retries" in text
    assert "      500  a +1        0" in text
    assert "      500  -           0" in text


def test_one_that_trains_alone_has_no_phase_and_no_round() -> None:
    alone = worker(0, phase="", rank=None, step=0)
    text = lines(document(round=None, workers=[alone]))
    assert "worker  records/s  retries  silent  time" in text
    assert "round" not in "\n".join(text)


def test_before_the_first_round() -> None:
    forming = {"number": 0, "state": "forming", "members": [], "since_s": 3.0}
    text = "  ".join(lines(document(round=forming)))
    assert "first round forming for 0:03, 0/2 workers" in text


def test_of_a_job_that_is_over_no_rate_is_shown() -> None:
    over = document(state="failed", reason="a bad\nfile", workers=[], remaining_s=3.0)
    text = lines(over)
    assert text[0].startswith("job digits  failed")
    assert text[1:3] == ["a bad file", "epoch 2/4  step 1,044  1,340/4,000 records  loss 0.25"]
    assert "worker" not in "\n".join(text)


def test_a_job_without_epochs_shows_none() -> None:
    predicting = document(num_epochs=1, epoch=0, step=0, loss=None)
    assert lines(predicting)[1].startswith("1,340/4,000 records  1,000 records/s")


def test_a_problem_is_told_at_the_top() -> None:
    assert lines(document(), problem="no answer")[1] == "no answer"


def test_warnings_and_the_last_evaluation_are_shown() -> None:
    evaluations = [{"epoch": 0, "step": step, "metrics": {"loss": 1 / step}} for step in (10, 20)]
    text = lines(
        document(workers=[worker(3, starvation="training waits")], evaluations=evaluations)
    )
    assert "validation at step 20:  loss 0.0500" in text
    assert "worker 3: training waits" in text


@pytest.mark.parametrize(("count", "shown"), [(1, "<0.1%"), (999_999, ">99.9%")])
def test_next_to_nothing_is_not_nothing(count: int, shown: str) -> None:
    few = coverage(records=1_000_000, quarantined=count, waiting=0, committed=0, tentative=0)
    assert any(f"quarantined {shown}" in line for line in lines(document(coverage=few)))


def test_text_of_others_cannot_act_on_the_terminal() -> None:
    text = lines(document(events=[event(1, "a\x1b[2J\x07b\nc")]))
    assert text[-1].endswith("  a?[2J?b c")


def test_workers_and_events_give_way_to_the_height() -> None:
    many = document(
        workers=[worker(each) for each in range(40)],
        events=[event(each, f"event {each}") for each in range(12)],
    )
    text = lines(many, 100, 24)
    assert len(text) <= 24
    assert text[-1].endswith("event 11")
    assert sum("event " in line for line in text) == 3
    shown = sum("training" in line and "train 70%" in line for line in text)
    assert f"… and {40 - shown} more workers" in text
    assert len(lines(many, 100)) == 7 + 41 + 2 + 8


@given(
    st.integers(20, 200),
    st.integers(5, 60),
    st.integers(0, 50),
    st.integers(0, 20),
    st.booleans(),
)
def test_it_fits(width: int, height: int, workers: int, events: int, starves: bool) -> None:
    shown = document(
        workers=[worker(each, starvation="it waits " * 30 * starves) for each in range(workers)],
        events=[event(each, "something happens " * 20) for each in range(events)],
        job="name" * 20,
    )
    text = render_job(shown, width, height, 0.0, "a problem " * 30)
    assert len(text) <= height
    assert max(line.cell_len for line in text) <= width
