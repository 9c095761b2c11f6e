"""A worker that does nothing but ask for tasks and report them, as fast as it can.

A process of its own, because a worker shares the machine with its master but not the interpreter.
For each number of seconds on standard input it works that long, and answers with a line of JSON:
calls, tasks and seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc

from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import AUTHORIZATION, authorization
from elasticdl_like.tasks import Commit, EpochKey, Interval, TaskType
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator

CALL_TIMEOUT_S = 30.0


class RawWorker:
    """Speaks the protocol through the generated stub, and keeps nothing but the last reply."""

    def __init__(self, address: str, token: str, max_leases: int) -> None:
        channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        self._call = stub.CommitAndLease
        self._metadata = ((AUTHORIZATION, authorization(token)),)
        self._caller = pb.Caller(incarnation=uuid.uuid4().hex)
        registered = stub.Register(
            pb.RegisterRequest(incarnation=self._caller.incarnation, description="benchmark"),
            metadata=self._metadata,
            timeout=CALL_TIMEOUT_S,
            wait_for_ready=True,
        )
        self._caller.worker_id = registered.worker_id
        self._request = pb.CommitAndLeaseRequest(caller=self._caller, max_leases=max_leases)
        self._step = 0

    def commit_and_lease(self) -> int:
        """Reports each task of the last reply as a step; returns how many those are."""
        request = self._request
        request.sequence += 1
        reply = self._call(request, metadata=self._metadata, timeout=CALL_TIMEOUT_S)
        if reply.answer == pb.CommitAndLeaseReply.EPOCH_ENDED:
            request.epoch.epoch += 1
        elif reply.fenced_steps or len(reply.leases) != request.max_leases:
            raise AssertionError(f"{len(reply.leases)} leases, {reply.fenced_steps} fenced")
        num_reported = len(request.commits)
        del request.commits[:]
        for lease in reply.leases:
            self._step += 1
            interval = pb.Interval(
                token=lease.token,
                start_position=lease.start_position,
                end_position=lease.end_position,
            )
            request.commits.append(pb.Commit(step=self._step, intervals=[interval]))
        return num_reported


class ClientWorker:
    """Speaks through `MasterClient`, with a heartbeat, as workers do."""

    def __init__(self, address: str, token: str, max_leases: int) -> None:
        self._client = MasterClient(MasterLocator.at(address, token), CALL_TIMEOUT_S)
        _, start = self._client.register(None, "benchmark")
        self._key = EpochKey(TaskType.TRAINING, start.epoch)
        self._max_leases = max_leases
        self._commits: list[Commit] = []
        self._step = 0
        Heartbeat(self._client, 2.0).__enter__()

    def commit_and_lease(self) -> int:
        """Reports each task of the last reply as a step; returns how many those are."""
        reply = self._client.commit_and_lease(self._key, self._commits, self._max_leases)
        if reply.fenced_steps or len(reply.leases) != self._max_leases:
            raise AssertionError(f"{len(reply.leases)} leases, {reply.fenced_steps} fenced")
        num_reported = len(self._commits)
        self._commits = []
        for lease in reply.leases:
            self._step += 1
            interval = Interval(lease.token, lease.start_position, lease.end_position)
            self._commits.append(Commit(self._step, [interval]))
        return num_reported


def work(commit_and_lease: Callable[[], int], duration_s: float) -> dict[str, Any]:
    """Calls for a while, and returns what came of it."""
    calls = tasks = 0
    start_s = now_s = time.perf_counter()
    while now_s - start_s < duration_s:
        tasks += commit_and_lease()
        calls += 1
        now_s = time.perf_counter()
    return {"calls": calls, "tasks": tasks, "seconds": now_s - start_s}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("token")
    parser.add_argument("max_leases", type=int)
    parser.add_argument("--master_client", action="store_true")
    arguments = parser.parse_args()
    kind = ClientWorker if arguments.master_client else RawWorker
    worker = kind(arguments.address, arguments.token, arguments.max_leases)
    for line in sys.stdin:
        print(json.dumps(work(worker.commit_and_lease, float(line))), flush=True)


if __name__ == "__main__":
    main()
