"""A server, the real client, and options that make what it reads independent of the machine."""

from collections.abc import Iterator

import pytest
from odps import ODPS
from odps.config import option_context
from odps.tunnel import TableTunnel

from odps_server import OdpsServer


@pytest.fixture(autouse=True)
def _options() -> Iterator[None]:
    with option_context() as options:
        options.local_timezone = False
        options.retry_delay = 0.01
        options.tunnel.require_stream_footer = True
        yield


@pytest.fixture
def server() -> Iterator[OdpsServer]:
    with OdpsServer(batch_rows=100) as server:
        yield server


@pytest.fixture
def client(server: OdpsServer) -> ODPS:
    return server.client()


@pytest.fixture
def tunnel(client: ODPS) -> TableTunnel:
    return TableTunnel(client)
