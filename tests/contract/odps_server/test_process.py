"""The server in a process of its own, told what to do over HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from odps import errors
from odps.tunnel import TableTunnel

from odps_server import Action, Control, Fault, Kind, odps_server_process
from odps_server.errors import ServiceError


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Control]:
    with odps_server_process("--batch_rows", "10") as server:
        server.add_table("t", {"id": "bigint"}, {"ds": "string"})
        server.append("t", [(index,) for index in range(100)], "ds=1")
        yield server


def test_download(elsewhere: Control) -> None:
    elsewhere.clear_requests()
    session = TableTunnel(elsewhere.client()).create_download_session("t", partition_spec="ds=1")
    elsewhere.add_fault(Fault(Action.RESET, kind=Kind.DATA, path="?ds=1", row=50, at_byte=1000))
    with session.open_arrow_reader(0, 100) as reader:
        assert reader.read().equals(elsewhere.rows("t", "ds=1"))
    broken, resumed = elsewhere.requests(Kind.DATA)
    assert (broken.rows, broken.bytes_sent, broken.faults) == ((0, 100), 1000, ["reset"])
    assert resumed.session_id == session.id
    assert resumed.partition == "ds=1"


def test_faults_by_hand(elsewhere: Control) -> None:
    fault = {"action": "status", "kind": "table", "status": 403}
    url = f"{elsewhere.tunnel_endpoint}/control/add_fault"
    with urllib.request.urlopen(url, json.dumps({"fault": fault}).encode()) as response:
        assert json.loads(response.read()) is None
    with pytest.raises(errors.NoPermission):
        elsewhere.client().get_table("t").reload()


def test_commands_that_cannot_be_done(elsewhere: Control) -> None:
    with pytest.raises(ServiceError, match=r"test_project\.missing cannot be resolved"):
        elsewhere.rows("missing")
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(f"{elsewhere.tunnel_endpoint}/control/explode", b"{}")
    assert b"there is no command explode" in refused.value.read()
    refused.value.close()
