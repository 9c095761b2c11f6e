"""The connection to a master that may be away for a while and come back elsewhere."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import grpc

from elasticdl_like.errors import (
    AuthenticationError,
    ElasticdlError,
    MasterLostError,
    MasterUnavailableError,
    RetryableError,
)
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import open_channel
from elasticdl_like.proto.status_codes import error_from_status
from elasticdl_like.worker.master_locator import Endpoint, MasterLocator

_logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True)
class _Opened:
    endpoint: Endpoint
    channel: grpc.Channel
    stub: Any


class Interrupt:
    """Ends a call that waits in another thread, because what it says is no longer true."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._call: Any = None
        self._is_set = False

    @property
    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._is_set

    def set(self) -> None:
        """Ends the call that waits, and those that begin from now on."""
        with self._lock:
            self._is_set = True
            call = self._call
        if call is not None:
            call.cancel()

    def result(self, call: Any) -> Any:
        """Returns the reply of a call that was begun; raises what gRPC raises."""
        with self._lock:
            self._call = call
        if self._is_set:
            call.cancel()
        return call.result()


class MasterConnection:
    """Calls the master, again and again if need be; any thread may.

    Args:
        locator: tells where the master is; asked again each time that a call failed.
        master_timeout_s: how long the master may be silent.
    """

    def __init__(self, locator: MasterLocator, master_timeout_s: float) -> None:
        self._locator = locator
        self._master_timeout_s = master_timeout_s
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._silent_since_s: float | None = None
        self._closed = threading.Event()
        self._jitter = random.Random()

    @property
    def silent_s(self) -> float:
        """For how long the master has not answered, as far as calls have shown; 0.0 if it has."""
        since_s = self._silent_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def call(
        self,
        method: str,
        request: Any,
        timeout_s: float,
        interrupt: Interrupt | None = None,
        patience_s: float | None = None,
    ) -> Any:
        """Returns the master's reply, or None if the call was interrupted.

        Args:
            method: the name of the RPC.
            request: its message.
            timeout_s: how long one try may take.
            interrupt: ends the call early; None for a call that nobody interrupts.
            patience_s: how long the master may be silent; None for as long as usual.

        Raises:
            MasterLostError: the master was silent for too long, or the connection was closed.
            PermanentError: the master's answer is an error.
        """
        if patience_s is None:
            patience_s = self._master_timeout_s
        give_up_s = time.monotonic() + patience_s
        pause_s = _FIRST_PAUSE_S
        look_again = False
        while True:
            error = self._try(method, request, timeout_s, look_again, interrupt)
            if not isinstance(error, RetryableError):
                self._note_answer()
                if isinstance(error, ElasticdlError):
                    raise error
                return error
            if interrupt is not None and interrupt.is_set:
                return None
            if self._closed.is_set():
                raise MasterLostError(f"the connection to {self._locator} was closed") from error
            self._note_silence(error)
            if time.monotonic() + pause_s > give_up_s:
                raise MasterLostError(
                    f"{self._locator} has not answered for {patience_s:.0f} s "
                    f"({error}); check that it runs"
                    + (" and that --master_addr is right" if self._locator.fixed else "")
                ) from error
            self._closed.wait(pause_s * self._jitter.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            look_again = True

    def close(self) -> None:
        """Ends the connection; calls that are waiting for the master fail."""
        self._closed.set()
        with self._lock:
            if self._opened is not None:
                self._opened.channel.close()

    def _try(
        self,
        method: str,
        request: Any,
        timeout_s: float,
        look_again: bool,
        interrupt: Interrupt | None,
    ) -> Any | ElasticdlError:
        try:
            stub = self._stub(look_again)
        except MasterUnavailableError as error:
            return error
        try:
            call = getattr(stub, method)
            if interrupt is None:
                return call(request, timeout=timeout_s)
            return interrupt.result(call.future(request, timeout=timeout_s))
        except grpc.FutureCancelledError:
            return MasterUnavailableError("the call was cancelled")
        except grpc.RpcError as error:
            code = error.code()
            typed = error_from_status(code, error.details() or code.name)
            if isinstance(typed, AuthenticationError) and self._locator.fixed is None:
                # The master's old port may belong to the master of another job by now.
                typed = MasterUnavailableError(str(typed))
            typed.__cause__ = error
            return typed
        except ValueError as error:
            # gRPC's own word for a call on a channel that was closed.
            return MasterUnavailableError(str(error))

    def _stub(self, look_again: bool) -> Any:
        with self._lock:
            if self._closed.is_set():
                raise MasterUnavailableError("the connection is closed")
            if self._opened is None or look_again:
                endpoint = self._locator.locate()
                if self._opened is None or self._opened.endpoint != endpoint:
                    self._open(endpoint)
            assert self._opened is not None
            return self._opened.stub

    def _open(self, endpoint: Endpoint) -> None:
        if self._opened is not None:
            # Calls that other threads wait for there end now, and are tried again here.
            self._opened.channel.close()
        channel = open_channel(endpoint.address, endpoint.token, self._locator.tls)
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        self._opened = _Opened(endpoint, channel, stub)

    def _note_silence(self, error: Exception) -> None:
        with self._lock:
            if self._silent_since_s is None:
                self._silent_since_s = time.monotonic()
                _logger.warning("no answer from %s, waiting: %s", self._locator, error)

    def _note_answer(self) -> None:
        if self._silent_since_s is None:
            return
        with self._lock:
            if self._silent_since_s is not None:
                silent_s = time.monotonic() - self._silent_since_s
                self._silent_since_s = None
                _logger.warning("%s answers again, after %.1f s", self._locator, silent_s)
