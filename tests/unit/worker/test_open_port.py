from __future__ import annotations

import socket
import threading

from elasticdl_like.worker.open_port import wait_for_port


def test_a_port_is_waited_for_until_somebody_listens() -> None:
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{late.getsockname()[1]}"
        assert not wait_for_port(address, 0.1)
        listening = threading.Timer(0.1, late.listen)
        listening.start()
        assert wait_for_port(address, 20.0)
        listening.join()


def test_an_address_of_ipv6() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert wait_for_port(f"[::1]:{server.getsockname()[1]}", 20.0)
