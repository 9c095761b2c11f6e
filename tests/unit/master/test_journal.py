from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.errors import JournalError, JournalWriteError
from elasticdl_like.master.journal import Journal, begin_journal
from elasticdl_like.tasks import Shard

TABLES = [[Shard("a", 0, 3), Shard("ö", 2**40, 2**50)], []]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = begin_journal(path, TABLES, {"state": 0}, "normal")
    yield journal
    journal.close()


def contents(path: Path) -> tuple[Any, ...]:
    journal = Journal(path, create=False)
    try:
        with journal.reading():
            return journal.tables(), journal.snapshot(), list(journal.events())
    finally:
        journal.close()


def edit(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_was_flushed_is_there_and_nothing_else(path: Path, journal: Journal) -> None:
    assert contents(path) == (TABLES, {"state": 0}, [])
    journal.append("A", b"one")
    journal.append("B", b"")
    assert contents(path)[2] == []
    journal.flush()
    journal.append("C", b"\x00\xff")
    assert contents(path)[2] == [("A", b"one"), ("B", b"")]
    journal.close()
    assert contents(path)[2] == [("A", b"one"), ("B", b"")]


def test_it_goes_on_with_the_next_number(path: Path, journal: Journal) -> None:
    journal.append("A", b"1")
    journal.flush()
    journal.close()
    again = Journal(path, create=False)
    assert again.next_sequence == 2
    again.append("B", b"2")
    again.flush()
    again.close()
    assert contents(path)[2] == [("A", b"1"), ("B", b"2")]


def test_a_snapshot_takes_the_place_of_the_events(path: Path, journal: Journal) -> None:
    for _ in range(3):
        journal.append("A", b"1")
    journal.flush()
    journal.append("A", b"not flushed, but in the snapshot")
    journal.save_snapshot({"state": 4})
    assert contents(path)[1:] == ({"state": 4}, [])
    journal.flush()
    journal.append("B", b"after")
    journal.flush()
    journal.close()
    assert contents(path)[1:] == ({"state": 4}, [("B", b"after")])
    again = Journal(path, create=False)
    assert again.next_sequence == 6
    again.close()


def test_it_counts_the_events_since_the_snapshot(path: Path, journal: Journal) -> None:
    journal.save_snapshot({"state": 1})
    assert journal.num_events == 0
    for _ in range(3):
        journal.append("A", b"1")
    assert journal.num_events == 3
    journal.flush()
    journal.close()
    again = Journal(path, create=False)
    assert again.num_events == 3
    again.save_snapshot({"state": 2})
    assert again.num_events == 0
    again.close()


def test_tables_are_added(path: Path, journal: Journal) -> None:
    journal.add_table(2, [Shard("new", 0, 1)])
    assert contents(path)[0] == [*TABLES, [Shard("new", 0, 1)]]


def test_the_file_does_not_grow_with_the_work_that_is_done(path: Path, journal: Journal) -> None:
    for _ in range(16):
        for _ in range(4000):
            journal.append("A", bytes(100))
        journal.flush()
        journal.save_snapshot({"state": 1})
    # SQLite lets its log grow to 4 MB; without snapshots it would be more than that.
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 6_000_000


# What is not a journal.


def test_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"is not a job directory: no journal\.sqlite"):
        Journal(tmp_path / "nowhere" / "journal.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"SQLite format 3\x00", bytes(10_000), b"\xff" * 5000]
)
def test_something_else(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    with pytest.raises(JournalError, match=r"journal\.sqlite is damaged .*--overwrite"):
        contents(path)


def test_a_directory(path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalWriteError, match="cannot be used now: unable to open"):
        Journal(path, create=False)
    with pytest.raises(JournalWriteError, match="unable to open"):
        Journal(path, create=True)


def test_another_database(path: Path) -> None:
    edit(path, "CREATE TABLE events (sequence INTEGER)")
    with pytest.raises(JournalError, match="not a journal of elasticdl"):
        Journal(path, create=False)


@pytest.mark.parametrize(("version", "age"), [(2, "an older"), (4, "a newer")])
def test_another_version(path: Path, journal: Journal, version: int, age: str) -> None:
    journal.close()
    edit(path, f"PRAGMA user_version = {version}")
    with pytest.raises(JournalError, match=rf"{age} version .*\(format {version}, .* reads 3\)"):
        Journal(path, create=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM events WHERE sequence = 2", "event 2 is missing"),
        ("DELETE FROM events WHERE sequence = 1", "event 1 is missing"),
        ("UPDATE events SET sequence = 9 WHERE sequence = 3", "event 3 is missing"),
        ("UPDATE events SET body = x'00' WHERE sequence = 2", "event 2 is not what was written"),
        ("UPDATE events SET kind = 'X' WHERE sequence = 2", "event 2 is not what was written"),
        ("UPDATE events SET body = 'text' WHERE sequence = 2", "event 2 is not what was written"),
        ("UPDATE events SET body = 5 WHERE sequence = 2", "event 2 is not what was written"),
        ("DELETE FROM snapshot", "no snapshot"),
        ("UPDATE snapshot SET body = x'7b7d'", "the snapshot at event 0 is not what was written"),
        ("UPDATE snapshot SET sequence = 1", "the snapshot at event 1 is not what was written"),
        ("DELETE FROM tables WHERE number = 0", "table 0 is missing"),
        ("UPDATE tables SET body = x'00' WHERE number = 1", "table 1 is not what was written"),
        ("DROP TABLE events", "no such table"),
        ("DROP TABLE tables", "no such table"),
    ],
)
def test_what_is_missing_or_changed_is_found(
    path: Path, journal: Journal, change: str, words: str
) -> None:
    for _ in range(3):
        journal.append("A", b"body")
    journal.flush()
    journal.close()
    edit(path, change)
    with pytest.raises(JournalError, match=words):
        contents(path)


# Beginnings.


def test_a_beginning_that_is_cut_off_leaves_no_journal(path: Path) -> None:
    killed = run_python(
        """
import os, signal, sys
from pathlib import Path
from elasticdl_like.master import journal
class Killed(journal.Journal):
    def save_snapshot(self, state):
        os.kill(os.getpid(), signal.SIGKILL)
journal.Journal = Killed
journal.begin_journal(Path(sys.argv[1]), [[]], {}, "normal")
""",
        path,
    )
    assert killed.returncode == -9
    assert not path.exists()
    begin_journal(path, TABLES, {"state": 0}, "full").close()
    assert contents(path) == (TABLES, {"state": 0}, [])
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}-last"}


def test_a_journal_is_not_begun_over_another(path: Path, journal: Journal) -> None:
    with pytest.raises(JournalWriteError):
        Journal(path, create=True)
    assert contents(path)[0] == TABLES


# Death, a full disk, and others who read.


def test_opened_on_a_full_disk_it_is_not_called_damaged(path: Path, journal: Journal) -> None:
    # Opening a log needs room for its index.
    journal.append("A", b"1")
    journal.flush()
    opened = run_python(
        """
import resource, signal, sys
from pathlib import Path
from elasticdl_like.errors import JournalWriteError
from elasticdl_like.master.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
for file in path.parent.glob("*-shm"):
    file.unlink()
try:
    journal = Journal(path, create=False)
    list(journal.events())
    journal.append("A", b"2")
    journal.flush()
except JournalWriteError as error:
    print(error)
""",
        path,
    )
    assert "journal.sqlite cannot be" in opened.stdout, opened.stderr
    assert "damaged" not in opened.stdout


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_everything_flushed_survives_sigkill(path: Path, journal: Journal, sync: str) -> None:
    journal.close()
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            """
import itertools, sys
from pathlib import Path
from elasticdl_like.master.journal import Journal
journal = Journal(Path(sys.argv[1]), create=False, sync=sys.argv[2])
for number in itertools.count(1):
    journal.append("A", b"%d" % number * 50)
    journal.flush()
    print(number, flush=True)
""",
            str(path),
            sync,
        ],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    try:
        for line in writer.stdout:
            if int(line) == 700:
                break
    finally:
        writer.kill()
        rest = writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
    last = int(rest[-1]) if rest else 700
    found = contents(path)[2]
    assert len(found) in (last, last + 1)
    assert found == [("A", b"%d" % (number + 1) * 50) for number in range(len(found))]


def test_a_full_disk_is_waited_for(path: Path, journal: Journal) -> None:
    journal.close()
    done = run_python(
        """
import resource, sys
from pathlib import Path
from elasticdl_like.errors import JournalWriteError
from elasticdl_like.master.journal import Journal
path = Path(sys.argv[1])
journal = Journal(path, create=False)
journal.append("first", bytes(1000))
journal.flush()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
for number in range(5):
    journal.append("second", bytes(20_000))
refused = 0
for attempt in (journal.flush, lambda: journal.save_snapshot({"x": "y" * 100_000}), journal.flush,
                lambda: journal.add_table(2, [])):
    try:
        attempt()
    except JournalWriteError as error:
        assert "cannot be written" in str(error), error
        refused += 1
print(refused)
reader = Journal(path, create=False)
print(len(list(reader.events())))
reader.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
journal.append("third", b"")
journal.flush()
journal.close()
""",
        path,
    )
    assert done.returncode == 0, done.stderr
    refused, seen = map(int, done.stdout.split())
    assert refused >= 3
    assert seen == 1
    _, snapshot, events = contents(path)
    assert snapshot == {"state": 0}
    assert [kind for kind, _ in events] == ["first", *["second"] * 5, "third"]
    assert {body for kind, body in events if kind == "second"} == {bytes(20_000)}


def test_one_reads_while_another_writes(path: Path, journal: Journal) -> None:
    seen: list[int] = []
    errors: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                _, snapshot, events = contents(path)
                # Whatever the moment: a whole state.
                assert [int(body) for _, body in events] == [
                    snapshot["state"] + 1 + number for number in range(len(events))
                ]
                seen.append(snapshot["state"] + len(events))
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 3000):
        journal.append("A", b"%d" % number)
        journal.flush()
        if number % 100 == 0:
            journal.save_snapshot({"state": number})
        if errors:
            break
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert seen
    assert contents(path)[1] == {"state": 2900}
