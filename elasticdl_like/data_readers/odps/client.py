"""A client of MaxCompute that leaves it to its caller to try again.

pyodps tries some calls again by itself, for ever or for minutes, and its options hold for the
whole process. Here every call is made once, with options of its own that no one else sees.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.odps.access import OdpsAccess
from elasticdl_like.data_readers.odps.location import OdpsLocation

_WHAT = "MaxCompute tables"
odps = import_extra("odps", "odps", _WHAT)
_accounts = import_extra("odps.accounts", "odps", _WHAT)
_config = import_extra("odps.config", "odps", _WHAT)
_retry = import_extra("odps.tunnel.retry", "odps", _WHAT)
_tabletunnel = import_extra("odps.tunnel.tabletunnel", "odps", _WHAT)

_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60

Result = TypeVar("Result")


class OdpsClient:
    """A client of one project. Thread-safe; connections are per thread, made when needed.

    What it returns is to be used inside `call` only.

    Args:
        access: where the service is, and the credentials.
        timeout_s: the longest that a call may be silent, if that is less than a minute.
    """

    def __init__(self, access: OdpsAccess, timeout_s: float = _READ_TIMEOUT_S) -> None:
        # It logs tokens at INFO, and headers with them at DEBUG.
        logger = logging.getLogger("odps")
        logger.setLevel(max(logger.getEffectiveLevel(), logging.WARNING))
        self.access = access
        self._context = contextvars.Context()
        self._context.run(_config.set_global_options, _options(timeout_s))
        self._odps = self.call(self._connect)

    def call(self, function: Callable[[], Result]) -> Result:
        """Returns what a function returns that uses pyodps."""
        return self._context.copy().run(function)

    def table(self, location: OdpsLocation) -> Any:
        """Returns the `odps.models.Table`; the service may be asked for more than its name."""
        return self.call(
            lambda: self._odps.get_table(
                location.table, project=location.project or self.access.project
            )
        )

    def table_names(self, location: OdpsLocation, prefix: str) -> Any:
        """Returns an iterator over the names of the tables that begin like this."""
        project = location.project or self.access.project
        return (table.name for table in self._odps.list_tables(project=project, prefix=prefix))

    def download_session(self, table: Any, partition: str, session_id: str = "") -> Any:
        """Returns a download session, a new one or that with this id: one request.

        Args:
            table: what `table` returned.
            partition: one partition, as `ds=1,hh=2`; "" for a table without partitions.
            session_id: that of a session that was made elsewhere.
        """

        def opened() -> Any:
            rest, tunnel_table = self.tunnel(table)
            return _DownloadSession(
                rest, tunnel_table, partition or None, download_id=session_id or None
            )

        return self.call(opened)

    def tunnel(self, table: Any) -> tuple[Any, Any]:
        """Returns what sessions are made with: a connection to the tunnel, and the table in it."""
        tunnel = odps.tunnel.TableTunnel(
            self._odps,
            project=table.project.name,
            endpoint=self.access.tunnel_endpoint or None,
        )
        return tunnel.tunnel_rest, tunnel._get_tunnel_table(table)

    def _connect(self) -> Any:
        access = self.access
        if access.security_token:
            account = _accounts.StsAccount(
                access.access_id, access.access_key, access.security_token, expired_hours=None
            )
        else:
            account = _accounts.CloudAccount(access.access_id, access.access_key)
        return odps.ODPS(
            account=account,
            project=access.project,
            endpoint=access.endpoint,
            tunnel_endpoint=access.tunnel_endpoint or None,
            # Otherwise it asks the service for the address of a web page.
            logview_host=access.endpoint,
            # Not for the whole process, either.
            overwrite_global=False,
            rest_client_kwargs={"retry_enabled": False},
        )


class NoRetries(_retry.TunnelRetryHandler):  # type: ignore[misc,name-defined]
    """Leaves it to the caller of a session to try again."""

    def get_retry_policy(self, status_code: int | None) -> Any:
        """Returns the policy for a reply of this status: never again."""
        return _retry.NoRetryPolicy()


class _DownloadSession(_tabletunnel.TableDownloadSession):  # type: ignore[misc,name-defined]
    @property
    def retry_handler(self) -> Any:
        return NoRetries()


def _options(timeout_s: float) -> Any:
    with _config.option_context() as options:
        options.retry_times = 0
        options.retry_delay = 0
        options.connect_timeout = _CONNECT_TIMEOUT_S
        options.read_timeout = max(int(min(_READ_TIMEOUT_S, timeout_s)), 1)
        # A stream that is cut off cleanly has no end otherwise.
        options.tunnel.require_stream_footer = True
        # Instants in UTC, whatever the time zone of this machine, and however old.
        options.local_timezone = False
        options.allow_antique_date = True
        options.tunnel.string_as_binary = True
        options.table_read_limit = None
        options.use_legacy_logview = True
        return options
