"""The commands of the control endpoint, each on arguments and results that JSON can carry."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from odps import types

from . import rows as row_texts
from .faults import Action, Fault, FaultList
from .http_server import Framing
from .messages import Kind
from .request_log import RequestLog
from .sessions import Sessions
from .tables import Catalog, Part, Table


class Commands:
    """What tests may tell a server to do; each public method is one command."""

    def __init__(
        self, catalog: Catalog, sessions: Sessions, faults: FaultList, log: RequestLog
    ) -> None:
        self._catalog = catalog
        self._sessions = sessions
        self._faults = faults
        self._log = log
        self.framing = Framing.CHUNKED

    def run(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run one command.

        Raises:
            ServiceError: It cannot be done.
            ValueError: There is no such command, or it takes other arguments.
        """
        if name.startswith("_") or name == "run" or not callable(getattr(self, name, None)):
            raise ValueError(f"there is no command {name}")
        return getattr(self, name)(**arguments)

    def add_table(
        self,
        project: str,
        name: str,
        columns: list[list[str]],
        partition_columns: list[list[str]],
        comment: str,
    ) -> None:
        """Each column is [name, type, comment]."""
        self._catalog.add(
            Table(
                project,
                name,
                [types.Column(*column) for column in columns],
                [types.Partition(*column) for column in partition_columns],
                comment,
            )
        )

    def drop_table(self, project: str, name: str) -> None:
        self._catalog.drop(project, name)

    def arrow_schema(self, project: str, name: str) -> str:
        """An empty table of the columns."""
        return row_texts.to_text(self._catalog.get(project, name).empty_rows())

    def append(self, project: str, name: str, partition: str, rows: str) -> None:
        with self._catalog.lock:
            part = self._part(project, name, partition)
            added = row_texts.from_text(rows)
            together = row_texts.concatenated([part.rows, added])
            part.set_rows(together)

    def replace(self, project: str, name: str, partition: str, rows: str) -> None:
        with self._catalog.lock:
            self._part(project, name, partition).set_rows(row_texts.from_text(rows))

    def drop_partition(self, project: str, name: str, partition: str) -> None:
        with self._catalog.lock:
            self._catalog.get(project, name).drop_part(partition)

    def rows(self, project: str, name: str, partition: str) -> str:
        with self._catalog.lock:
            part = self._catalog.get(project, name).part(partition)
        return row_texts.to_text(part.rows)

    def expire_sessions(self, project: str, name: str) -> int:
        return self._sessions.expire(self._catalog.get(project, name) if name else None)

    def add_fault(self, fault: dict[str, Any]) -> None:
        kind = Kind(fault["kind"]) if fault.get("kind") else None
        self._faults.add(Fault(**(fault | {"action": Action(fault["action"]), "kind": kind})))

    def clear_faults(self) -> None:
        self._faults.clear()

    def faults_left(self) -> int:
        return self._faults.left()

    def requests(self) -> list[dict[str, Any]]:
        return [dataclasses.asdict(request) for request in self._log.requests()]

    def clear_requests(self) -> None:
        self._log.clear()

    def set_framing(self, framing: str) -> None:
        self.framing = Framing(framing)

    def _part(self, project: str, name: str, partition: str) -> Part:
        return self._catalog.get(project, name).add_part(partition, if_not_exists=True)
