from __future__ import annotations

import logging
from pathlib import Path

import pytest

from elasticdl_like.master.event_log import EventFile, EventKind, EventLog, JobEvent


def log_of(number: int) -> EventLog:
    log = EventLog()
    for each in range(number):
        log.add(1000.0 + each, EventKind.JOB, f"event {each}")
    return log


def plain(log: EventLog, after: int = 0) -> list[dict[str, object]]:
    return [event.to_plain() for event in log.after(after)]


def test_events_are_numbered_and_told_from_any_number_on() -> None:
    log = log_of(3)
    log.add(2000.5, EventKind.WORKER_LOST, "worker 2 is lost", 2)
    assert [event.id for event in log.after(0)] == [1, 2, 3, 4]
    assert plain(log, 3) == [
        {
            "id": 4,
            "time_s": 2000.5,
            "kind": "worker_lost",
            "text": "worker 2 is lost",
            "worker_id": 2,
        }
    ]
    assert log.after(4) == []
    assert log.after(99) == []


def test_the_last_thousand_are_kept_and_a_long_text_is_cut_to_one_line() -> None:
    log = log_of(2500)
    assert [event.id for event in log.after(0)] == list(range(1501, 2501))
    event = log.add(1.0, EventKind.WARNING, "a\n b\t" + "x" * 9000)
    assert event.text.startswith("a b xxx")
    assert len(event.text) == 500


def test_a_file_is_gone_on_with(tmp_path: Path) -> None:
    path, log = tmp_path / "events.jsonl", log_of(3)
    first = EventFile(path)
    assert first.load() == []
    assert first.append(plain(log))
    second = EventFile(path)
    log = EventLog(second.load())
    log.add(5.0, EventKind.EPOCH, "ä “quoted”", None)
    assert second.append(plain(log, 3))
    assert [event.text for event in EventFile(path).load()] == [
        *("event 0", "event 1", "event 2"),
        "ä “quoted”",
    ]
    assert [event.id for event in EventFile(path).load()] == [1, 2, 3, 4]


@pytest.mark.parametrize("torn", [b'{"id": 4, "time_', b"\x00\x00\x00", b'{"id": 4}'])
def test_a_torn_last_line_is_ignored_and_overwritten(tmp_path: Path, torn: bytes) -> None:
    path, log = tmp_path / "events.jsonl", log_of(3)
    EventFile(path).append(plain(log))
    with path.open("ab") as file:
        file.write(torn)
    again = EventFile(path)
    log = EventLog(again.load())
    assert [event.id for event in log.after(0)] == [1, 2, 3]
    log.add(5.0, EventKind.EPOCH, "next")
    assert again.append(plain(log, 3))
    assert [event.text for event in EventFile(path).load()][-1] == "next"
    assert path.read_bytes().count(b"\n") == 4
    assert len(EventFile(path).load()) == 4


def test_lines_that_are_no_events_are_left_out(tmp_path: Path) -> None:
    path, log = tmp_path / "events.jsonl", log_of(2)
    path.write_bytes(b'nonsense\n[]\n{"id": 9, "kind": "from the future"}\n')
    file = EventFile(path)
    assert file.load() == []
    file.append(plain(log))
    assert len(EventFile(path).load()) == 2


def test_of_a_large_file_the_end_is_read(tmp_path: Path) -> None:
    path, log = tmp_path / "events.jsonl", EventLog()
    file = EventFile(path)
    for number in range(12):
        events = [log.add(1.0, EventKind.JOB, f"{number} {'x' * 400}") for _ in range(500)]
        file.append([event.to_plain() for event in events])
    assert path.stat().st_size > 1 << 21
    loaded = EventFile(path).load()
    assert loaded[-1].id == 6000
    assert len(EventLog(loaded).after(0)) == 1000


def test_a_file_that_cannot_be_written_is_warned_of_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, log = tmp_path / "events.jsonl", log_of(2)
    file = EventFile(path)
    path.mkdir()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert not file.append(plain(log))
    assert len(caplog.records) == 1
    assert "Is a directory" in caplog.text
    path.rmdir()
    assert file.append(plain(log))
    assert len(EventFile(path).load()) == 2


def test_what_was_half_written_is_overwritten(tmp_path: Path) -> None:
    path, log = tmp_path / "events.jsonl", log_of(2)
    file = EventFile(path)
    file.append(plain(log)[:1])
    with path.open("ab") as other:  # as a write that failed leaves it
        other.write(b'{"id": 2, "ti')
    assert file.append(plain(log, 1))
    assert [event.id for event in EventFile(path).load()] == [1, 2]


def test_an_event_is_what_its_line_says() -> None:
    event = JobEvent(7, 12.5, EventKind.ROUND, "round 2", None)
    with pytest.raises(ValueError, match="is no event"):
        JobEvent.from_json(b'{"id": 1, "time_s": 2}')
    assert JobEvent(**event.to_plain()) == event
