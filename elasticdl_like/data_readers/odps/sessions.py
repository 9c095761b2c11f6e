"""Download sessions: snapshots of a table, or of a partition, that all workers read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elasticdl_like.data_readers.odps.client import OdpsClient
from elasticdl_like.data_readers.odps.failures import Failure, failure_of
from elasticdl_like.data_readers.odps.patience import Patience
from elasticdl_like.errors import DataChangedError, DataError


@dataclass(frozen=True)
class Locator:
    """What workers need to read the very snapshot that the master has counted.

    Attributes:
        session_id: of the download session.
        count: how many records it has.
        rows_per_request: how many of them are fetched with one request.
    """

    session_id: str
    count: int
    rows_per_request: int

    def to_bytes(self) -> bytes:
        """Returns it as JSON."""
        return json.dumps([self.session_id, self.count, self.rows_per_request]).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Locator:
        """Reads what `to_bytes` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            session_id, count, rows_per_request = json.loads(body)
            return cls(str(session_id), int(count), int(rows_per_request))
        except (ValueError, TypeError) as error:
            raise DataError(f"{body!r} is no locator of a MaxCompute session: {error}") from error


@dataclass(frozen=True)
class Snapshot:
    """The records that are to be read.

    Attributes:
        partition: as `ds=1,hh=2`, or "" for a table without partitions.
        session_id: of the session that they were counted with.
        count: how many there are.
        version: as `version_text` has it, or "" if it is not known.
    """

    partition: str
    session_id: str
    count: int
    version: str = ""


@dataclass(frozen=True)
class About:
    """What the service knows of a partition, or of a table without partitions.

    Attributes:
        modified_s: when its records were changed last, in seconds since 1970; 0 if unknown.
        size_bytes: of its records as they are stored, compressed; 0 if unknown.
    """

    modified_s: int
    size_bytes: int


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    session: Any = None


class Sessions:
    """The download sessions of one table that this process uses. Thread-safe.

    Args:
        client: the client.
        patience: tries again.
        table: the `odps.models.Table`.
        name: of the table, for messages.
    """

    def __init__(self, client: OdpsClient, patience: Patience, table: Any, name: str) -> None:
        self._client = client
        self._patience = patience
        self._table = table
        self._name = name
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, str], _Slot] = {}

    def open_new(self, partition: str) -> Any:
        """Makes a session, `odps.tunnel.tabletunnel.TableDownloadSession`, and keeps it.

        Raises:
            DataError, ConfigError: it cannot be opened.
        """
        session = self._open(partition)
        with self._lock:
            self._slots[partition, session.id] = _Slot(session=session)
        return session

    def get(self, snapshot: Snapshot) -> Any:
        """Returns the session of a snapshot, or the one that has taken its place.

        Raises:
            DataChangedError: it has expired, and the table is not what it was.
            DataError, ConfigError: it cannot be opened.
        """
        slot = self._slot(snapshot)
        with slot.lock:
            if slot.session is None:
                found = self._open(snapshot.partition, snapshot.session_id)
                slot.session = self._renewed(snapshot) if found is None else found
            return slot.session

    def renew(self, snapshot: Snapshot, expired: Any) -> None:
        """Puts a new session in the place of one that has expired.

        Args:
            snapshot: what is read.
            expired: the session; nothing is done if another thread has replaced it.

        Raises:
            DataChangedError: the table is not what it was.
            DataError, ConfigError: no session can be opened.
        """
        slot = self._slot(snapshot)
        with slot.lock:
            if slot.session is expired:
                slot.session = self._renewed(snapshot)

    def about(self, partition: str) -> About:
        """Returns what the service knows of a partition, or of the table without partitions.

        Raises:
            DataError, ConfigError: it cannot be asked for.
        """

        def asked() -> About:
            found = self._table.get_partition(partition) if partition else self._table
            found.reload()
            at = found.last_data_modified_time
            return About(0 if at is None else int(at.timestamp()), int(found.size or 0))

        about: About = self._call("the time of the last change", partition, asked)
        return about

    def _renewed(self, snapshot: Snapshot) -> Any:
        # First the time: a change right after it is taken for one that came before.
        about = self.about(snapshot.partition)
        session = self._open(snapshot.partition)
        version = version_text(session.count, about)
        if session.count != snapshot.count or (snapshot.version and version != snapshot.version):
            raise DataChangedError(
                f"{self._where(snapshot.partition)}: the download session has expired, and the "
                "table has changed since it was made: "
                f"{snapshot.version or f'count={snapshot.count}'} then, {version} now; start the "
                "job again"
            )
        return session

    def _slot(self, snapshot: Snapshot) -> _Slot:
        with self._lock:
            return self._slots.setdefault((snapshot.partition, snapshot.session_id), _Slot())

    def _open(self, partition: str, session_id: str = "") -> Any:
        """Returns a session; None if that with this id has expired."""

        def opened() -> Any:
            try:
                session = self._client.download_session(self._table, partition, session_id)
            except Exception as error:
                if session_id and failure_of(error) is Failure.EXPIRED:
                    return None
                raise
            return None if session.status is session.Status.Expired else session

        return self._call("the download session", partition, opened)

    def _call(self, what: str, partition: str, attempt: Callable[[], Any]) -> Any:
        return self._patience.call(
            f"{what} of {self._where(partition)}", lambda: self._client.call(attempt)
        )

    def _where(self, partition: str) -> str:
        return f"{self._name} {partition}".rstrip()


def version_text(count: int, about: About) -> str:
    """Returns what tells a version of the records from any other."""
    return f"count={count},modified_s={about.modified_s}"
