"""Calls of agents that wait for another order."""

from __future__ import annotations

import asyncio
import contextlib

from elasticdl_like.master.orders import Orders
from elasticdl_like.rounds import AgentReport, RoundOrder


class OrderWatch:
    """Lets agents wait for another order; lives on the loop that it is made on.

    Args:
        orders: those of the job.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        orders.on_change(self._call)

    async def next_order(
        self,
        worker_id: int,
        incarnation: str,
        report: AgentReport,
        known: RoundOrder | None,
        wait_s: float,
    ) -> RoundOrder:
        """Takes in how a worker stands, and returns what it is to do.

        Args:
            worker_id: the worker.
            incarnation: its process.
            report: how it stands.
            known: the order that it has; while it is the right one there is no answer.
            wait_s: for how long at most, in seconds.

        Raises:
            ElasticdlError: as `Orders.rendezvous` does.
        """
        changed = self._changed
        order = self._orders.rendezvous(worker_id, incarnation, report, known)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while known is not None and _is_same(order, known):
                    await changed.wait()
                    changed = self._changed
                    order = self._orders.order(worker_id, incarnation)
        return order

    def _call(self) -> None:
        # Once the loop is closed nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _is_same(order: RoundOrder, known: RoundOrder) -> bool:
    # The plan of a round does not change. (And a metric in it may be no number, which is not equal
    # to itself.)
    return (order.order, order.round) == (known.order, known.round)
