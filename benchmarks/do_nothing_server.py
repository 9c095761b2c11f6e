"""A Python gRPC server of the master's messages that does nothing: what gRPC itself costs.

A process of its own, which answers each request for leases with the same reply, of the size of a
master's. It prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc

THREADS = 8


def make_reply(num_leases: int) -> pb.CommitAndLeaseReply:
    """Returns leases as a master grants them after a while."""
    return pb.CommitAndLeaseReply(
        leases=[
            pb.Lease(
                token=100_000 + number,
                task=pb.Task(shard_name="shard-0001", start=5_000_192, end=5_000_704),
                start_position=0,
                end_position=512,
                order_key=(1 << 63) + number,
            )
            for number in range(num_leases)
        ]
    )


class Sync(elasticdl_pb2_grpc.MasterServicer):
    def __init__(self, reply: pb.CommitAndLeaseReply) -> None:
        self._reply = reply

    def Register(self, request: Any, context: Any) -> pb.RegisterReply:  # noqa: N802
        return pb.RegisterReply()

    def CommitAndLease(self, request: Any, context: Any) -> pb.CommitAndLeaseReply:  # noqa: N802
        return self._reply


class Asynchronous(elasticdl_pb2_grpc.MasterServicer):
    def __init__(self, reply: pb.CommitAndLeaseReply) -> None:
        self._reply = reply

    async def Register(self, request: Any, context: Any) -> pb.RegisterReply:  # noqa: N802
        return pb.RegisterReply()

    async def CommitAndLease(  # noqa: N802
        self, request: Any, context: Any
    ) -> pb.CommitAndLeaseReply:
        return self._reply


def serve_sync(reply: pb.CommitAndLeaseReply) -> None:
    server = grpc.server(ThreadPoolExecutor(THREADS))
    elasticdl_pb2_grpc.add_MasterServicer_to_server(Sync(reply), server)  # type: ignore[no-untyped-call]
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


async def serve_asynchronously(reply: pb.CommitAndLeaseReply) -> None:
    server = grpc.aio.server()
    elasticdl_pb2_grpc.add_MasterServicer_to_server(Asynchronous(reply), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("sync", "aio"))
    parser.add_argument("num_leases", type=int)
    arguments = parser.parse_args()
    reply = make_reply(arguments.num_leases)
    if arguments.kind == "sync":
        serve_sync(reply)
    else:
        asyncio.run(serve_asynchronously(reply))


if __name__ == "__main__":
    main()
