"""Who is let in, with signatures of both versions and with STS tokens."""

from collections.abc import Iterator

import pytest
from odps import ODPS, errors
from odps.accounts import StsAccount
from odps.config import options
from odps.tunnel import TableTunnel

from odps_server import Account, OdpsServer

KEYS = Account("id", "key")
TEMPORARY = Account("temporary-id", "temporary-key", "token of an hour")


@pytest.fixture
def server() -> Iterator[OdpsServer]:
    with OdpsServer(accounts=[KEYS, TEMPORARY]) as server:
        server.add_table("t", {"id": "bigint"}, {"ds": "string"})
        server.append("t", [(1,)], "ds=ä b+c")
        yield server


def client(server: OdpsServer, account: Account, region_name: str | None = None) -> ODPS:
    credentials: dict[str, object] = {
        "access_id": account.access_id,
        "secret_access_key": account.access_key,
    }
    if account.security_token:
        credentials = {
            "account": StsAccount(account.access_id, account.access_key, account.security_token)
        }
    return ODPS(
        **credentials,
        project=server.project,
        endpoint=server.endpoint,
        tunnel_endpoint=server.tunnel_endpoint,
        region_name=region_name,
        overwrite_global=False,
    )


@pytest.mark.parametrize("account", [KEYS, TEMPORARY], ids=["keys", "sts"])
@pytest.mark.parametrize("region_name", [None, "cn-hangzhou"], ids=["v2", "v4"])
def test_let_in(server: OdpsServer, account: Account, region_name: str | None) -> None:
    options.enable_v4_sign = True
    odps = client(server, account, region_name)
    assert odps.exist_table("t")
    session = TableTunnel(odps).create_download_session("t", partition_spec="ds=ä b+c")
    assert session.count == 1
    assert all(request.status in (200, 404) for request in server.requests())


@pytest.mark.parametrize(
    ("account", "message"),
    [
        (Account("who", "key"), "ODPS-0410051:Invalid credentials - accessKeyId not found"),
        (Account("id", "kex"), "ODPS-0410042:Invalid signature value"),
        (Account("temporary-id", "temporary-key", "old"), "security token is invalid"),
        (Account("temporary-id", "temporary-key"), "security token is invalid"),
    ],
    ids=["unknown-id", "wrong-key", "old-token", "no-token"],
)
@pytest.mark.parametrize("region_name", [None, "cn-hangzhou"], ids=["v2", "v4"])
def test_kept_out(
    server: OdpsServer, account: Account, message: str, region_name: str | None
) -> None:
    options.enable_v4_sign = True
    odps = client(server, account, region_name)
    with pytest.raises(errors.ODPSError, match=message):
        odps.get_table("t").reload()
    with pytest.raises(errors.Unauthorized, match="authorization header is invalid or missing"):
        TableTunnel(odps).create_download_session("t", partition_spec="ds=ä b+c")
    assert {request.status for request in server.requests()} == {401}
