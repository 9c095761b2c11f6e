"""How long does a call take when 1,000 workers share a master?

Each worker has a connection of its own, sends a heartbeat each 2 s, and each 1 to 2 s reports its
task and asks for the next. They live in 4 processes, and so share the machine with their master;
what a call takes is measured there, and includes its wait for the simulating process. At most
100 ms is asked for 99 of 100 calls.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from comparison import Figure, figure_table
from masters import end, running_master, synthetic_data

from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import AUTHORIZATION, authorization

WORKERS = 1000
PROCESSES = 4
NUM_TASKS = 100_000_000
ROUNDS = 3
HEARTBEAT_S = 2.0
PAUSE_S = (1.0, 2.0)
WARM_UP_S = 5.0
DURATION_S = 10.0
CALL_TIMEOUT_S = 30.0
MOST_P99_MS = 100.0


class SimulatedWorker:
    """One worker and its connection."""

    def __init__(self, address: str, token: str, latencies_s: dict[str, list[float]]) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(address, options)
        self._stub = elasticdl_pb2_grpc.MasterStub(self._channel)  # type: ignore[no-untyped-call]
        self._metadata = ((AUTHORIZATION, authorization(token)),)
        self._caller = pb.Caller(incarnation=uuid.uuid4().hex)
        self._latencies_s = latencies_s
        self._rng = random.Random(self._caller.incarnation)
        self._answered_sequence = 0
        self._held: list[int] = []

    async def run(self, until_s: float) -> None:
        # Nobody starts a thousand workers at the same instant.
        await asyncio.sleep(self._rng.uniform(0, WARM_UP_S / 2))
        register = pb.RegisterRequest(incarnation=self._caller.incarnation, description="simulated")
        self._caller.worker_id = (await self._call("Register", register)).worker_id
        await asyncio.gather(self._beat(until_s), self._work(until_s))
        await self._channel.close(None)

    async def _beat(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            request = pb.HeartbeatRequest(
                caller=self._caller, answered_sequence=self._answered_sequence, held=self._held
            )
            await self._call("Heartbeat", request)
            await asyncio.sleep(HEARTBEAT_S)

    async def _work(self, until_s: float) -> None:
        request = pb.CommitAndLeaseRequest(caller=self._caller, max_leases=1)
        step = 0
        while time.monotonic() < until_s:
            request.sequence += 1
            reply = await self._call("CommitAndLease", request)
            if reply.fenced_steps or len(reply.leases) != 1:
                raise AssertionError(f"{len(reply.leases)} leases, {reply.fenced_steps} fenced")
            lease = reply.leases[0]
            self._held = [lease.token]
            self._answered_sequence = request.sequence
            step += 1
            interval = pb.Interval(
                token=lease.token,
                start_position=lease.start_position,
                end_position=lease.end_position,
            )
            del request.commits[:]
            request.commits.append(pb.Commit(step=step, intervals=[interval]))
            await asyncio.sleep(self._rng.uniform(*PAUSE_S))

    async def _call(self, method: str, request: Any) -> Any:
        start_s = time.perf_counter()
        reply = await getattr(self._stub, method)(
            request, metadata=self._metadata, timeout=CALL_TIMEOUT_S
        )
        self._latencies_s[method].append(time.perf_counter() - start_s)
        return reply


async def simulate(address: str, token: str, number: int) -> dict[str, list[float]]:
    """Runs some workers for a while, and returns how long each call took that was not warm-up."""
    latencies_s: dict[str, list[float]] = {"Register": [], "Heartbeat": [], "CommitAndLease": []}
    until_s = time.monotonic() + WARM_UP_S + DURATION_S
    workers = [SimulatedWorker(address, token, latencies_s) for _ in range(number)]
    running = [asyncio.create_task(worker.run(until_s)) for worker in workers]
    await asyncio.sleep(WARM_UP_S)
    for each in latencies_s.values():
        each.clear()
    await asyncio.gather(*running)
    return latencies_s


def measure(folder: Path) -> list[float]:
    """Returns how long each call took, in ms, sorted."""
    with running_master(folder / "job", *synthetic_data(NUM_TASKS)) as master:
        command = [sys.executable, __file__, master.address, master.token]
        command.append(str(WORKERS // PROCESSES))
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
        latencies_ms: list[float] = []
        try:
            for process in processes:
                output, _ = process.communicate(timeout=60 + WARM_UP_S + DURATION_S)
                for latencies_s in json.loads(output).values():
                    latencies_ms += [1e3 * latency_s for latency_s in latencies_s]
        finally:
            for process in processes:
                end(process)
    return sorted(latencies_ms)


def quantile(values: Sequence[float], share: float) -> float:
    return values[int(share * (len(values) - 1))]


def main() -> None:
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            rounds.append(measure(Path(name)))
    print(
        figure_table(
            [
                Figure("calls/s", [len(each) / DURATION_S for each in rounds]),
                Figure("median of a call, ms", [quantile(each, 0.5) for each in rounds]),
                Figure(
                    "p99 of a call, ms",
                    [quantile(each, 0.99) for each in rounds],
                    at_most=MOST_P99_MS,
                ),
                Figure("slowest call, ms", [each[-1] for each in rounds]),
            ]
        )
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ADDRESS, TOKEN, NUMBER = sys.argv[1:]
        print(json.dumps(asyncio.run(simulate(ADDRESS, TOKEN, int(NUMBER)))))
    else:
        main()
