"""Where others reach this worker."""

from __future__ import annotations

import ipaddress
import socket

from elasticdl_like.errors import ConfigError


def own_host(master_address: str) -> str:
    """Returns the address of this machine that it talks to the master with.

    Args:
        master_address: the master, as `host:port`.

    Raises:
        ConfigError: the master's host is not known.
    """
    host, _, port = master_address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        family, kind, _, _, address = found[0]
        with socket.socket(family, kind) as probe:
            # Nothing is sent: this only chooses the way.
            probe.connect(address)
            own: str = probe.getsockname()[0]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"which address of this machine leads to the master at {master_address} cannot be "
            f"found out: {error}"
        ) from error
    return own


def address_of(host: str, port: int) -> str:
    """Returns `host:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Returns whether an address is one that other machines cannot reach."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


class ReservedPort:
    """A port that is free, and stays so until it is released.

    Args:
        host: an address of this machine.
    """

    def __init__(self, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.bind((host, 0))
        self.address = address_of(host, self._socket.getsockname()[1])

    def release(self) -> None:
        """Lets another process have the port."""
        self._socket.close()
