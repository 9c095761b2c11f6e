"""Writes records into a table of MaxCompute, each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.odps.access import OdpsAccess
from elasticdl_like.data_readers.odps.blocks import Block
from elasticdl_like.data_readers.odps.client import OdpsClient
from elasticdl_like.data_readers.odps.failures import odps_errors
from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.data_readers.odps.output_columns import OutputColumns
from elasticdl_like.data_readers.odps.partitions import check_partition_columns, parse_partitions
from elasticdl_like.data_readers.odps.patience import Patience
from elasticdl_like.data_readers.odps.uploads import Uploads, UploadState
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.time_spent import TimeSpent

_models = import_extra("odps.models", "odps", "MaxCompute tables")
_types = import_extra("odps.types", "odps", "MaxCompute tables")

DEFAULT_RETRY_TIMEOUT_S = 300.0

WriteColumns = Callable[[Mapping[str, NDArray[Any]]], None]
"""Adds records to a block, as columns."""


class OdpsWriter:
    """Writes records into a table of MaxCompute, or into one partition of it.

    One process opens the table and an upload session; many write blocks into it, each under a
    number of its own; at the end one commits. A block that is written twice is there once, and a
    commit that is done twice is done once. In that order::

        writer = OdpsWriter(access, OdpsLocation.parse("odps://project/table"))
        writer.open_table({"id": "bigint", "score": "double"})
        session_id = writer.begin()
        with writer.open_block(session_id, 0) as write:
            write({"id": np.arange(10), "score": np.zeros(10)})
        writer.commit(session_id, [0])

    Args:
        access: where the service is, and the credentials.
        location: the table, and the partition if it has partitions.
        retry_timeout_s: how long a request may fail before it is given up.
    """

    def __init__(
        self,
        access: OdpsAccess,
        location: OdpsLocation,
        retry_timeout_s: float = DEFAULT_RETRY_TIMEOUT_S,
    ) -> None:
        time_spent = TimeSpent()
        self._location = location
        self._partition = (parse_partitions(location.partition) or ({},))[0]
        self._client = OdpsClient(access, retry_timeout_s)
        self._patience = Patience(retry_timeout_s, access, lambda: time_spent)
        self.name = f"{location.project or access.project}.{location.table}"
        self._table: Any = None
        self._made_columns: OutputColumns | None = None
        self._uploads: Uploads | None = None

    def open_table(self, new_columns: Mapping[str, str] | None = None) -> None:
        """Opens the table.

        Args:
            new_columns: the types of the columns, by name, of which the table is made if it is
                missing; one that is there must have these names. None if it has to be there.

        Raises:
            ConfigError: the partition is not one of such a table, or the credentials are wrong.
            DataError: the table is missing, or has other columns.
        """
        table = self._client.table(self._location)
        schema = self._loaded(table)
        if schema is None and new_columns is not None:
            self._create(table, new_columns)
            schema = self._loaded(table)
        if schema is None:
            raise DataError(f"MaxCompute has no table {self.name}")
        self._check_partition([column.name for column in schema.partitions])
        columns = OutputColumns(schema, self.name)
        if new_columns is not None:
            columns.check_names(new_columns)
        self._made_columns = columns
        self._uploads = Uploads(
            self._client, self._patience, table, self._location.partition, self.name
        )

    def begin(self, overwrite: bool = False) -> str:
        """Opens an upload session and returns its id, under which any process can write.

        Args:
            overwrite: whether the commit removes the records that were there before.

        Raises:
            DataError, ConfigError: it cannot be opened.
        """
        return self._opened[1].begin(overwrite)

    def state(self, session_id: str) -> UploadState:
        """Returns what has become of a session.

        Raises:
            DataError, ConfigError: the service cannot be asked.
        """
        return self._opened[1].state(session_id)

    def blocks(self, session_id: str) -> set[int]:
        """Returns the numbers of the blocks that have been written.

        Raises:
            DataError, ConfigError: the service cannot be asked.
        """
        return self._opened[1].blocks(session_id)

    @contextmanager
    def open_block(self, session_id: str, number: int) -> Iterator[WriteColumns]:
        """Writes a block, whole at the end of the `with` block, or not at all.

        Args:
            session_id: an open session.
            number: of the block, from 0 to 19,999. Blocks are in the order of their numbers.

        Raises:
            DataError: a record does not fit the table, the session is no longer open, or the block
                cannot be sent.
            ConfigError: the credentials are wrong.
            OSError: a temporary file cannot be written.
        """
        columns, uploads = self._opened
        with Block(columns, self._client.call) as block:
            yield block.add
            block.end()
            uploads.write(session_id, number, block)

    def commit(self, session_id: str, numbers: Iterable[int]) -> None:
        """Makes the blocks part of the table, if that has not been done already.

        Args:
            session_id: the session.
            numbers: of all the blocks that it is to have.

        Raises:
            DataError: the session has expired, or has other blocks; nothing was committed.
            ConfigError: the credentials are wrong.
        """
        self._opened[1].commit(session_id, numbers)

    @property
    def _opened(self) -> tuple[OutputColumns, Uploads]:
        if self._made_columns is None or self._uploads is None:
            self.open_table()
        assert self._made_columns is not None
        assert self._uploads is not None
        return self._made_columns, self._uploads

    def _loaded(self, table: Any) -> Any:
        """Returns the schema of the table, or None if it is missing."""

        def load() -> Any:
            try:
                table.reload()
            except odps_errors.NoSuchTable:
                return None
            return table.table_schema

        return self._patience.call(f"the columns of {self.name}", lambda: self._client.call(load))

    def _create(self, table: Any, new_columns: Mapping[str, str]) -> None:
        schema = _models.TableSchema(
            columns=[_types.Column(name, kind) for name, kind in new_columns.items()],
            partitions=[_types.Partition(name, "string") for name in self._partition],
        )

        def create() -> None:
            table.project.tables.create(
                table.name,
                schema,
                if_not_exists=True,
                # tinyint, smallint, int, float and binary are among these.
                hints={"odps.sql.type.system.odps2": "true"},
            )

        self._patience.call(f"the new table {self.name}", lambda: self._client.call(create))

    def _check_partition(self, partition_columns: list[str]) -> None:
        check_partition_columns(
            [self._partition] if self._partition else [], partition_columns, self.name
        )
        missing = [name for name in partition_columns if name not in self._partition]
        if missing:
            raise ConfigError(
                f"{self.name} is partitioned by {', '.join(partition_columns)}; say which one "
                f"the records go to: odps://…/{self._location.table}/"
                + "/".join(f"{name}=…" for name in partition_columns)
            )
