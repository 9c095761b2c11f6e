"""A conversion into a table of MaxCompute: through one upload session, in blocks."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.conversion.output_format import WriteBatch
from elasticdl_like.data_readers.conversion.rows import as_bytes_or_columns, column_names_of
from elasticdl_like.data_readers.files.replacing import replacing
from elasticdl_like.data_readers.odps.access import OdpsAccess
from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.data_readers.odps.output_columns import column_types_of
from elasticdl_like.data_readers.odps.uploads import UploadState
from elasticdl_like.data_readers.odps.writer import OdpsWriter
from elasticdl_like.data_readers.parquet.writer import RECORD_COLUMN
from elasticdl_like.data_readers.reading import DataReader, read_task
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Shard, Task

_SAMPLED_RECORDS = 4096


class Stage(StrEnum):
    """How far an upload has come."""

    WRITING = "writing"
    COMMITTING = "committing"
    COMMITTED = "committed"


@dataclass(frozen=True)
class UploadRecord:
    """What is written down of an upload, so that another process can go on with it.

    Attributes:
        session_id: of the upload session.
        stage: written down before it is begun.
    """

    session_id: str
    stage: Stage

    def save(self, path: Path) -> None:
        """Writes the record to a file.

        Raises:
            OSError: it cannot be written.
        """
        with replacing(path) as file:
            file.write(json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path) -> UploadRecord | None:
        """Returns the record in a file; None if there is none.

        Raises:
            DataError: it cannot be read.
        """
        try:
            plain = json.loads(path.read_bytes())
            return cls(str(plain["session_id"]), Stage(plain["stage"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error


class TableUpload:
    """The upload of a conversion, which goes on where one before was cut off.

    Args:
        writer: writes to the table, which is open.
        path: where the upload is written down.

    Attributes:
        is_done: whether all of it has been committed.
        session_id: of the session to write to; "" when all is done.

    Raises:
        DataError: nobody knows whether the upload was committed.
        ConfigError: the credentials are wrong.
        OSError: the file cannot be written.
    """

    def __init__(self, writer: OdpsWriter, path: Path) -> None:
        self._writer = writer
        self._path = path
        record = UploadRecord.load(path)
        self.is_done = record is not None and self._is_committed(record)
        self.session_id = record.session_id if record is not None else ""
        if self.is_done:
            self._save(Stage.COMMITTED)
        elif record is None or writer.state(record.session_id) is not UploadState.OPEN:
            # Of a session that nobody wrote down nothing gets into the table.
            self.session_id = writer.begin()
            self._save(Stage.WRITING)

    def blocks(self) -> set[int]:
        """Returns the numbers of the blocks that are there.

        Raises:
            DataError, ConfigError: the service cannot be asked.
        """
        return self._writer.blocks(self.session_id)

    def commit(self, num_blocks: int) -> None:
        """Makes the blocks part of the table.

        Raises:
            DataError, ConfigError: the service does not do so.
            OSError: the file cannot be written.
        """
        self._save(Stage.COMMITTING)
        self._writer.commit(self.session_id, range(num_blocks))
        self._save(Stage.COMMITTED)
        self.is_done = True

    def _is_committed(self, record: UploadRecord) -> bool:
        if record.stage is Stage.COMMITTED:
            return True
        state = self._writer.state(record.session_id)
        if state is UploadState.UNKNOWN and record.stage is Stage.COMMITTING:
            raise DataError(
                f"MaxCompute no longer knows the upload session {record.session_id}, whose commit "
                f"was begun: look whether {self._writer.name} has the records. If it has not, "
                f"remove {self._path} and run the same command again"
            )
        return state is UploadState.COMMITTED

    def _save(self, stage: Stage) -> None:
        UploadRecord(self.session_id, stage).save(self._path)


@dataclass(frozen=True)
class TableBlocks:
    """Opens the blocks of an upload session; can be pickled, for other processes.

    Attributes:
        access: where the service is, and the credentials.
        location: the table and its partition.
        retry_timeout_s: how long a request may fail.
        session_id: of the session.
    """

    access: OdpsAccess
    location: OdpsLocation
    retry_timeout_s: float
    session_id: str

    @contextmanager
    def open(self, number: int) -> Iterator[WriteBatch]:
        """Writes a block, whole at the end of the `with` block or not at all.

        Raises:
            DataError, ConfigError: it cannot be written.
            OSError: a temporary file cannot be written.
        """
        writer = _writer(self.access, self.location, self.retry_timeout_s)
        with writer.open_block(self.session_id, number) as write:
            yield lambda batch, column_names: write(table_columns(batch, column_names))


@functools.cache
def _writer(access: OdpsAccess, location: OdpsLocation, retry_timeout_s: float) -> OdpsWriter:
    return OdpsWriter(access, location, retry_timeout_s)


def table_columns(batch: RecordBatch, column_names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Returns records as the columns of a table; those that are bytes as a column `record`.

    Raises:
        DataError: the records are neither bytes nor have columns.
    """
    columns = as_bytes_or_columns(batch, column_names)
    if isinstance(columns, dict):
        return columns
    records = np.empty(len(columns), object)
    records[:] = columns
    return {RECORD_COLUMN: records}


def table_types(reader: DataReader, shards: Sequence[Shard]) -> Mapping[str, str]:
    """Returns the types of the columns of a new table for the records of a reader.

    Reads the first few records.

    Raises:
        DataError: they cannot be read, or MaxCompute has no type for them.
    """
    first = next(shard for shard in shards if shard.count)
    task = Task(
        first.name,
        first.first,
        first.first + min(first.count, _SAMPLED_RECORDS),
        version=first.version,
        locator=first.locator,
    )
    batch = next(iter(read_task(reader, task)))
    columns = table_columns(batch, column_names_of(reader))
    if isinstance(batch, list) and isinstance(batch[0], bytes):
        # That a few of them happen to be text says nothing of the others.
        return {RECORD_COLUMN: "binary"}
    return column_types_of(columns)
