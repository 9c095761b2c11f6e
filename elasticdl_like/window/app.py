"""The addresses of the window, and what is behind each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from elasticdl_like.window.documents import encode
from elasticdl_like.window.metrics import Measured, make_registry
from elasticdl_like.window.page import Page
from elasticdl_like.window.snapshot import DEFAULT_CELLS, Snapshots
from elasticdl_like.window.stream import updates

_MOST_CELLS = 20_000
_MOST_STREAMS = 64
_MOST_EVENT_ID = 1 << 62


class WindowApp:
    """Answers the requests to the window; to be used by one event loop.

    Args:
        snapshots: what changes while the job runs.
        config: the document `config`, as JSON.
        problem: returns why the job cannot be written down, or "".
        page: the page.
        stopping: is set when the window closes.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        config: str,
        problem: Callable[[], str],
        page: Page,
        stopping: asyncio.Event,
    ) -> None:
        self._snapshots = snapshots
        self._config = config
        self._problem = problem
        self._page = page
        self._stopping = stopping
        self._num_streams = 0
        self._registry = make_registry(self._measure)

    def asgi(self) -> Starlette:
        """Returns the application."""
        return Starlette(
            routes=[
                Route("/", self._get_page),
                Route("/healthz", self._get_health),
                Route("/metrics", self._get_metrics),
                Route("/api/v1/status", self._get_status),
                Route("/api/v1/ledger", self._get_ledger),
                Route("/api/v1/events", self._get_events),
                Route("/api/v1/history", self._get_history),
                Route("/api/v1/coverage", self._get_coverage),
                Route("/api/v1/config", self._get_config),
                Route("/api/v1/stream", self._get_stream, methods=["GET"]),
            ]
        )

    async def _get_page(self, request: Request) -> Response:
        page = self._page
        headers = {
            "cache-control": "no-cache",
            "content-security-policy": page.policy,
            "etag": page.etag,
            "vary": "accept-encoding",
        }
        if page.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return HTMLResponse(page.content, headers=headers)
        return HTMLResponse(page.compressed, headers=headers | {"content-encoding": "gzip"})

    async def _get_health(self, request: Request) -> Response:
        problem = self._problem()
        if problem:
            return PlainTextResponse(f"{problem}\n", 503)
        return PlainTextResponse("ok\n")

    async def _get_metrics(self, request: Request) -> Response:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(self._registry), headers={"content-type": content_type})

    async def _get_status(self, request: Request) -> Response:
        return _json(self._snapshots.status().text)

    async def _get_ledger(self, request: Request) -> Response:
        return _json(self._snapshots.ledger().text)

    async def _get_events(self, request: Request) -> Response:
        after_id = _number(request, "after", 0, 0, _MOST_EVENT_ID)
        if isinstance(after_id, Response):
            return after_id
        return _json(encode(self._snapshots.events(after_id)))

    async def _get_history(self, request: Request) -> Response:
        return _json(self._snapshots.history().text)

    async def _get_coverage(self, request: Request) -> Response:
        cells = _number(request, "cells", DEFAULT_CELLS, 1, _MOST_CELLS)
        if isinstance(cells, Response):
            return cells
        return _json(self._snapshots.coverage(cells).text)

    async def _get_config(self, request: Request) -> Response:
        return _json(self._config)

    async def _get_stream(self, request: Request) -> Response:
        if self._num_streams >= _MOST_STREAMS:
            return PlainTextResponse(f"{_MOST_STREAMS} streams are open already\n", 503)
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        self._num_streams += 1
        try:
            async for update in updates(self._snapshots, self._stopping):
                yield update
        finally:
            self._num_streams -= 1

    def _measure(self) -> Measured:
        snapshots = self._snapshots
        return Measured(snapshots.status().plain, snapshots.ledger().plain, not self._problem())


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _number(request: Request, name: str, default: int, least: int, most: int) -> int | Response:
    """Returns a parameter of an address, or the answer that refuses it."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if given.isascii() and given.isdigit() and len(given) < 20 and least <= int(given) <= most:
        return int(given)
    return PlainTextResponse(f"{name}: a number from {least} to {most} is needed\n", 400)
