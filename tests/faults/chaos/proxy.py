"""A proxy between workers and master that loses, repeats, delays and reorders what they say."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from elasticdl_like.proto import elasticdl_pb2 as pb
from faults.chaos.network_plan import NetworkFault, NetworkPlan

_LEASES = "/elasticdl.Master/CommitAndLease"
_LONGEST_CALL_S = 70.0
# The call that has the first fault of a network that would be a good one by chance.
_FAULT_AT_LATEST = 20
_JOURNAL_FULL = "cannot be written"


class FaultyProxy(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Passes calls on as bytes, with faults.

    Args:
        endpoint_path: the file where the master writes down its address; read for each call.
        plan: the faults.
        chance: decides which call has which.
        on_lease_call: called with the number of each request for leases just after it was sent to
            the master.
        on_epoch_ended: called when a reply says for the first time that an epoch has ended.
    """

    def __init__(
        self,
        endpoint_path: Path,
        plan: NetworkPlan,
        chance: random.Random,
        on_lease_call: Callable[[int], None],
        on_epoch_ended: Callable[[int], None],
    ) -> None:
        self.fired: Counter[str] = Counter()
        self._endpoint_path = endpoint_path
        self._plan = plan
        self._chance = chance
        self._on_lease_call = on_lease_call
        self._on_epoch_ended = on_epoch_ended
        self._num_calls = 0
        self._num_lease_calls = 0
        self._epochs_ended: set[int] = set()
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._background: set[asyncio.Task[None]] = set()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method

        async def handle(request: bytes, context: Any) -> bytes:
            return await self._handle(method, request, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _handle(self, method: str, request: bytes, context: Any) -> bytes:
        metadata = [
            (name, value)
            for name, value in context.invocation_metadata()
            if name == "authorization"
        ]
        remaining_s = min(context.time_remaining() or _LONGEST_CALL_S, _LONGEST_CALL_S)
        fault = self._draw_fault()
        if fault is not None:
            self.fired[fault] += 1
        echo_s = self._chance.uniform(0.0, self._plan.longest_echo_s)
        match fault:
            case NetworkFault.REQUEST_DROPPED:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "request dropped")
            case NetworkFault.REQUEST_SWALLOWED:
                await asyncio.sleep(remaining_s)
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "request swallowed")
            case NetworkFault.DELAYED:
                await asyncio.sleep(self._chance.uniform(0.0, self._plan.longest_delay_s))
            case NetworkFault.DUPLICATED:
                self._send_again(method, request, metadata, 0.0)
            case NetworkFault.DUPLICATED_LATE:
                self._send_again(method, request, metadata, echo_s)
            case NetworkFault.REORDERED:
                self._send_again(method, request, metadata, echo_s)
                await context.abort(grpc.StatusCode.UNAVAILABLE, "request held back")
        try:
            reply = await self._forward(method, request, metadata, remaining_s)
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
            if _JOURNAL_FULL in details:
                self.fired["journal cannot be written"] += 1
            await context.abort(error.code(), details)
            raise
        if fault is NetworkFault.REPLY_CUT:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "reply cut")
        return reply

    def _draw_fault(self) -> NetworkFault | None:
        self._num_calls += 1
        if self._num_calls == _FAULT_AT_LATEST and self._plan.rates and not self.fired:
            return next(iter(self._plan.rates))
        return self._plan.draw(self._chance)

    async def _forward(
        self, method: str, request: bytes, metadata: list[tuple[str, str]], timeout_s: float
    ) -> bytes:
        call = self._channel().unary_unary(method, None, None)(
            request, metadata=metadata, timeout=timeout_s
        )
        if method == _LEASES:
            self._num_lease_calls += 1
            # The request leaves only when this coroutine gives way.
            await asyncio.sleep(0)
            self._on_lease_call(self._num_lease_calls)
        reply: bytes = await call
        if method == _LEASES:
            self._look_for_end_of_epoch(request, reply)
        return reply

    def _look_for_end_of_epoch(self, request: bytes, reply: bytes) -> None:
        epoch = pb.CommitAndLeaseRequest.FromString(request).epoch.epoch
        answer = pb.CommitAndLeaseReply.FromString(reply).answer
        if answer == pb.CommitAndLeaseReply.EPOCH_ENDED and epoch not in self._epochs_ended:
            self._epochs_ended.add(epoch)
            self._on_epoch_ended(epoch)

    def _send_again(
        self, method: str, request: bytes, metadata: list[tuple[str, str]], delay_s: float
    ) -> None:
        async def send() -> None:
            await asyncio.sleep(delay_s)
            try:
                await self._forward(method, request, metadata, 5.0)
            except grpc.aio.AioRpcError as error:
                self.fired[f"copy answered {error.code().name}"] += 1
            else:
                self.fired["copy answered OK"] += 1

        task = asyncio.ensure_future(send())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _channel(self) -> grpc.aio.Channel:
        try:
            address = self._endpoint_path.read_text(encoding="utf-8").strip()
        except OSError:
            address = "127.0.0.1:1"  # nobody listens there
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(
                address,
                [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)],
            )
        return self._channels[address]


@contextmanager
def serving(proxy: FaultyProxy) -> Iterator[str]:
    """Serves the proxy from a thread of its own; yields its address."""
    loop = asyncio.new_event_loop()
    ready: asyncio.Future[int] = loop.create_future()
    stopping = asyncio.Event()

    async def run() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers([proxy])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ready.set_result(port)
        await stopping.wait()
        await server.stop(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)

    async def port() -> int:
        return await ready

    thread.start()
    address = f"127.0.0.1:{asyncio.run_coroutine_threadsafe(port(), loop).result(10)}"
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(5)
