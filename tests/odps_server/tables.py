"""The tables of the server: columns, partitions and rows, rows as Arrow tables.

Instants (datetime, timestamp) are kept in UTC; a `timestamp_ntz` is kept as if its wall clock
were UTC. All changes of one catalog happen under its lock; Arrow tables are immutable, so whoever
got one keeps a snapshot.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from odps import types
from odps.models import TableSchema
from odps.tunnel.io.types import odps_schema_to_arrow_schema

from .errors import ServiceError, invalid_argument, no_such_partition, no_such_table

# The key of the one part of a table without partition columns.
WHOLE_TABLE = ""


@dataclass(eq=False)
class Part:
    """The rows of a partition, or of a table without partitions."""

    rows: pa.Table
    version: int = 1
    created_s: float = field(default_factory=time.time)
    modified_s: float = field(default_factory=time.time)

    def set_rows(self, rows: pa.Table) -> None:
        self.rows = rows
        self.version += 1
        self.modified_s = time.time()


class Table:
    """A table: what it is called, its columns, and its parts by canonical partition."""

    def __init__(
        self,
        project: str,
        name: str,
        columns: Sequence[types.Column],
        partition_columns: Sequence[types.Partition] = (),
        comment: str = "",
    ) -> None:
        self.project = project
        self.name = name
        self.schema = TableSchema(columns=list(columns), partitions=list(partition_columns))
        self.comment = comment
        self.created_s = time.time()
        self.parts: dict[str, Part] = {}
        if not partition_columns:
            self.parts[WHOLE_TABLE] = Part(self.empty_rows())

    @property
    def partition_names(self) -> list[str]:
        return [column.name for column in self.schema.partitions or ()]

    @property
    def arrow_schema(self) -> pa.Schema:
        return odps_schema_to_arrow_schema(self.schema)

    def empty_rows(self) -> pa.Table:
        return self.arrow_schema.empty_table()

    def canonical(self, partition: str) -> str:
        """`ds='1',hh='2'` or `ds=1/hh=2` as `ds=1,hh=2`; refuses what is not just one partition."""
        if not self.partition_names:
            if partition:
                raise invalid_argument(
                    f"Table {self.name} has no partition columns, got partition {partition}"
                )
            return WHOLE_TABLE
        if not partition:
            raise ServiceError(
                400,
                "MissingPartitionSpec",
                "You must specify a partitionspec for the specified table",
            )
        spec = parse_partition(partition)
        if list(spec) != self.partition_names:
            raise ServiceError(
                400,
                "InvalidPartitionSpec",
                f"The specified partitionspec is not valid: {partition}, the table has "
                f"{','.join(self.partition_names)}",
            )
        return ",".join(f"{name}={value}" for name, value in spec.items())

    def part(self, partition: str) -> Part:
        canonical = self.canonical(partition)
        if canonical not in self.parts:
            raise no_such_partition(canonical)
        return self.parts[canonical]

    def add_part(self, partition: str, if_not_exists: bool = False) -> Part:
        canonical = self.canonical(partition)
        if canonical in self.parts:
            if not if_not_exists:
                raise ServiceError(
                    400, "ObjectAlreadyExists", f"Partition already exists: {canonical}"
                )
            return self.parts[canonical]
        self.parts[canonical] = Part(self.empty_rows())
        return self.parts[canonical]

    def drop_part(self, partition: str, if_exists: bool = False) -> None:
        if self.parts.pop(self.canonical(partition), None) is None and not if_exists:
            raise no_such_partition(partition)


def parse_partition(partition: str) -> dict[str, str]:
    """`ds='1',hh=2` as {"ds": "1", "hh": "2"}."""
    try:
        return dict(types.PartitionSpec(re.sub("/", ",", partition)).items())
    except ValueError as error:
        raise ServiceError(400, "InvalidPartitionSpec", str(error)) from None


class Catalog:
    """All tables of all projects; names are found whatever their case."""

    def __init__(self, projects: Sequence[str]) -> None:
        self.lock = threading.RLock()
        self.projects = list(projects)
        self._tables: dict[tuple[str, str], Table] = {}

    def check_project(self, project: str) -> None:
        if project not in self.projects:
            raise ServiceError(
                404, "NoSuchProject", f"The specified project name does not exist: {project}"
            )

    def add(self, table: Table, if_not_exists: bool = False) -> None:
        self.check_project(table.project)
        key = (table.project, table.name.lower())
        with self.lock:
            if key in self._tables:
                if if_not_exists:
                    return
                raise ServiceError(
                    400,
                    "ObjectAlreadyExists",
                    f"ODPS-0130071:Table already exists - {table.project}.{table.name}",
                )
            self._tables[key] = table

    def get(self, project: str, name: str) -> Table:
        self.check_project(project)
        with self.lock:
            table = self._tables.get((project, name.lower()))
        if table is None:
            raise no_such_table(project, name)
        return table

    def drop(self, project: str, name: str, if_exists: bool = False) -> None:
        with self.lock:
            if self._tables.pop((project, name.lower()), None) is None and not if_exists:
                raise no_such_table(project, name)

    def tables(self, project: str) -> list[Table]:
        self.check_project(project)
        with self.lock:
            return [table for (at, _), table in sorted(self._tables.items()) if at == project]
