"""Fetches the state of a model from the agents that hold it."""

from __future__ import annotations

import logging
import os
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import grpc

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import StateUnavailableError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import AUTHORIZATION, authorization, open_channel
from elasticdl_like.worker.state_memory import new_memory
from elasticdl_like.worker.state_server import agents_tls

_logger = logging.getLogger(__name__)

# Tries of one holder that bring nothing; each that brings something is followed by another.
_TRIES = 3
_PAUSE_S = 0.2
# A call that takes longer ends, and another goes on from there; so a holder that is stopped, or cut
# off, is given up after the first call that brings nothing.
_CALL_TIMEOUT_S = 5.0
_BROKEN = (
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


class StateFetch:
    """One transfer of the state of one step; `run` blocks, `cancel` ends it from elsewhere.

    Args:
        holders: addresses of agents, in the order in which they are to be asked.
        step: the step.
        token: the job's token.
        tls: the files that the connection to the master uses.
    """

    def __init__(self, holders: Sequence[str], step: int, token: str, tls: TlsConfig) -> None:
        self._holders = holders
        self._step = step
        self._tls = agents_tls(tls)
        self._token = token
        self._lock = threading.Lock()
        self._call: Any = None
        self._cancelled = threading.Event()

    def run(self) -> int:
        """Returns the memory with the whole state, for the caller to close.

        Raises:
            StateUnavailableError: no holder gives it, or the transfer was cancelled.
            ConfigError: a file of `tls` cannot be used.
        """
        problems = []
        for holder in self._holders:
            if self._cancelled.is_set():
                break
            download = _Download()
            try:
                return self._fetch(holder, download)
            except StateUnavailableError as error:
                download.discard()
                problems.append(str(error))
                _logger.warning("%s", error)
        why = "the transfer was cancelled" if self._cancelled.is_set() else "; ".join(problems)
        raise StateUnavailableError(
            f"the state of step {self._step} could not be fetched: {why or 'nobody holds it'}"
        )

    def cancel(self) -> None:
        """Ends the transfer; `run` then raises."""
        self._cancelled.set()
        with self._lock:
            call = self._call
        if call is not None:
            call.cancel()

    def _fetch(self, holder: str, download: _Download) -> int:
        problem = ""
        with open_channel(holder, self._token, self._tls, self._tls.workers_name) as channel:
            stub = elasticdl_pb2_grpc.AgentStub(channel)  # type: ignore[no-untyped-call]
            tries_left = _TRIES
            while tries_left and not self._cancelled.is_set():
                had_bytes = download.num_bytes
                try:
                    self._receive(stub, download)
                except grpc.RpcError as error:
                    problem = f"{error.code().name}: {error.details()}"
                    is_slow = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                    brought_nothing = download.num_bytes == had_bytes
                    if error.code() not in _BROKEN or (is_slow and brought_nothing):
                        break
                except _DamagedError as error:
                    problem = str(error)
                except OSError as error:
                    problem = f"there is no memory for it: {error.strerror}"
                    break
                if download.complete:
                    return download.file
                if download.num_bytes > had_bytes:
                    tries_left = _TRIES
                else:
                    tries_left -= 1
                    self._cancelled.wait(_PAUSE_S)
        raise StateUnavailableError(
            f"the agent at {holder} did not give it (byte {download.num_bytes} of "
            f"{max(download.size_bytes, 0)}): {problem or 'the call ended early'}"
        )

    def _receive(self, stub: Any, download: _Download) -> None:
        call = stub.FetchState(
            pb.FetchStateRequest(step=self._step, offset=download.num_bytes),
            timeout=_CALL_TIMEOUT_S,
            # `open_channel` adds the token to calls with one reply only.
            metadata=((AUTHORIZATION, authorization(self._token)),),
        )
        with self._lock:
            self._call = call
        if self._cancelled.is_set():
            call.cancel()
        try:
            for chunk in call:
                download.add(chunk)
        finally:
            call.cancel()


class _DamagedError(Exception):
    """A chunk is not what its sender says that it is."""


class _Download:
    """What has arrived of a state."""

    def __init__(self) -> None:
        self.file = -1
        self.size_bytes = -1
        self.num_bytes = 0

    @property
    def complete(self) -> bool:
        return self.num_bytes == self.size_bytes

    def add(self, chunk: pb.StateChunk) -> None:
        if self.size_bytes < 0:
            self.file = new_memory(chunk.size_bytes)
            self.size_bytes = chunk.size_bytes
        if chunk.size_bytes != self.size_bytes:
            raise _DamagedError(
                f"its size was {self.size_bytes} bytes, and is {chunk.size_bytes} now"
            )
        data = chunk.data
        if zlib.crc32(data) != chunk.crc:
            raise _DamagedError(f"the checksum of the bytes from {self.num_bytes} on is wrong")
        if self.num_bytes + len(data) > self.size_bytes:
            raise _DamagedError(f"there are more than its {self.size_bytes} bytes")
        written = 0
        while written < len(data):
            written += os.pwrite(self.file, memoryview(data)[written:], self.num_bytes + written)
        self.num_bytes += len(data)

    def discard(self) -> None:
        if self.file >= 0:
            os.close(self.file)
        self.file = -1
