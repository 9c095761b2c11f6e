"""A table of MaxCompute: its columns and its partitions."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from typing import Any

from elasticdl_like.data_readers.odps.client import OdpsClient
from elasticdl_like.data_readers.odps.failures import odps_errors
from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.data_readers.odps.partitions import (
    Partition,
    check_partition_columns,
    chosen_partitions,
    partition_text,
)
from elasticdl_like.data_readers.odps.patience import Patience
from elasticdl_like.errors import DataError

_COMPARED_TABLES = 1000
_SHOWN = 5


class OdpsTable:
    """A table, as the service describes it at the time of construction.

    Args:
        client: the client.
        patience: tries again.
        location: names the table.

    Attributes:
        name: as `project.table`.
        handle: the `odps.models.Table`.
        schema: its `odps.models.TableSchema`.

    Raises:
        DataError: there is no such table, or the service cannot be reached.
        ConfigError: the credentials are wrong.
    """

    def __init__(self, client: OdpsClient, patience: Patience, location: OdpsLocation) -> None:
        self._client = client
        self._patience = patience
        self._location = location
        self.name = f"{location.project or client.access.project}.{location.table}"
        self.handle, self.schema = patience.call(
            f"the columns of {self.name}", lambda: client.call(self._load)
        )

    @property
    def partition_columns(self) -> Sequence[str]:
        """The names of the columns that it is partitioned by."""
        return [column.name for column in self.schema.partitions or ()]

    def partitions(self, wanted: Sequence[Partition]) -> list[Partition]:
        """Returns the partitions that agree with one of those that are wanted, or all.

        Raises:
            ConfigError: the table is not partitioned like that.
            DataError: one that is wanted is not there.
        """
        check_partition_columns(wanted, self.partition_columns, self.name)
        # The service picks out one prefix; when there is nothing, all are needed to say what is.
        existing = self._existing(partition_text(wanted[0])) if len(wanted) == 1 else []
        return chosen_partitions(existing or self._existing(""), wanted, self.name)

    def _existing(self, prefix: str) -> list[Partition]:
        def listed() -> list[Partition]:
            found = self.handle.iterate_partitions(prefix or None)
            return [dict(each.partition_spec.kv) for each in found]

        return self._patience.call(
            f"the partitions of {self.name}", lambda: self._client.call(listed)
        )

    def _load(self) -> tuple[Any, Any]:
        handle = self._client.table(self._location)
        try:
            handle.reload()
            return handle, handle.table_schema
        except odps_errors.NoSuchTable:
            raise DataError(
                f"MaxCompute has no table {self.name}; {self._what_is_there()}"
            ) from None

    def _what_is_there(self) -> str:
        name = self._location.table
        for prefix in (name[:3], ""):
            names = list(
                itertools.islice(self._client.table_names(self._location, prefix), _COMPARED_TABLES)
            )
            near = difflib.get_close_matches(name, names, _SHOWN, 0.0)
            if near:
                return f"there is {', '.join(near)}"
        return "the project has no tables that these credentials may see"
