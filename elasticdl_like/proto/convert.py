"""The one file where protocol messages meet our own values."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from google.protobuf.message import DecodeError

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.rounds import (
    AgentPhase,
    AgentReport,
    Member,
    Order,
    RoundOrder,
    RoundPlan,
    StepUse,
)
from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
    Finish,
    FinishReply,
    Interval,
    Lease,
    LeaseReply,
    LeaseRequest,
    StartPoint,
    Task,
    TaskType,
)

_TYPE_TO_PROTO = {
    TaskType.TRAINING: pb.TRAINING,
    TaskType.EVALUATION: pb.EVALUATION,
    TaskType.PREDICTION: pb.PREDICTION,
}
_TYPE_FROM_PROTO = {number: task_type for task_type, number in _TYPE_TO_PROTO.items()}

_ANSWER_TO_PROTO = {
    Answer.LEASED: pb.CommitAndLeaseReply.LEASED,
    Answer.WAIT: pb.CommitAndLeaseReply.WAIT,
    Answer.EPOCH_ENDED: pb.CommitAndLeaseReply.EPOCH_ENDED,
    Answer.END: pb.CommitAndLeaseReply.END,
}
_ANSWER_FROM_PROTO = {number: answer for answer, number in _ANSWER_TO_PROTO.items()}

_FINISH_TO_PROTO = {
    Finish.WAIT: pb.FinishEpochReply.WAIT,
    Finish.FINISH: pb.FinishEpochReply.FINISH,
    Finish.DONE: pb.FinishEpochReply.DONE,
}
_FINISH_FROM_PROTO = {number: finish for finish, number in _FINISH_TO_PROTO.items()}

_PHASE_TO_PROTO = {
    AgentPhase.STARTING: pb.STARTING,
    AgentPhase.IDLE: pb.IDLE,
    AgentPhase.TRAINING: pb.TRAINING_IN_ROUND,
    AgentPhase.DONE: pb.DONE,
}
_PHASE_FROM_PROTO = {number: phase for phase, number in _PHASE_TO_PROTO.items()}

_ORDER_TO_PROTO = {
    Order.WAIT: pb.RoundOrder.WAIT,
    Order.TRAIN: pb.RoundOrder.TRAIN,
    Order.STOP: pb.RoundOrder.STOP,
    Order.END: pb.RoundOrder.END,
    Order.LEAVE: pb.RoundOrder.LEAVE,
}
_ORDER_FROM_PROTO = {number: order for order, number in _ORDER_TO_PROTO.items()}


def task_type_from_proto(number: int) -> TaskType:
    """Returns the task type; raises InvalidRequestError for one this version does not know."""
    try:
        return _TYPE_FROM_PROTO[number]  # type: ignore[index]
    except KeyError:
        raise InvalidRequestError(
            f"task type {number} is not known; use one version of elasticdl everywhere"
        ) from None


def answer_from_proto(number: int) -> Answer:
    """Returns the answer; raises InvalidRequestError for one this version does not know."""
    try:
        return _ANSWER_FROM_PROTO[number]  # type: ignore[index]
    except KeyError:
        raise InvalidRequestError(
            f"the master's answer {number} is not known; use one version of elasticdl everywhere"
        ) from None


def epoch_key_to_proto(key: EpochKey) -> pb.EpochKey:
    """Returns the message of an epoch's name."""
    return pb.EpochKey(type=_TYPE_TO_PROTO[key.type], epoch=key.epoch, step=key.step)


def epoch_key_from_proto(message: pb.EpochKey) -> EpochKey:
    """Returns the epoch that a message names."""
    return EpochKey(task_type_from_proto(message.type), message.epoch, message.step)


def lease_to_proto(lease: Lease) -> pb.Lease:
    """Returns the message of a lease."""
    task = lease.task
    index = task.index
    return pb.Lease(
        token=lease.token,
        task=pb.Task(
            shard_name=task.shard_name,
            start=task.start,
            end=task.end,
            epoch=task.epoch,
            type=_TYPE_TO_PROTO[task.type],
            version=task.version,
            locator=task.locator,
            index_records=None if index is None else index.records,
            index_offsets=None if index is None else index.offsets,
        ),
        start_position=lease.start_position,
        end_position=lease.end_position,
        order_key=lease.order_key,
    )


def lease_from_proto(message: pb.Lease) -> Lease:
    """Returns the lease of a message."""
    task = message.task
    return Lease(
        message.token,
        Task(
            task.shard_name,
            task.start,
            task.end,
            task.epoch,
            task_type_from_proto(task.type),
            task.version,
            task.locator,
            _index_from_proto(task),
        ),
        message.start_position,
        message.end_position,
        message.order_key if message.HasField("order_key") else None,
    )


def lease_request_to_proto(request: LeaseRequest) -> pb.CommitAndLeaseRequest:
    """Returns the message of a request for leases."""
    return pb.CommitAndLeaseRequest(
        caller=pb.Caller(
            worker_id=request.worker_id, incarnation=request.incarnation, round=request.round
        ),
        sequence=request.sequence,
        epoch=epoch_key_to_proto(request.key),
        commits=[_commit_to_proto(commit) for commit in request.commits],
        max_leases=request.max_leases,
        returned=request.returned,
        loss=request.loss,
        step=request.step,
    )


def lease_request_from_proto(message: pb.CommitAndLeaseRequest) -> LeaseRequest:
    """Returns the request of a message."""
    caller = message.caller
    return LeaseRequest(
        caller.worker_id,
        caller.incarnation,
        message.sequence,
        epoch_key_from_proto(message.epoch),
        [_commit_from_proto(commit) for commit in message.commits],
        message.max_leases,
        list(message.returned),
        message.loss if message.HasField("loss") else None,
        caller.round,
        message.step,
    )


def lease_request_from_bytes(body: bytes) -> LeaseRequest:
    """Returns the request of a message as it travels, or as a journal holds it.

    Raises:
        InvalidRequestError: the bytes are not such a message.
    """
    try:
        return lease_request_from_proto(pb.CommitAndLeaseRequest.FromString(body))
    except DecodeError as error:
        raise InvalidRequestError(f"not a request for leases: {error}") from error


def lease_reply_to_proto(reply: LeaseReply) -> pb.CommitAndLeaseReply:
    """Returns the message of a reply to a request for leases."""
    return pb.CommitAndLeaseReply(
        answer=_ANSWER_TO_PROTO[reply.answer],
        leases=[lease_to_proto(lease) for lease in reply.leases],
        fenced_steps=reply.fenced_steps,
        recalled=reply.recalled,
        firm_step=reply.firm_step,
    )


def lease_reply_from_proto(message: pb.CommitAndLeaseReply) -> LeaseReply:
    """Returns the reply of a message."""
    return LeaseReply(
        answer_from_proto(message.answer),
        [lease_from_proto(lease) for lease in message.leases],
        list(message.fenced_steps),
        message.recalled,
        message.firm_step,
    )


def lease_reply_from_bytes(body: bytes) -> LeaseReply:
    """Returns the reply of a message as it travels."""
    return lease_reply_from_proto(pb.CommitAndLeaseReply.FromString(body))


def finish_reply_to_proto(reply: FinishReply) -> pb.FinishEpochReply:
    """Returns the message of what a worker at the end of an epoch is to do."""
    return pb.FinishEpochReply(finish=_FINISH_TO_PROTO[reply.finish], sums=reply.sums)


def finish_reply_from_proto(message: pb.FinishEpochReply) -> FinishReply:
    """Returns what a worker at the end of an epoch is to do."""
    return FinishReply(_FINISH_FROM_PROTO[message.finish], list(message.sums))


def start_point_to_proto(start: StartPoint) -> pb.StartPoint:
    """Returns the message of a worker's start."""
    evaluated = start.evaluated
    return pb.StartPoint(
        epoch=start.epoch,
        step=start.step,
        checkpoint=start.checkpoint,
        evaluated=None if evaluated is None else epoch_key_to_proto(evaluated),
        metrics=start.metrics,
    )


def start_point_from_proto(message: pb.StartPoint) -> StartPoint:
    """Returns the worker's start of a message."""
    return StartPoint(
        message.epoch,
        message.step,
        message.checkpoint,
        epoch_key_from_proto(message.evaluated) if message.HasField("evaluated") else None,
        dict(message.metrics),
    )


def round_plan_to_proto(plan: RoundPlan) -> pb.RoundPlan:
    """Returns the message of a round."""
    return pb.RoundPlan(
        number=plan.number,
        members=[
            pb.Member(
                worker_id=member.worker_id,
                agent_address=member.agent_address,
                trainer_address=member.trainer_address,
            )
            for member in plan.members
        ],
        start=start_point_to_proto(plan.start),
        holders=plan.holders,
    )


def round_plan_from_proto(message: pb.RoundPlan) -> RoundPlan:
    """Returns the round of a message."""
    return RoundPlan(
        message.number,
        tuple(
            Member(member.worker_id, member.agent_address, member.trainer_address)
            for member in message.members
        ),
        start_point_from_proto(message.start),
        tuple(message.holders),
    )


def round_order_to_proto(order: RoundOrder) -> pb.RoundOrder:
    """Returns the message of an order."""
    return pb.RoundOrder(
        order=_ORDER_TO_PROTO[order.order],
        round=order.round,
        plan=None if order.plan is None else round_plan_to_proto(order.plan),
    )


def round_order_from_proto(message: pb.RoundOrder) -> RoundOrder:
    """Returns the order of a message; raises InvalidRequestError for one that is not known."""
    if message.order not in _ORDER_FROM_PROTO:
        raise InvalidRequestError(
            f"the master's order {message.order} is not known; use one version of elasticdl "
            "everywhere"
        )
    return RoundOrder(
        _ORDER_FROM_PROTO[message.order],
        message.round,
        round_plan_from_proto(message.plan) if message.HasField("plan") else None,
    )


def agent_report_to_proto(report: AgentReport) -> pb.AgentReport:
    """Returns the message of an agent's report."""
    return pb.AgentReport(
        phase=_PHASE_TO_PROTO[report.phase],
        agent_address=report.agent_address,
        trainer_address=report.trainer_address,
        round=report.round,
        step=report.step,
        holds_state=report.holds_state,
        uses=[
            pb.StepUse(step=use.step, intervals=_intervals_to_proto(use.intervals))
            for use in report.uses
        ],
        problem=report.problem,
        exchanging_s=report.exchanging_s,
        leaving=report.leaving,
    )


def agent_report_from_proto(message: pb.AgentReport) -> AgentReport:
    """Returns the report of a message; raises InvalidRequestError for a phase not known."""
    if message.phase not in _PHASE_FROM_PROTO:
        raise InvalidRequestError(
            f"the agent's phase {message.phase} is not known; use one version of elasticdl "
            "everywhere"
        )
    return AgentReport(
        _PHASE_FROM_PROTO[message.phase],
        message.agent_address,
        message.trainer_address,
        message.round,
        message.step,
        message.holds_state,
        tuple(StepUse(use.step, _intervals_from_proto(use.intervals)) for use in message.uses),
        message.problem,
        message.exchanging_s,
        message.leaving,
    )


def _intervals_to_proto(intervals: Iterable[Interval]) -> list[pb.Interval]:
    return [
        pb.Interval(
            token=interval.token,
            start_position=interval.start_position,
            end_position=interval.end_position,
        )
        for interval in intervals
    ]


def _intervals_from_proto(messages: Iterable[pb.Interval]) -> list[Interval]:
    return [
        Interval(message.token, message.start_position, message.end_position)
        for message in messages
    ]


def _index_from_proto(message: pb.Task) -> SparseIndex | None:
    if not message.index_records:
        return None
    return SparseIndex(array("q", message.index_records), array("q", message.index_offsets))


def _commit_to_proto(commit: Commit) -> pb.Commit:
    return pb.Commit(
        step=commit.step,
        intervals=_intervals_to_proto(commit.intervals),
        problem=commit.problem,
        mark=commit.mark,
        sums=commit.sums,
        part=commit.part,
    )


def _commit_from_proto(message: pb.Commit) -> Commit:
    return Commit(
        message.step,
        _intervals_from_proto(message.intervals),
        message.problem,
        message.mark,
        tuple(message.sums),
        message.part,
    )
