"""The collectives of a round, with real processes."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import tensorflow as tf

from elasticdl_command import eventually
from elasticdl_like.worker.peers import Peers

MEMBER = Path(__file__).with_name("peers_member.py")


def free_addresses(number):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


class Member:
    def __init__(self, rank, addresses):
        self.process = subprocess.Popen(
            [sys.executable, MEMBER, str(rank), *addresses],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def tell(self, command):
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline().strip()

    def exchanging_s(self):
        self.tell("ask")
        return float(self.hear())

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def members(request):
    addresses = free_addresses(request.param)
    started = [Member(rank, addresses) for rank in range(len(addresses))]
    yield started
    for each in started:
        each.end()


def tell_all(members, *commands):
    for member, command in zip(members, commands, strict=True):
        member.tell(command)


@pytest.mark.parametrize("members", [3], indirect=True)
def test_members_sum_and_share_and_notice_a_death(members):
    tell_all(members, "batch", "batch", "batch")
    for member in members:
        assert member.hear() == "[6.0, 12.0, 18.0, 24.0] [18.0, 24.0] 18.0 b'batch'"
    # Each has run another graph than the next one's, and others before.
    for empty in (0, 1):
        commands = ["nothing" if rank == empty else "batch" for rank in range(3)]
        tell_all(members, *commands)
        factor = 6 - (empty + 1)
        sums = [factor * number for number in (1.0, 2.0, 3.0, 4.0)]
        for member, command in zip(members, commands, strict=True):
            assert member.hear() == f"{sums} {sums[2:]} 12.0 b'{command}'"
    tell_all(members, "integers", "integers", "integers")
    for member in members:
        assert member.hear() == f"[[{3 * 2**40}, 3]]"
    tell_all(members, "broadcast", "broadcast", "broadcast")
    for member in members:
        assert member.hear() == f"{256 * 41} {bytes([253, 254, 255])!r}"
        assert member.exchanging_s() == 0.0
    members[0].process.send_signal(signal.SIGKILL)
    for member in members[1:]:
        member.tell("batch")
        assert member.hear() == "PeersLostError"
        assert member.exchanging_s() == 0.0


@pytest.mark.parametrize("members", [2], indirect=True)
def test_who_waits_in_a_collective_exchanges_and_who_computes_for_long_does_not(members):
    fast, slow = members
    fast.tell("batch")
    slow.tell("slow")
    assert slow.hear() == "computes"
    eventually(lambda: fast.exchanging_s() > 0.5, 30)
    began_s = time.monotonic()
    assert slow.exchanging_s() == 0.0
    fast.process.send_signal(signal.SIGSTOP)
    slow.tell("go")
    eventually(lambda: slow.exchanging_s() > 0.5, 30)
    assert slow.exchanging_s() <= time.monotonic() - began_s
    fast.process.send_signal(signal.SIGCONT)
    for member, own in zip(members, ("batch", "slow"), strict=True):
        assert member.hear() == f"[3.0, 6.0, 9.0, 12.0] [9.0, 12.0] 12.0 b'{own}'"
        assert member.exchanging_s() == 0.0


@pytest.mark.parametrize("members", [2], indirect=True)
def test_what_fails_before_the_collective_is_no_loss_of_a_peer(members):
    members[0].tell("batch")
    members[1].tell("wrong")
    assert members[1].hear() == "UnknownError"


def test_one_member_needs_no_others():
    peers = Peers(["127.0.0.1:1"], 0)
    assert peers.is_chief

    def twice(vector):
        (summed,) = peers.all_reduce([2 * vector])
        return summed[1:], [summed], vector

    last, (summed,), own = peers.exchange(twice, tf.constant([1.0, 2.0]))
    assert last.tolist() == [4.0]
    assert summed.numpy().tolist() == [2.0, 4.0]
    assert own.numpy().tolist() == [1.0, 2.0]
    assert peers.broadcast(b"abc") == b"abc"
    assert peers.exchanging_s == 0.0
