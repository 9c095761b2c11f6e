"""A request as the routes see it, what it asks for, and a reply."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

SERVICE_PREFIX = "/api"


class Kind(enum.StrEnum):
    """What a request asks for; faults and the request log go by these."""

    PROJECT = "project"
    TUNNEL_ENDPOINT = "tunnel_endpoint"
    TABLES = "tables"
    TABLE = "table"
    EXTENDED = "extended"
    PARTITIONS = "partitions"
    PARTITION = "partition"
    SUBMIT_SQL = "submit_sql"
    SQL_STATUS = "sql_status"
    CREATE_DOWNLOAD = "create_download"
    DOWNLOAD_STATUS = "download_status"
    DATA = "data"
    CREATE_UPLOAD = "create_upload"
    UPLOAD_STATUS = "upload_status"
    UPLOAD_BLOCK = "upload_block"
    COMMIT = "commit"
    SURVEY = "survey"
    OTHER = "other"


@dataclass(frozen=True)
class Request:
    """A request, its body read and its transfer encoding undone."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def is_service(self) -> bool:
        """Whether it came to the service's endpoint; else to the tunnel's."""
        return self.path.startswith(SERVICE_PREFIX + "/")

    def names(self) -> dict[str, str]:
        """{"projects": project, "tables": table, …} of the path."""
        parts = self.path.removeprefix(SERVICE_PREFIX).strip("/").split("/")
        parts += [""] * (len(parts) % 2)
        return dict(zip(parts[::2], parts[1::2], strict=True))

    @property
    def kind(self) -> Kind:
        if "tables" in self.names():
            return self._table_kind() if self.is_service else self._tunnel_kind()
        return self._project_kind()

    def _project_kind(self) -> Kind:
        names = self.names()
        if "instances" in names:
            return Kind.SUBMIT_SQL if self.method == "POST" else Kind.SQL_STATUS
        if "tunnel" in names:
            return Kind.TUNNEL_ENDPOINT
        if "logs" in names:
            return Kind.SURVEY
        return Kind.PROJECT if list(names) == ["projects"] else Kind.OTHER

    def _table_kind(self) -> Kind:
        query = self.query
        if not self.names()["tables"]:
            return Kind.TABLES
        if "partitions" in query:
            return Kind.PARTITIONS
        if "partition" in query:
            return Kind.PARTITION
        return Kind.EXTENDED if "extended" in query else Kind.TABLE

    def _tunnel_kind(self) -> Kind:
        query = self.query
        if "downloads" in query:
            return Kind.CREATE_DOWNLOAD
        if "uploads" in query:
            return Kind.CREATE_UPLOAD
        if "downloadid" in query:
            return Kind.DATA if "data" in query else Kind.DOWNLOAD_STATUS
        if "uploadid" in query:
            by_method = {"GET": Kind.UPLOAD_STATUS, "PUT": Kind.UPLOAD_BLOCK, "POST": Kind.COMMIT}
            return by_method.get(self.method, Kind.OTHER)
        return Kind.OTHER


@dataclass(frozen=True)
class Reply:
    """A reply; `streams` says that its body goes out in the framing that data has."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    streams: bool = False
