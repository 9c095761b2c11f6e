"""What tests do with a server, whether it runs in this process or in another one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from odps import ODPS

from .faults import Fault
from .http_server import Framing
from .messages import SERVICE_PREFIX, Kind
from .request_log import LoggedRequest
from .rows import Rows, from_text, to_arrow, to_text
from .signatures import Account

Call = Callable[[str, Mapping[str, Any]], Any]


class Control:
    """A running server.

    Args:
        address: host:port.
        project: The project that the methods work in.
        account: An account that it knows.
        call: Runs one of its commands.
    """

    def __init__(self, address: str, project: str, account: Account, call: Call) -> None:
        self.endpoint = f"http://{address}{SERVICE_PREFIX}"
        self.tunnel_endpoint = f"http://{address}"
        self.project = project
        self.access_id = account.access_id
        self.access_key = account.access_key
        self._call = call

    def client(self) -> ODPS:
        """The real client, with the right credentials."""
        return ODPS(
            self.access_id,
            self.access_key,
            self.project,
            endpoint=self.endpoint,
            overwrite_global=False,
        )

    def add_table(
        self,
        name: str,
        columns: Mapping[str, str],
        partition_columns: Mapping[str, str] | None = None,
        rows: Rows | None = None,
        comment: str = "",
        comments: Mapping[str, str] | None = None,
    ) -> None:
        """Make a table: `columns` is name -> type; `rows` are for a table without partitions."""
        described = comments or {}
        self._run(
            "add_table",
            name,
            columns=[[key, kind, described.get(key, "")] for key, kind in columns.items()],
            partition_columns=[
                [key, kind, described.get(key, "")]
                for key, kind in (partition_columns or {}).items()
            ],
            comment=comment,
        )
        if rows is not None:
            self.append(name, rows)

    def drop_table(self, name: str) -> None:
        self._run("drop_table", name)

    def append(self, name: str, rows: Rows, partition: str = "") -> None:
        """Add rows, and the partition if need be; open download sessions see TableModified."""
        self._run("append", name, partition=partition, rows=self._text(name, rows))

    def replace(self, name: str, rows: Rows, partition: str = "") -> None:
        """Put these rows in place of what was there; open sessions see TableModified."""
        self._run("replace", name, partition=partition, rows=self._text(name, rows))

    def drop_partition(self, name: str, partition: str) -> None:
        self._run("drop_partition", name, partition=partition)

    def rows(self, name: str, partition: str = "") -> pa.Table:
        """What is in a table or partition: the truth to compare with. Instants are in UTC."""
        return from_text(self._run("rows", name, partition=partition))

    def expire_sessions(self, name: str = "") -> int:
        """Make all open sessions of a table (of all when "") expire; how many did."""
        return int(self._run("expire_sessions", name))

    def add_fault(self, fault: Fault) -> None:
        self._call("add_fault", {"fault": dataclasses.asdict(fault)})

    def clear_faults(self) -> None:
        self._call("clear_faults", {})

    def faults_left(self) -> int:
        """How many faults are still waiting for requests."""
        return int(self._call("faults_left", {}))

    def requests(self, kind: Kind | None = None) -> list[LoggedRequest]:
        """The requests so far, of all kinds or of one, in the order in which they came."""
        logged = [_logged(found) for found in self._call("requests", {})]
        return [request for request in logged if kind in (None, request.kind)]

    def clear_requests(self) -> None:
        self._call("clear_requests", {})

    def set_framing(self, framing: Framing) -> None:
        """How replies with data are framed from now on; chunked unless set."""
        self._call("set_framing", {"framing": framing.value})

    def _run(self, command: str, name: str, **arguments: Any) -> Any:
        return self._call(command, {"project": self.project, "name": name, **arguments})

    def _text(self, name: str, rows: Rows) -> str:
        schema = from_text(self._run("arrow_schema", name)).schema
        return to_text(to_arrow(rows, schema))


def _logged(found: Mapping[str, Any]) -> LoggedRequest:
    rows = found["rows"]
    return LoggedRequest(
        **{**found, "kind": Kind(found["kind"]), "rows": None if rows is None else tuple(rows)}
    )
