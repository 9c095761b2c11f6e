"""Messages between an agent and its trainer: Python values, and open files, over a Unix socket.

Both ends are one program of one user; nobody else can reach the socket.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import struct
import threading
from typing import Any

_HEADER = struct.Struct("!I?")
_RECEIVED_BYTES = 1 << 16
_MOST_FILES = 8


class FrameSocket:
    """One end of a socketpair that carries values.

    Any thread may send; one thread receives.

    Args:
        end: a connected Unix stream socket. With a time-out, `send` raises TimeoutError when the
            other end does not read.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._send_lock = threading.Lock()
        self._buffer = bytearray()
        self._files: list[int] = []
        self._closed = False

    def fileno(self) -> int:
        """Returns the file descriptor, for a selector."""
        return self._socket.fileno()

    @property
    def at_end(self) -> bool:
        """Whether the other end has been closed, as far as `receive` has read."""
        return self._closed

    def send(self, value: Any, file: int | None = None) -> None:
        """Sends a value, and a copy of an open file with it.

        Raises:
            OSError: the other end is closed, or does not read.
        """
        body = pickle.dumps(value)
        header = _HEADER.pack(len(body), file is not None)
        with self._send_lock:
            if file is None:
                self._socket.sendall(header + body)
                return
            # The file travels with the first byte, so that it arrives with it or before the rest.
            sent = socket.send_fds(self._socket, [header], [file])
            self._socket.sendall(header[sent:] + body)

    def receive(self, wait: bool) -> list[tuple[Any, int | None]]:
        """Returns the values that have arrived, each with its file; the caller closes the files.

        Args:
            wait: whether to wait for a value, or for the end.
        """
        received = self._whole_frames()
        while not self._closed and not (wait and received):
            if not wait and not self.wait(0.0):
                break
            try:
                data, files, _, _ = socket.recv_fds(
                    self._socket, _RECEIVED_BYTES, _MOST_FILES, socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionError:
                data, files = b"", []
            self._files += files
            self._buffer += data
            self._closed = not data
            received += self._whole_frames()
        return received

    def wait(self, timeout_s: float) -> bool:
        """Waits until there is something to receive; returns whether there is."""
        # Not select(), which knows no more than 1024 open files.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(1000 * timeout_s))

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()
        for file in self._files:
            os.close(file)
        self._files.clear()

    def _whole_frames(self) -> list[tuple[Any, int | None]]:
        frames = []
        while len(self._buffer) >= _HEADER.size:
            size_bytes, has_file = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size_bytes
            if len(self._buffer) < end:
                break
            value = pickle.loads(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            frames.append((value, self._files.pop(0) if has_file else None))
        return frames
