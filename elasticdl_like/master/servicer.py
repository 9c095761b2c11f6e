"""The gRPC face of a job: messages in, messages out, errors as status codes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc

from elasticdl_like.errors import ElasticdlError
from elasticdl_like.master.job import Job
from elasticdl_like.proto import convert, elasticdl_pb2_grpc
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto.status_codes import status_code

Request = TypeVar("Request")
Reply = TypeVar("Reply")


def _answers_errors(
    method: Callable[[Any, Request, grpc.ServicerContext], Reply],
) -> Callable[[Any, Request, grpc.ServicerContext], Reply]:
    @functools.wraps(method)
    def answering(self: Any, request: Request, context: grpc.ServicerContext) -> Reply:
        try:
            return method(self, request, context)
        except ElasticdlError as error:
            context.abort(status_code(error), str(error))

    return answering


class MasterServicer(elasticdl_pb2_grpc.MasterServicer):
    """Serves one job."""

    def __init__(self, job: Job) -> None:
        self._job = job

    @_answers_errors
    def Register(
        self, request: pb.RegisterRequest, context: grpc.ServicerContext
    ) -> pb.RegisterReply:
        worker_id = self._job.register(
            request.incarnation,
            request.worker_id if request.HasField("worker_id") else None,
            request.description,
        )
        return pb.RegisterReply(
            worker_id=worker_id,
            job_config_json=self._job.config.to_json(),
            training_epoch=self._job.training_epoch,
        )

    @_answers_errors
    def CommitAndLease(
        self, request: pb.CommitAndLeaseRequest, context: grpc.ServicerContext
    ) -> pb.CommitAndLeaseReply:
        result = self._job.commit_and_lease(
            request.caller.worker_id,
            request.caller.incarnation,
            request.sequence,
            convert.epoch_key_from_proto(request.epoch),
            [convert.commit_from_proto(commit) for commit in request.commits],
            request.max_leases,
            request.loss if request.HasField("loss") else None,
        )
        return pb.CommitAndLeaseReply(
            answer=convert.answer_to_proto(result.answer),
            leases=[convert.lease_to_proto(lease) for lease in result.leases],
            fenced_steps=result.fenced_steps,
        )

    @_answers_errors
    def Heartbeat(
        self, request: pb.HeartbeatRequest, context: grpc.ServicerContext
    ) -> pb.HeartbeatReply:
        self._job.heartbeat(request.caller.worker_id, request.caller.incarnation)
        return pb.HeartbeatReply()

    @_answers_errors
    def ReportEvaluation(
        self, request: pb.ReportEvaluationRequest, context: grpc.ServicerContext
    ) -> pb.ReportEvaluationReply:
        self._job.report_evaluation(
            request.caller.worker_id,
            request.caller.incarnation,
            convert.epoch_key_from_proto(request.epoch),
            dict(request.metrics),
        )
        return pb.ReportEvaluationReply()

    @_answers_errors
    def Publish(self, request: pb.PublishRequest, context: grpc.ServicerContext) -> pb.PublishReply:
        self._job.publish(
            request.caller.worker_id,
            request.caller.incarnation,
            Path(request.written_path),
            Path(request.published_path),
        )
        return pb.PublishReply()

    @_answers_errors
    def StopTraining(
        self, request: pb.StopTrainingRequest, context: grpc.ServicerContext
    ) -> pb.StopTrainingReply:
        self._job.stop_training(
            request.caller.worker_id, request.caller.incarnation, request.reason
        )
        return pb.StopTrainingReply()

    @_answers_errors
    def Leave(self, request: pb.LeaveRequest, context: grpc.ServicerContext) -> pb.LeaveReply:
        self._job.leave(request.caller.worker_id, request.caller.incarnation, request.failure)
        return pb.LeaveReply()

    @_answers_errors
    def Status(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusReply:
        document = self._job.status().to_plain() | {"ledger": self._job.ledger()}
        return pb.StatusReply(status_json=json.dumps(document))
