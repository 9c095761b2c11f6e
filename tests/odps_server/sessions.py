"""Download and upload sessions of the tunnel."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field

import pyarrow as pa

from .errors import ServiceError, invalid_argument, status_conflict
from .rows import concatenated
from .tables import Catalog, Part, Table


@dataclass
class DownloadSession:
    """A snapshot of one part of a table, read by row ranges under its id."""

    table: Table
    partition: str
    part: Part
    rows: pa.Table
    version: int
    id: str
    status: str = "normal"

    def check_readable(self) -> None:
        """Refuse as the service does when the session has expired or the table has changed."""
        if self.status == "expired":
            raise status_conflict(f"The download session is expired: {self.id}")
        if self.part.version != self.version:
            raise ServiceError(
                412,
                "TableModified",
                "The specified table has been modified since the download initiated. "
                "Try initiate another download",
            )

    def slice(self, start: int, count: int) -> pa.Table:
        if start < 0 or count < 0 or start + count > self.rows.num_rows:
            raise ServiceError(
                400,
                "InvalidRowRange",
                f"The specified row range is not valid: ({start},{count}) of {self.rows.num_rows}",
            )
        return self.rows.slice(start, count)


@dataclass
class UploadSession:
    """Blocks on their way into one part of a table; the newest upload of a block counts."""

    table: Table
    partition: str
    overwrite: bool
    id: str
    status: str = "normal"
    blocks: dict[int, pa.Table] = field(default_factory=dict)

    def check_open(self) -> None:
        if self.status != "normal":
            raise status_conflict(f"The upload session is {self.status}: {self.id}")


class Sessions:
    """All sessions of a server, by id."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._downloads: dict[str, DownloadSession] = {}
        self._uploads: dict[str, UploadSession] = {}

    def create_download(self, table: Table, partition: str) -> DownloadSession:
        with self._catalog.lock:
            part = table.part(partition)
            session = DownloadSession(
                table, table.canonical(partition), part, part.rows, part.version, _new_id()
            )
        with self._lock:
            self._downloads[session.id] = session
        return session

    def download(self, session_id: str) -> DownloadSession:
        with self._lock:
            session = self._downloads.get(session_id)
        if session is None:
            raise ServiceError(
                404, "NoSuchDownload", f"The specified download id does not exist: {session_id}"
            )
        return session

    def downloads(self) -> list[DownloadSession]:
        with self._lock:
            return list(self._downloads.values())

    def create_upload(
        self, table: Table, partition: str, overwrite: bool, create_partition: bool
    ) -> UploadSession:
        with self._catalog.lock:
            if create_partition:
                table.add_part(partition, if_not_exists=True)
            table.part(partition)
        session = UploadSession(table, table.canonical(partition), overwrite, _new_id())
        with self._lock:
            self._uploads[session.id] = session
        return session

    def upload(self, session_id: str) -> UploadSession:
        with self._lock:
            session = self._uploads.get(session_id)
        if session is None:
            raise ServiceError(
                404, "NoSuchUpload", f"The specified upload id does not exist: {session_id}"
            )
        return session

    def put_block(self, session: UploadSession, block_id: int, rows: pa.Table) -> None:
        if not 0 <= block_id < 20000:
            raise ServiceError(
                400, "InvalidBlockID", f"The specified block id is not valid: {block_id}"
            )
        with self._lock:
            session.check_open()
            session.blocks[block_id] = rows

    def commit(self, session: UploadSession) -> None:
        """Add the blocks, in the order of their ids, to the part; refused the second time."""
        with self._lock, self._catalog.lock:
            session.check_open()
            part = session.table.part(session.partition)
            before = session.table.empty_rows() if session.overwrite else part.rows
            blocks = [session.blocks[block_id] for block_id in sorted(session.blocks)]
            part.set_rows(concatenated([before, *blocks]))
            session.status = "closed"

    def expire(self, table: Table | None) -> int:
        """Make the open sessions of a table (of all tables when None) expire; how many did."""
        expired = 0
        with self._lock:
            for sessions in (self._downloads.values(), self._uploads.values()):
                for session in sessions:
                    if session.status == "normal" and (table is None or session.table is table):
                        session.status = "expired"
                        expired += 1
        return expired


def parse_row_range(text: str) -> tuple[int, int]:
    """`(start,count)`."""
    try:
        start, count = text.strip("()").split(",")
        return int(start), int(count)
    except ValueError:
        raise invalid_argument(f"rowrange is not (start,count): {text}") from None


def _new_id() -> str:
    return f"{time.strftime('%Y%m%d%H%M%S')}{uuid.uuid4().hex}"
