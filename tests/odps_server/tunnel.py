"""The routes of the tunnel: download and upload sessions, rows out and blocks in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from odps import types

from . import metadata, wire
from .errors import ServiceError, invalid_argument
from .messages import Kind, Reply, Request
from .sessions import DownloadSession, Sessions, UploadSession, parse_row_range
from .tables import Catalog, Table


class Tunnel:
    """Answers what comes to the tunnel's endpoint.

    Args:
        catalog: The tables.
        sessions: Where sessions are kept.
        batch_rows: Rows of one record batch of an arrow body, at most.
        cached_bytes: How much of encoded bodies is kept, so that a benchmark measures the client.
    """

    def __init__(
        self, catalog: Catalog, sessions: Sessions, batch_rows: int, cached_bytes: int
    ) -> None:
        self._catalog = catalog
        self._sessions = sessions
        self._batch_rows = batch_rows
        self._bodies = _BodyCache(cached_bytes)

    def answer(self, request: Request) -> Reply:
        """The reply to `request`.

        Raises:
            ServiceError: What is asked for does not exist or cannot be done.
        """
        names = request.names()
        table = self._catalog.get(names.get("projects", ""), names.get("tables", ""))
        query = request.query
        match request.kind:
            case Kind.CREATE_DOWNLOAD:
                download = self._sessions.create_download(table, query.get("partition", ""))
                return _json(metadata.download_json(download))
            case Kind.DOWNLOAD_STATUS:
                return self._download_status(request)
            case Kind.DATA:
                return self._data(request)
            case Kind.CREATE_UPLOAD:
                return _json(metadata.upload_json(self._create_upload(request, table)))
            case Kind.UPLOAD_STATUS:
                return _json(metadata.upload_json(self._sessions.upload(query["uploadid"])))
            case Kind.UPLOAD_BLOCK:
                return self._upload_block(request)
            case Kind.COMMIT:
                upload = self._sessions.upload(query["uploadid"])
                self._sessions.commit(upload)
                return _json(metadata.upload_json(upload))
        raise invalid_argument(f"{request.method} {request.target} is not known here")

    def _download_status(self, request: Request) -> Reply:
        session = self._sessions.download(request.query["downloadid"])
        if session.status != "expired":
            session.check_readable()
        return _json(metadata.download_json(session))

    def _data(self, request: Request) -> Reply:
        query = request.query
        session = self._sessions.download(query["downloadid"])
        session.check_readable()
        start, count = parse_row_range(query.get("rowrange", ""))
        session.slice(start, count)
        columns = _columns(session.table, query.get("columns", ""))
        arrow = "arrow" in query
        accepted = request.headers.get("Accept-Encoding", "")
        names = tuple(column.name for column in columns)
        body, encoding = self._bodies.get(
            (session.part, session.version, start, count, names, arrow, "deflate" in accepted),
            lambda: wire.compress(self._encode(session, start, count, columns, arrow), accepted),
        )
        headers = {"Content-Type": "application/octet-stream"}
        if encoding:
            headers["Content-Encoding"] = encoding
        return Reply(body=body, headers=headers, streams=True)

    def _encode(
        self,
        session: DownloadSession,
        start: int,
        count: int,
        columns: list[types.Column],
        arrow: bool,
    ) -> bytes:
        rows = session.slice(start, count).select([column.name for column in columns])
        schema = types.OdpsSchema(columns)
        if arrow:
            return wire.encode_arrow(rows, schema, self._batch_rows)
        return wire.encode_records(rows, schema)

    def _create_upload(self, request: Request, table: Table) -> UploadSession:
        query = request.query
        return self._sessions.create_upload(
            table,
            query.get("partition", ""),
            overwrite=query.get("overwrite") == "true",
            create_partition=query.get("create_partition") == "true",
        )

    def _upload_block(self, request: Request) -> Reply:
        query = request.query
        session = self._sessions.upload(query["uploadid"])
        session.check_open()
        body = wire.decompress(request.body, request.headers.get("Content-Encoding", ""))
        decode = wire.decode_arrow if "arrow" in query else wire.decode_records
        rows = decode(body, session.table.schema)
        self._sessions.put_block(session, int(query["blockid"]), rows)
        return Reply()


def _columns(table: Table, wanted: str) -> list[types.Column]:
    """The wanted columns (all when none is named), always in the order of the table."""
    columns = table.schema.simple_columns
    if not wanted:
        return list(columns)
    names = wanted.lower().split(",")
    unknown = sorted(set(names) - {column.name.lower() for column in columns})
    if unknown:
        raise ServiceError(
            400, "InvalidColumnSpec", f"The specified columns is not valid: {','.join(unknown)}"
        )
    return [column for column in columns if column.name.lower() in names]


def _json(body: bytes) -> Reply:
    return Reply(body=body, headers={"Content-Type": "application/json"})


class _BodyCache:
    """The newest encoded bodies, up to a number of bytes; thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._bodies: OrderedDict[tuple[object, ...], tuple[bytes, str]] = OrderedDict()
        self._size_bytes = 0

    def get(
        self, key: tuple[object, ...], encode: Callable[[], tuple[bytes, str]]
    ) -> tuple[bytes, str]:
        with self._lock:
            if key in self._bodies:
                self._bodies.move_to_end(key)
                return self._bodies[key]
        encoded = encode()
        with self._lock:
            if key not in self._bodies:
                self._bodies[key] = encoded
                self._size_bytes += len(encoded[0])
            while self._size_bytes > self._limit_bytes:
                _, (dropped, _) = self._bodies.popitem(last=False)
                self._size_bytes -= len(dropped)
        return encoded
