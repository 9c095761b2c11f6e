"""The gRPC server of a master."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc

from elasticdl_like.errors import ConfigError
from elasticdl_like.master.job import Job
from elasticdl_like.master.servicer import MasterServicer
from elasticdl_like.proto import elasticdl_pb2_grpc

# Each call is short and holds the job's one lock most of the time, so more threads add nothing.
_THREADS = 8
_STOP_GRACE_S = 0.5


@contextmanager
def serve(job: Job, host: str, port: int) -> Iterator[str]:
    """Serves a job as long as the context lasts.

    Args:
        job: the job.
        host: the name or address to listen on.
        port: the port, or 0 for a free one.

    Yields:
        The address, as `host:port`.

    Raises:
        ConfigError: the port is in use, or the host is not this machine's.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="master"),
        # Without this a second master would listen on the same port, and get half of the calls.
        options=[("grpc.so_reuseport", 0)],
    )
    elasticdl_pb2_grpc.add_MasterServicer_to_server(  # type: ignore[no-untyped-call]
        MasterServicer(job), server
    )
    try:
        bound_port = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise ConfigError(
            f"the master cannot listen on {host}:{port}: the port is in use, or {host} is not an "
            "address of this machine; --master_port 0 picks a free port"
        ) from error
    server.start()
    try:
        yield f"{host}:{bound_port}"
    finally:
        server.stop(_STOP_GRACE_S).wait()
