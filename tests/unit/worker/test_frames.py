"""Values and open files between an agent and its trainer."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from elasticdl_like.worker.frames import FrameSocket
from elasticdl_like.worker.state_memory import mapped, new_memory, size_bytes, used_bytes


@pytest.fixture
def ends() -> Iterator[tuple[FrameSocket, FrameSocket]]:
    first, second = (FrameSocket(end) for end in socket.socketpair())
    yield first, second
    first.close()
    second.close()


def test_values_and_files_arrive_in_order(ends: tuple[FrameSocket, FrameSocket]) -> None:
    sender, receiver = ends
    for number in range(5):
        file = new_memory(number + 1)
        sender.send(("memory", number), file)
        os.close(file)
        sender.send(("plain", number))
    received = []
    while len(received) < 10:
        received += receiver.receive(wait=True)
    assert [value for value, _ in received] == [
        (kind, number) for number in range(5) for kind in ("memory", "plain")
    ]
    for (kind, number), file in received:
        assert (file is not None) is (kind == "memory")
        if file is not None:
            assert size_bytes(file) == number + 1
            os.close(file)
    assert receiver.receive(wait=False) == []


def test_a_value_larger_than_the_buffer_arrives(ends: tuple[FrameSocket, FrameSocket]) -> None:
    sender, receiver = ends
    value = os.urandom(3_000_000)
    thread = threading.Thread(target=sender.send, args=(value,))
    thread.start()
    assert receiver.receive(wait=True) == [(value, None)]
    thread.join()


def test_what_was_sent_before_the_end_arrives(ends: tuple[FrameSocket, FrameSocket]) -> None:
    sender, receiver = ends
    sender.send("last word")
    sender.close()
    assert receiver.receive(wait=False) == [("last word", None)]
    assert receiver.at_end
    assert receiver.receive(wait=True) == []


def test_an_other_end_that_does_not_read_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0.01)
    sender = FrameSocket(ours)
    with theirs, pytest.raises(TimeoutError):
        sender.send(bytes(3_000_000))
    sender.close()


def test_memory_is_used_up_when_it_is_written_to() -> None:
    file = new_memory(10_000_000)
    assert used_bytes(file) < 100_000
    mapped(file, writable=True)[:5_000_000] = bytes(5_000_000)
    assert 5_000_000 <= used_bytes(file) < 6_000_000
    assert mapped(file, writable=False).readonly
    os.close(file)
