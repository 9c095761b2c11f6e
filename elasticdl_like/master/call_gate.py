"""Who may call, and for how long: the gate before the servicer."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from elasticdl_like.errors import ElasticdlError, InvalidRequestError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto.channel import AUTHORIZATION, authorization
from elasticdl_like.proto.status_codes import status_code

# As many calls may wait for their message as long as they like.
_FEW_CALLS = 200
# A client sends a call and its message together; this is for one on a bad line.
_MESSAGE_TIMEOUT_S = 10.0
# More calls than this wait for their message only if somebody holds them open on purpose.
_MOST_WAITING = 2000
# Each byte may travel as three, in metadata, of which a client takes 8 KiB.
_LONGEST_REASON_BYTES = 2000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Call = Callable[[Any, Context], Awaitable[Message]]
Answer = Callable[[bytes, Context], Awaitable[bytes]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


@dataclass
class OpenCalls:
    """How many calls that carry the token are open, whether or not their message has come."""

    number: int = 0


class CallGate(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Lets calls that carry the job's token through to a servicer, and answers its errors.

    gRPC reads the message of a unary call before anybody can look at the call, and waits for it as
    long as the client likes. A method served as one that takes a stream of messages, of which the
    first is read, looks the same on the wire, and leaves us in charge. That takes a tenth longer,
    so it is done where it matters:

    * A call without the token is refused before its message is read.
    * When many calls are open, a new one ends if its message does not come within 10 s; and
      when very many wait for theirs, the one that has waited longest ends. However many calls are
      held open, a new one gets in.

    Args:
        servicer: has a coroutine for each method of the service.
        token: the job's token.
        open_calls: is kept up to date.
    """

    def __init__(self, servicer: object, token: str, open_calls: OpenCalls) -> None:
        self._authorization = authorization(token).encode()
        self._open_calls = open_calls
        self._waiting: dict[asyncio.Timeout, None] = {}
        self._handlers: dict[str, Handler] = {}
        self._patient_handlers: dict[str, Handler] = {}
        service = pb.DESCRIPTOR.services_by_name["Master"]
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            answer = _answering(method, getattr(servicer, method.name))
            self._patient_handlers[name] = grpc.unary_unary_rpc_method_handler(answer)
            self._handlers[name] = grpc.stream_unary_rpc_method_handler(self._timed(answer))
        self._refusal = grpc.stream_unary_rpc_method_handler(_refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Returns the handler of a call; gRPC asks, in the call's own task, before it reads."""
        for name, value in handler_call_details.invocation_metadata:
            if name == AUTHORIZATION and hmac.compare_digest(_bytes(value), self._authorization):
                break
        else:
            return self._refusal
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(self._closed)
        self._open_calls.number += 1
        few = self._open_calls.number <= _FEW_CALLS
        return (self._patient_handlers if few else self._handlers).get(handler_call_details.method)

    def _closed(self, _task: asyncio.Task[Any]) -> None:
        self._open_calls.number -= 1

    def _timed(self, answer: Answer) -> Callable[[object, Context], Awaitable[bytes]]:
        async def read_and_answer(_messages: object, context: Context) -> bytes:
            return await answer(await self._message(context), context)

        return read_and_answer

    async def _message(self, context: Context) -> bytes:
        if len(self._waiting) >= _MOST_WAITING:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(_MESSAGE_TIMEOUT_S) as timeout:
                self._waiting[timeout] = None
                try:
                    body: bytes = await context.read()
                finally:
                    self._waiting.pop(timeout, None)
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the call came without its message"
            )
        if body is grpc.aio.EOF:  # type: ignore[attr-defined]
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message"
            )
        return body


def _answering(method: MethodDescriptor, call: Call) -> Answer:
    request_class = GetMessageClass(method.input_type)

    async def answer(body: bytes, context: Context) -> bytes:
        try:
            reply = await call(_parse(request_class, body), context)
        except ElasticdlError as error:
            await context.abort(status_code(error), _shortened(str(error)))
            raise
        return reply.SerializeToString()

    return answer


async def _refuse(_requests: object, context: Context) -> None:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "the job token is missing or wrong; it is in JOB_DIR/token",
    )


def _shortened(reason: str) -> str:
    return reason.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _parse(request_class: type[Message], body: bytes) -> Message:
    try:
        return request_class.FromString(body)
    except DecodeError as error:
        raise InvalidRequestError(
            f"not a {request_class.__name__}: {error}; use one version of elasticdl everywhere"
        ) from error
