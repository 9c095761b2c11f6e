"""A journal with bits flipped and ends cut off: an error, or exactly what was written."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.errors import JournalError
from elasticdl_like.master.journal import Journal, begin_journal
from elasticdl_like.tasks import Shard

TABLE = [Shard(f"shard {number}", 0, number + 1) for number in range(200)]
EVENTS_PER_FLUSH = 8


@dataclass(frozen=True)
class Written:
    """What is in the files when the master is killed, and every state that was ever flushed."""

    main: bytes
    wal: bytes
    last: bytes
    states: list[Any]


def event(number: int) -> tuple[str, bytes]:
    return "LeaseRequest", random.Random(number).randbytes(number % 120)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A journal of which one part is in the file itself and the other in its write-ahead log."""
    path = tmp_path_factory.mktemp("written") / "journal.sqlite"
    journal = begin_journal(path, [TABLE], {"text": "x" * 5000}, "normal")
    states: list[Any] = [([TABLE], {"text": "x" * 5000}, [])]
    for flush in range(20):
        for each in range(EVENTS_PER_FLUSH):
            journal.append(*event(flush * EVENTS_PER_FLUSH + each))
        journal.flush()
        states.append((*states[0][:2], [event(n) for n in range((flush + 1) * EVENTS_PER_FLUSH)]))
        if flush == 9:
            journal.close()  # moves everything to the file
            journal = Journal(path, create=False)
    files = [path.parent / f"journal.sqlite{suffix}" for suffix in ("", "-wal", "-last")]
    bodies = [file.read_bytes() for file in files]
    journal.close()
    return Written(*bodies, states)


def read(path: Path, main: bytes, wal: bytes, last: bytes = b"") -> Any:
    """Returns what is read from such files, or None when they are refused."""
    for old in path.parent.iterdir():
        old.unlink()
    for suffix, body in (("", main), ("-wal", wal), ("-last", last)):
        if body:
            path.with_name(f"{path.name}{suffix}").write_bytes(body)
    try:
        journal = Journal(path, create=False)
        try:
            with journal.reading():
                return journal.tables(), journal.snapshot(), list(journal.events())
        finally:
            journal.close()
    except JournalError:
        return None


def flipped(body: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(body)
    changed[position] ^= 1 << bit
    return bytes(changed)


def test_undamaged(written: Written, tmp_path: Path) -> None:
    assert len(written.wal) > 10_000
    assert read(tmp_path / "journal.sqlite", written.main, written.wal) == written.states[-1]
    assert read(tmp_path / "journal.sqlite", written.main, b"") == written.states[10]


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_in_the_file(written: Written, tmp_path: Path, seed: int) -> None:
    rng, refused = random.Random(seed), 0
    positions = [rng.randrange(len(written.main)) for _ in range(100)]
    positions += [rng.randrange(100) for _ in range(25)]  # the header
    for position in positions:
        main = flipped(written.main, position, rng.randrange(8))
        for wal, whole in ((b"", written.states[10]), (written.wal, written.states[-1])):
            found = read(tmp_path / "journal.sqlite", main, wal)
            assert found is None or found == whole, position
            refused += found is None
    assert refused > 20


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_in_the_log(written: Written, tmp_path: Path, seed: int) -> None:
    # To SQLite the log ends there; that it was longer is known from the number beside it.
    rng, refused = random.Random(seed), 0
    for _ in range(60):
        wal = flipped(written.wal, rng.randrange(len(written.wal)), rng.randrange(8))
        found = read(tmp_path / "journal.sqlite", written.main, wal, written.last)
        assert found is None or found == written.states[-1]
        refused += found is None
    assert refused > 20


def test_a_file_that_is_cut_off(written: Written, tmp_path: Path) -> None:
    rng = random.Random(0)
    sizes = {rng.randrange(len(written.main)) for _ in range(60)} | set(range(0, 200, 20))
    for size in sizes | {len(written.main) - 1, len(written.main) - 4096}:
        found = read(tmp_path / "journal.sqlite", written.main[:size], b"")
        assert found is None, size


def test_a_log_that_is_cut_off(written: Written, tmp_path: Path) -> None:
    rng = random.Random(0)
    for size in {rng.randrange(len(written.wal)) for _ in range(60)} | {0, 1, 31, 32, 33}:
        wal = written.wal[:size]
        assert read(tmp_path / "journal.sqlite", written.main, wal, written.last) is None, size


def test_a_log_that_was_cut_off_when_the_power_failed(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    before_the_machine_was_started_anew = written.last.split()[0] + b" another boot"
    found = read(path, written.main, b"", before_the_machine_was_started_anew)
    assert found == written.states[10]
    path.with_name("journal.sqlite-last").write_bytes(before_the_machine_was_started_anew)
    journal = Journal(path, create=False)
    assert journal.num_lost == 10 * EVENTS_PER_FLUSH
    journal.close()


@pytest.mark.parametrize("seed", range(2))
def test_a_run_of_garbage(written: Written, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        start = rng.randrange(len(written.main))
        garbage = rng.randbytes(rng.randrange(1, 5000))
        main = written.main[:start] + garbage + written.main[start + len(garbage) :]
        found = read(tmp_path / "journal.sqlite", main, b"")
        assert found is None or found == written.states[10]
