"""The journal of a job: every event, in the order it happened, in a SQLite file.

    meta        the format's version is SQLite's user_version
    tables      the tables of shards, each written once
    snapshot    the state after some event, one row
    events      what happened since, one row an event

Write-ahead logging makes an event safe from the death of the process once its transaction has
ended; `full` synchronisation makes it safe from the loss of power too. A snapshot takes the place
of the events before it, so that the file does not grow with the work that is done.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elasticdl_like.errors import JournalError, JournalWriteError
from elasticdl_like.master.checkpoints import replace_durably
from elasticdl_like.master.shard_codec import shards_from_plain, shards_to_plain
from elasticdl_like.master.watermark import Watermark
from elasticdl_like.tasks import Shard

_APPLICATION_ID = 0x656C6A6C  # "eljl"
_FORMAT_VERSION = 3
_BUSY_TIMEOUT_S = 5.0
# SQLite's names for a file that is not what it was; any other error is of the machine.
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_MISMATCH"}
_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?)"

_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_FORMAT_VERSION};
CREATE TABLE tables (number INTEGER PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE snapshot (
  only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
  sequence INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL);
"""


class Journal:
    """An open journal. Not thread-safe: whoever owns it makes one call at a time.

    Args:
        path: the file.
        create: whether it is a new one; otherwise there must be a journal.
        sync: "normal" to survive the death of the process, "full" to survive the loss of power.

    Raises:
        JournalError: there is no journal, or it is damaged, or from a newer version.
        JournalWriteError: it cannot be written, or not be opened for now.
    """

    def __init__(self, path: Path, create: bool, sync: str = "normal") -> None:
        self.path = path
        self._pending: list[tuple[int, str, bytes, int]] = []
        if not create and not path.exists():
            raise JournalError(f"{path.parent} is not a job directory: no {path.name}")
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._watermark = Watermark(watermark_path(path))
            except BaseException:
                self._connection.close()
                raise
            try:
                # Before the events are: a master may be writing meanwhile.
                last, is_another_boot = self._watermark.read()
                self._prepare(create, sync)
                self._num_lost = 0 if create else max(last + 1 - self._next_sequence, 0)
                if self._num_lost and not is_another_boot:
                    raise self._damaged(f"{self._num_lost} events at its end are gone")
            except BaseException:
                self.close()
                raise
        except (sqlite3.Error, OSError) as error:
            if create:
                raise JournalWriteError(f"{path} cannot be written: {error}") from error
            raise self._explained(error) from error

    @property
    def next_sequence(self) -> int:
        """The number that the next event gets."""
        return self._next_sequence

    @property
    def num_events(self) -> int:
        """How many events there are after the snapshot, written or not."""
        return self._next_sequence - 1 - self._last_snapshot

    @property
    def num_lost(self) -> int:
        """How many events were lost with the power; always 0 with "full" synchronisation."""
        return self._num_lost

    def append(self, kind: str, body: bytes) -> None:
        """Adds an event; it is safe only when `flush` has returned."""
        sequence = self._next_sequence
        self._next_sequence += 1
        self._pending.append((sequence, kind, body, _checksum(sequence, kind, body)))

    def flush(self) -> None:
        """Writes, in one transaction, what was added.

        Raises:
            JournalWriteError: it cannot be written now, and is kept for the next try.
        """
        if not self._pending:
            return
        try:
            if len(self._pending) == 1:  # a transaction by itself
                self._connection.execute(_INSERT_EVENT, self._pending[0])
            else:
                self._connection.execute("BEGIN")
                self._connection.executemany(_INSERT_EVENT, self._pending)
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise JournalWriteError(f"{self.path} cannot be written: {error}") from error
        self._pending.clear()
        self._raise_watermark()

    def save_snapshot(self, state: Mapping[str, Any]) -> None:
        """Replaces every event, written or not, by the state that they led to.

        Raises:
            JournalWriteError: it cannot be written now; everything stays as it was.
        """
        body = json.dumps(state).encode()
        sequence = self._next_sequence - 1
        row = (sequence, body, _checksum(sequence, "", body))
        try:
            self._connection.execute("BEGIN")
            self._connection.execute("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?, ?)", row)
            self._connection.execute("DELETE FROM events")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise JournalWriteError(f"{self.path} cannot be written: {error}") from error
        self._pending.clear()
        self._last_snapshot = sequence
        self._raise_watermark()

    def add_table(self, number: int, shards: Sequence[Shard]) -> None:
        """Writes a table of shards.

        Raises:
            JournalWriteError: it cannot be written.
        """
        body = zlib.compress(json.dumps(shards_to_plain(shards)).encode(), 1)
        try:
            self._connection.execute(
                "INSERT OR REPLACE INTO tables VALUES (?, ?, ?)",
                (number, body, _checksum(number, "", body)),
            )
        except sqlite3.Error as error:
            raise JournalWriteError(f"{self.path} cannot be written: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Makes everything that is read in the context belong together, whoever writes meanwhile.

        Raises:
            JournalError: the journal cannot be read.
        """
        try:
            self._connection.execute("BEGIN")
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error
        finally:
            self._roll_back()

    def tables(self) -> list[list[Shard]]:
        """Returns every table of shards, in the order of their numbers.

        Raises:
            JournalError: the journal is damaged.
        """
        found = []
        query = "SELECT number, body, crc FROM tables ORDER BY number"
        for index, (number, body, crc) in enumerate(self._rows(query)):
            if number != index:
                raise self._damaged(f"table {index} is missing")
            self._check(number, "", body, crc, f"table {number}")
            found.append(shards_from_plain(json.loads(zlib.decompress(body))))
        return found

    def snapshot(self) -> dict[str, Any]:
        """Returns the state that the events follow.

        Raises:
            JournalError: there is none, or the journal is damaged.
        """
        for sequence, body, crc in self._rows("SELECT sequence, body, crc FROM snapshot"):
            self._check(sequence, "", body, crc, f"the snapshot at event {sequence}")
            state: dict[str, Any] = json.loads(body)
            return state
        raise self._damaged("it has no snapshot")

    def events(self) -> Iterator[tuple[str, bytes]]:
        """Yields kind and body of each event after the snapshot.

        Raises:
            JournalError: the journal is damaged.
        """
        expected = self._snapshot_sequence() + 1
        query = "SELECT sequence, kind, body, crc FROM events ORDER BY sequence"
        for sequence, kind, body, crc in self._rows(query):
            if sequence != expected:
                raise self._damaged(f"event {expected} is missing")
            self._check(sequence, kind, body, crc, f"event {sequence}")
            yield kind, body
            expected += 1

    def close(self) -> None:
        """Closes the file; what was added and not flushed is lost."""
        self._connection.close()
        self._watermark.close()

    def _prepare(self, create: bool, sync: str) -> None:
        execute = self._connection.execute
        execute(f"PRAGMA synchronous = {'FULL' if sync == 'full' else 'NORMAL'}")
        if create:
            execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
            last_event = self._last_snapshot = 0
        else:
            ((application_id,),) = execute("PRAGMA application_id")
            ((version,),) = execute("PRAGMA user_version")
            if application_id != _APPLICATION_ID:
                raise self._damaged("it is not a journal of elasticdl")
            if version != _FORMAT_VERSION:
                age = "a newer" if version > _FORMAT_VERSION else "an older"
                raise JournalError(
                    f"{self.path} was written by {age} version of elasticdl (format {version}, "
                    f"this version reads {_FORMAT_VERSION}); use that version"
                )
            problems = [row[0] for row in execute("PRAGMA quick_check(1)")]
            if problems != ["ok"]:
                raise self._damaged(problems[0])
            with self.reading():
                self._last_snapshot = self._snapshot_sequence()
                ((last_event,),) = execute("SELECT max(sequence) FROM events")
        self._next_sequence: int = (last_event or self._last_snapshot) + 1

    def _raise_watermark(self) -> None:
        try:
            self._watermark.write(self._next_sequence - 1)
        except OSError as error:
            raise JournalWriteError(f"{self.path} cannot be written: {error}") from error

    def _snapshot_sequence(self) -> int:
        for (sequence,) in self._rows("SELECT sequence FROM snapshot"):
            return int(sequence)
        return 0

    def _rows(self, query: str) -> list[Any]:
        try:
            return self._connection.execute(query).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _roll_back(self) -> None:
        # A full disk may have ended the transaction already.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _check(self, sequence: int, kind: str, body: bytes, crc: int, what: str) -> None:
        # In a damaged file a column may hold anything.
        if not isinstance(body, bytes) or _checksum(sequence, kind, body) != crc:
            raise self._damaged(f"{what} is not what was written")

    def _explained(self, error: sqlite3.Error | OSError) -> JournalError | JournalWriteError:
        """Returns what an error of SQLite means: damage, or a disk that is full, say."""
        name = getattr(error, "sqlite_errorname", "")
        if name in _DAMAGED or (isinstance(error, sqlite3.Error) and not name):
            return self._damaged(str(error))
        return JournalWriteError(
            f"{self.path} cannot be used now: {error}; give the same command again once that is "
            "put right"
        )

    def _damaged(self, problem: str) -> JournalError:
        return JournalError(
            f"{self.path} is damaged ({problem}); restore it from a copy, or go on from a "
            "checkpoint with --resume_from in another --job_dir; --overwrite starts anew"
        )


def watermark_path(journal: Path) -> Path:
    """Returns where the number of a journal's last event is kept."""
    return journal.with_name(f"{journal.name}-last")


def begin_journal(
    path: Path, tables: Sequence[Sequence[Shard]], state: Mapping[str, Any], sync: str
) -> Journal:
    """Makes the journal of a new job; there is none, or a whole one, whenever this is cut off.

    Args:
        path: the file.
        tables: every table of shards.
        state: the first snapshot.
        sync: as for `Journal`.

    Raises:
        JournalWriteError: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.new")
    try:
        for suffix in ("", "-wal", "-shm", "-last"):
            unfinished.with_name(f"{unfinished.name}{suffix}").unlink(missing_ok=True)
        journal = Journal(unfinished, create=True, sync=sync)
        try:
            for number, table in enumerate(tables):
                journal.add_table(number, table)
            journal.save_snapshot(state)
        finally:
            journal.close()
        watermark_path(unfinished).unlink()
        replace_durably(unfinished, path)
    except OSError as error:
        raise JournalWriteError(f"{path} cannot be written: {error.strerror}") from error
    return Journal(path, create=False, sync=sync)


def _checksum(sequence: int, kind: str, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(f"{sequence} {kind}".encode()))
