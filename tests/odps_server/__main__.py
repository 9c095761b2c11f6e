"""`python -m tests.odps_server`: a server until Ctrl-C; prints where it is as one line of JSON."""

from __future__ import annotations

import argparse
import json
import signal

from .server import ACCOUNT, PROJECT, OdpsServer
from .signatures import Account


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.odps_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 for any free one")
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--access_id", default=ACCOUNT.access_id)
    parser.add_argument("--access_key", default=ACCOUNT.access_key)
    parser.add_argument("--security_token", default="", help="the STS token that clients must send")
    parser.add_argument("--batch_rows", type=int, default=4096, help="rows of an arrow batch")
    options = parser.parse_args()
    account = Account(options.access_id, options.access_key, options.security_token)
    with OdpsServer(
        options.project, [account], port=options.port, batch_rows=options.batch_rows
    ) as server:
        described = {
            "endpoint": server.endpoint,
            "tunnel_endpoint": server.tunnel_endpoint,
            "project": server.project,
            "access_id": server.access_id,
            "access_key": server.access_key,
        }
        print(json.dumps(described), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    # Blocked before any thread starts, so that `sigwait` gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
