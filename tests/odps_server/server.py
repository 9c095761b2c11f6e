"""The server in a thread of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from . import metadata
from .commands import Commands
from .control import Control
from .errors import ServiceError
from .faults import Fault, FaultList
from .http_server import Framing, HttpServer
from .messages import Reply, Request
from .request_log import LoggedRequest, RequestLog
from .service import Service
from .sessions import Sessions
from .signatures import Account, check_signature
from .tables import Catalog
from .tunnel import Tunnel

CONTROL_PREFIX = "/control/"
PROJECT = "test_project"
ACCOUNT = Account("test-access-id", "test-access-key")


class OdpsServer(Control):
    """A server on loopback; a context manager that starts and stops it.

    Args:
        project: The project that it has.
        accounts: Who may use it; the first one is what `client()` uses.
        port: 0 for any free one.
        batch_rows: Rows of one record batch of an arrow body, at most: where the client can
            resume.
        cached_bytes: How much of encoded bodies it keeps.
    """

    def __init__(
        self,
        project: str = PROJECT,
        accounts: Sequence[Account] = (ACCOUNT,),
        port: int = 0,
        batch_rows: int = 4096,
        cached_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        application = _Application(project, accounts, batch_rows, cached_bytes)
        self._http = HttpServer("127.0.0.1", port, application)
        application.address = self._http.address
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.01,), name="odps server", daemon=True
        )
        super().__init__(self._http.address, project, accounts[0], application.run_command)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.stop()
        self._thread.join()
        # The client may have got over a broken reply; the test shall not.
        if error is None and self._http.errors:
            raise self._http.errors[0]


class _Application:
    """Everything behind the sockets."""

    def __init__(
        self, project: str, accounts: Sequence[Account], batch_rows: int, cached_bytes: int
    ) -> None:
        catalog = Catalog([project])
        sessions = Sessions(catalog)
        self.address = ""
        self._accounts = {account.access_id: account for account in accounts}
        self._log = RequestLog()
        self._faults = FaultList()
        self._commands = Commands(catalog, sessions, self._faults, self._log)
        self._service = Service(catalog)
        self._tunnel = Tunnel(catalog, sessions, batch_rows, cached_bytes)

    @property
    def framing(self) -> Framing:
        return self._commands.framing

    def begin(self, request: Request) -> tuple[LoggedRequest, list[Fault]] | None:
        if request.path.startswith(CONTROL_PREFIX):
            return None
        logged = self._log.begin(request)
        return logged, self._faults.take(logged)

    def answer(self, request: Request, refusal: Fault | None) -> Reply:
        if request.path.startswith(CONTROL_PREFIX):
            return self._control(request)
        try:
            if refusal is not None:
                raise refusal.refusal()
            check_signature(request, self._accounts)
            if request.is_service:
                return self._service.answer(request, self.address)
            return self._tunnel.answer(request)
        except ServiceError as error:
            return _refused(request, error)

    def run_command(self, name: str, arguments: Any) -> Any:
        # Through text, so that a server in this process takes just what one elsewhere takes.
        return json.loads(json.dumps(self._commands.run(name, json.loads(json.dumps(arguments)))))

    def _control(self, request: Request) -> Reply:
        try:
            name = request.path.removeprefix(CONTROL_PREFIX)
            result = self._commands.run(name, json.loads(request.body or b"{}"))
        except (ServiceError, ValueError, TypeError) as error:
            return Reply(400, f"{error}\n".encode(), {"Content-Type": "text/plain"})
        return Reply(
            body=json.dumps(result).encode() + b"\n", headers={"Content-Type": "application/json"}
        )


def _refused(request: Request, error: ServiceError) -> Reply:
    if request.is_service:
        return Reply(
            error.status, metadata.error_xml(error, ""), {"Content-Type": "application/xml"}
        )
    return Reply(error.status, metadata.error_json(error), {"Content-Type": "application/json"})
