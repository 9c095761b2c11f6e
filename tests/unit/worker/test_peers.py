"""The collectives of a round, with real processes."""

import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import tensorflow as tf

from elasticdl_like.worker.peers import Peers

MEMBER = Path(__file__).with_name("peers_member.py")


def free_addresses(number):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


@pytest.fixture
def members():
    addresses = free_addresses(3)
    started = [
        subprocess.Popen(
            [sys.executable, MEMBER, str(rank), *addresses],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(len(addresses))
    ]
    yield started
    for each in started:
        each.kill()
        each.wait()
        each.stdout.close()


def test_members_sum_and_share_and_notice_a_death(members):
    for member in members:
        assert member.stdout.readline() == "18.0 [6.0, 12.0, 18.0, 24.0] [18.0, 24.0]\n"
        assert member.stdout.readline() == f"[[{3 * 2**40}, 3]]\n"
        assert member.stdout.readline() == f"{256 * 41} {bytes([253, 254, 255])!r}\n"
        assert member.stdout.readline() == "0.0\n"
    members[0].send_signal(signal.SIGKILL)
    for member in members[1:]:
        assert member.stdout.readline().startswith("lost: ")
        assert member.wait(30) == 0


def test_one_member_needs_no_others():
    peers = Peers(["127.0.0.1:1"], 0)
    assert peers.is_chief
    (summed,), read = peers.exchange([tf.constant([1.0, 2.0])], 1)
    assert summed.numpy().tolist() == [1.0, 2.0]
    assert read.tolist() == [2.0]
    assert peers.broadcast(b"abc") == b"abc"
