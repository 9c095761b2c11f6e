"""A server that speaks the protocol of ODPS (MaxCompute) and of its tunnel on loopback.

The real service cannot be reached from a test, so tests let the real client, pyodps, talk to this
one. It has one project and its tables, in memory.

In a test, in a thread of the same process::

    from odps_server import Action, Fault, Kind, OdpsServer

    with OdpsServer() as server:
        server.add_table("t", {"id": "bigint", "name": "string"}, {"ds": "string"})
        server.append("t", [(1, "a"), (2, None)], partition="ds=20260101")
        client = server.client()    # or make one, from server.endpoint, .tunnel_endpoint,
                                    # .project, .access_id, .access_key
        server.add_fault(Fault(Action.RESET, kind=Kind.DATA, at_byte=100))
        ...
        assert [request.rows for request in server.requests(Kind.DATA)] == [(0, 2), (0, 2)]
        truth = server.rows("t", "ds=20260101")  # an Arrow table

In a process of its own, with the same methods: `with odps_server_process() as server:`. By hand::

    python -m tests.odps_server --port 0
    curl -d '{"fault": {"action": "status", "kind": "data", "status": 503, "times": 3}}' \
        http://127.0.0.1:PORT/control/add_fault

`control.Control` has the methods, `faults.Fault` and `faults.Action` say what can go wrong,
`messages.Kind` the kinds of requests, and `commands.Commands` what `/control/` takes.

What is as in the service: the wire encoding (by the client's own writers), checksums, signatures of
versions 2 and 4, STS tokens, error codes, sessions that are shared by id, refused row ranges,
TableModified after any change to a part with an open session, StatusConflict for an expired session
and for a second commit. Columns come in the order of the table whatever order is asked for.
"""

from .control import Control
from .faults import Action, Fault
from .http_server import Framing
from .messages import Kind
from .process import connect, odps_server_process
from .request_log import LoggedRequest
from .server import OdpsServer
from .signatures import Account

__all__ = [
    "Account",
    "Action",
    "Control",
    "Fault",
    "Framing",
    "Kind",
    "LoggedRequest",
    "OdpsServer",
    "connect",
    "odps_server_process",
]
