"""A limit on connections, which the server does not have by itself."""

from __future__ import annotations

from asyncio import Transport

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 256


class LimitedProtocol(H11Protocol):
    """Ends a connection at once when there are too many: the journal needs open files as well."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Takes a connection."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
