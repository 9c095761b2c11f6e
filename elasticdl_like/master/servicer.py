"""The gRPC face of a job: messages in, messages out, nothing said before the journal has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from elasticdl_like.master.call_gate import OpenCalls
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.job import Job
from elasticdl_like.master.order_watch import OrderWatch
from elasticdl_like.master.reports import DETAIL_CELLS, DETAIL_EVENTS
from elasticdl_like.proto import convert, elasticdl_pb2_grpc
from elasticdl_like.proto import elasticdl_pb2 as pb

# So often an agent says how it stands, also if it is told nothing new.
_LONG_POLL_S = 2.0

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class MasterServicer(elasticdl_pb2_grpc.MasterServicer):
    """Serves one job on one event loop; errors of the job are raised."""

    def __init__(self, job: Job, open_calls: OpenCalls) -> None:
        self._job = job
        self._durable = GroupCommit(job.flush, open_calls)
        self._orders: OrderWatch | None = None

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterReply:
        worker_id, start = self._job.register(
            request.incarnation,
            request.worker_id if request.HasField("worker_id") else None,
            request.description,
        )
        await self._durable()
        return pb.RegisterReply(
            worker_id=worker_id,
            job_config_json=self._job.config.to_json(),
            start=convert.start_point_to_proto(start),
        )

    async def CommitAndLease(
        self, request: pb.CommitAndLeaseRequest, context: Context
    ) -> pb.CommitAndLeaseReply:
        reply = self._job.commit_and_lease(
            convert.lease_request_from_proto(request), request.SerializeToString()
        )
        await self._durable()
        return convert.lease_reply_to_proto(reply)

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Context) -> pb.HeartbeatReply:
        self._job.heartbeat(
            _caller(request.caller),
            request.answered_sequence,
            list(request.held),
            dict(request.seconds_spent),
            request.num_retries,
        )
        await self._durable()
        return pb.HeartbeatReply()

    async def ReportEvaluation(
        self, request: pb.ReportEvaluationRequest, context: Context
    ) -> pb.ReportEvaluationReply:
        self._job.finishing.report_evaluation(
            _caller(request.caller),
            convert.epoch_key_from_proto(request.epoch),
            dict(request.metrics),
        )
        await self._durable()
        return pb.ReportEvaluationReply()

    async def FinishEpoch(
        self, request: pb.FinishEpochRequest, context: Context
    ) -> pb.FinishEpochReply:
        reply = self._job.finishing.finish_epoch(
            _caller(request.caller),
            convert.epoch_key_from_proto(request.epoch),
        )
        await self._durable()
        return convert.finish_reply_to_proto(reply)

    async def BeginOutput(
        self, request: pb.BeginOutputRequest, context: Context
    ) -> pb.BeginOutputReply:
        state = self._job.finishing.begin_output(
            _caller(request.caller),
            request.state,
        )
        await self._durable()
        return pb.BeginOutputReply(state=state)

    async def ReportOutput(
        self, request: pb.ReportOutputRequest, context: Context
    ) -> pb.ReportOutputReply:
        self._job.finishing.report_output(
            _caller(request.caller),
            convert.epoch_key_from_proto(request.epoch),
        )
        await self._durable()
        return pb.ReportOutputReply()

    async def Publish(self, request: pb.PublishRequest, context: Context) -> pb.PublishReply:
        # Files are slow; other calls go on meanwhile.
        await asyncio.to_thread(
            self._job.publications.publish,
            _caller(request.caller),
            Path(request.written_path),
            Path(request.published_path),
        )
        await self._durable()
        return pb.PublishReply()

    async def PublishCheckpoint(
        self, request: pb.PublishCheckpointRequest, context: Context
    ) -> pb.PublishCheckpointReply:
        published = await asyncio.to_thread(
            self._job.publications.publish_checkpoint,
            _caller(request.caller),
            Path(request.written_path),
            request.step,
            {name: (file.size_bytes, file.sha256) for name, file in request.files.items()},
        )
        await self._durable()
        return pb.PublishCheckpointReply(published_path=str(published))

    async def StopTraining(
        self, request: pb.StopTrainingRequest, context: Context
    ) -> pb.StopTrainingReply:
        self._job.stop_training(
            _caller(request.caller),
            request.reason,
        )
        await self._durable()
        return pb.StopTrainingReply()

    async def Leave(self, request: pb.LeaveRequest, context: Context) -> pb.LeaveReply:
        self._job.leave(request.caller.worker_id, request.caller.incarnation, request.failure)
        await self._durable()
        return pb.LeaveReply()

    async def Rendezvous(
        self, request: pb.RendezvousRequest, context: Context
    ) -> pb.RendezvousReply:
        caller = request.caller
        report = convert.agent_report_from_proto(request.report)
        known = None
        if request.HasField("known"):
            known = convert.round_order_from_proto(request.known)
        if self._orders is None:
            self._orders = OrderWatch(self._job.orders)
        order = await self._orders.next_order(
            caller.worker_id, caller.incarnation, report, known, _LONG_POLL_S
        )
        await self._durable()
        return pb.RendezvousReply(order=convert.round_order_to_proto(order))

    async def Scale(self, request: pb.ScaleRequest, context: Context) -> pb.ScaleReply:
        self._job.orders.scale(request.num_workers)
        await self._durable()
        return pb.ScaleReply()

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusReply:
        view = self._job.view
        document = view.status().to_plain() | {"ledger": view.ledger()}
        if request.details:
            document |= {
                "coverage": view.coverage(DETAIL_CELLS),
                "events": view.events(0)[-DETAIL_EVENTS:],
            }
        return pb.StatusReply(status_json=json.dumps(document))


class GroupCommit:
    """Makes what happened durable, once for all calls that got as far in one turn of the loop.

    Args:
        flush: writes everything that happened so far.
        open_calls: tells whether there is anyone to share with. If not, the write does not wait
            for the turn to end, which takes longer than the write.
    """

    def __init__(self, flush: Callable[[], None], open_calls: OpenCalls) -> None:
        self._flush = flush
        self._open_calls = open_calls
        self._waiting: list[asyncio.Future[None]] = []

    async def __call__(self) -> None:
        """Returns when all that happened before is durable; raises what `flush` raises.

        It is written even if nobody waits any more, because the client is gone.
        """
        if self._open_calls.number <= 1:
            self._flush()
            return
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._write)
        self._waiting.append(written)
        await written

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        failure = None
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001 - raised again in each call that waits
            failure = error
        for written in waiting:
            if written.done():  # the call was cancelled
                continue
            if failure is None:
                written.set_result(None)
            else:
                written.set_exception(failure)


def _caller(caller: pb.Caller) -> Caller:
    return Caller(caller.worker_id, caller.incarnation, caller.round)
