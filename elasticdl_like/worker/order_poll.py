"""Keeps an agent's report and the master's order known to each other."""

from __future__ import annotations

import threading
from collections.abc import Callable

from elasticdl_like.errors import ElasticdlError
from elasticdl_like.rounds import AgentReport, RoundOrder
from elasticdl_like.worker.agent_status import news_of
from elasticdl_like.worker.connection import Interrupt
from elasticdl_like.worker.master_client import MasterClient


class OrderPoll:
    """Asks the master again and again, from a thread of its own, until a call fails for good.

    Used as a context manager. There is one call at a time: a call that says what is no longer true
    is ended, so that an old report never arrives after a new one.

    Args:
        client: the connection to the master.
        report: how the worker stands at first.
        on_order: called in the thread with each new order.
        on_error: called in the thread with the error that ends the conversation.
    """

    def __init__(
        self,
        client: MasterClient,
        report: AgentReport,
        on_order: Callable[[RoundOrder], None],
        on_error: Callable[[ElasticdlError], None],
    ) -> None:
        self._client = client
        self._report = report
        self._on_order = on_order
        self._on_error = on_error
        self._lock = threading.Lock()
        self._interrupt = Interrupt()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="rendezvous", daemon=True)

    def __enter__(self) -> OrderPoll:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._closed = True
            self._interrupt.set()
        self._thread.join()

    def tell(self, report: AgentReport) -> None:
        """Has the master know a report, at once if there is news in it."""
        with self._lock:
            is_news = news_of(report) != news_of(self._report)
            self._report = report
            if is_news:
                self._interrupt.set()

    def _run(self) -> None:
        known: RoundOrder | None = None
        while True:
            with self._lock:
                if self._closed:
                    return
                self._interrupt = interrupt = Interrupt()
                report = self._report
            try:
                order = self._client.rendezvous(report, known, interrupt)
            except ElasticdlError as error:
                if not self._closed:
                    self._on_error(error)
                return
            if order is not None and order != known:
                known = order
                self._on_order(order)
