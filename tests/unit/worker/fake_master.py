"""A server that does what a test says, in place of a master."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from elasticdl_like.config import DataConfig, JobConfig
from elasticdl_like.proto import convert, elasticdl_pb2_grpc
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.tasks import EpochKey, StartPoint, TaskType

TOKEN = "secret"
START = StartPoint(2, 40, "/c/checkpoint-40", EpochKey(TaskType.EVALUATION, 1, 30), {"loss": 0.5})
_STOP_TIMEOUT_S = 20.0


class FakeMaster(elasticdl_pb2_grpc.MasterServicer):
    """Notes every call, and answers with `answer`, or what is put there."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.calls: list[Any] = []
        self.answers: list[Callable[[Any, grpc.ServicerContext], Any]] = []
        self._server = grpc.server(ThreadPoolExecutor(8))
        elasticdl_pb2_grpc.add_MasterServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(address)
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None).wait(_STOP_TIMEOUT_S)

    def publish_endpoint(self, job_directory: Path) -> None:
        (job_directory / "token").write_text(TOKEN)
        (job_directory / "endpoint").write_text(self.address)

    def _answer(self, request: Any, context: grpc.ServicerContext, default: Any) -> Any:
        token = dict(context.invocation_metadata()).get("authorization")
        if token != f"Bearer {TOKEN}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the job token is missing or wrong")
        self.calls.append(request)
        return self.answers.pop(0)(request, context) if self.answers else default

    def Register(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        config = JobConfig("job", DataConfig("data"))
        reply = pb.RegisterReply(
            worker_id=7,
            job_config_json=config.to_json(),
            start=convert.start_point_to_proto(START),
        )
        return self._answer(request, context, reply)

    def CommitAndLease(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answer(request, context, pb.CommitAndLeaseReply())

    def Heartbeat(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answer(request, context, pb.HeartbeatReply())

    def PublishCheckpoint(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answer(request, context, pb.PublishCheckpointReply(published_path="/c/done"))

    def Leave(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answer(request, context, pb.LeaveReply())


def failure(code: grpc.StatusCode, message: str) -> Callable[[Any, grpc.ServicerContext], Any]:
    def fail(request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(code, message)

    return fail
