"""The flags of the status page, for every command that runs a master."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.connection import tls_config
from elasticdl_like.cli.flag import option, together

if TYPE_CHECKING:
    from elasticdl_like.window.server import WindowConfig

window_address_options = together(
    option(
        "--status_page/--no-status_page",
        default=True,
        help="Whether there is a status page, with metrics for Prometheus. Its link is logged.",
    ),
    option(
        "--status_host",
        default="127.0.0.1",
        help="Name or address of the status page. Beyond this machine it wants the job's token.",
    ),
    option(
        "--status_port",
        type=click.IntRange(0, 65535),
        default=0,
        help="Port of the status page; 0 for a free one.",
    ),
)
"""For a command that has flags for TLS anyway."""

window_options = together(
    window_address_options,
    option(
        "--tls_cert_file",
        default="",
        help="Certificate of the status page beyond this machine, in PEM format.",
    ),
    option("--tls_key_file", default="", help="The private key of --tls_cert_file."),
    option(
        "--insecure",
        is_flag=True,
        help="Show the status page to other machines without TLS.",
    ),
)


def window_config(flags: Mapping[str, Any]) -> WindowConfig | None:
    """Returns where the status page is, or None for none.

    Args:
        flags: those of `window_options`, among others.

    Raises:
        ConfigError: others could listen in, or a file of TLS cannot be used.
    """
    from elasticdl_like.window.server import WindowConfig, check_window

    if not flags["status_page"]:
        return None
    config = WindowConfig(
        host=flags["status_host"],
        port=flags["status_port"],
        tls=tls_config({"tls_ca_file": "", **flags}),
        insecure=flags["insecure"],
    )
    check_window(config)
    return config
