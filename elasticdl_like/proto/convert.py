"""The one file where protocol messages meet our own values."""

from __future__ import annotations

from array import array

from google.protobuf.message import DecodeError

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import (
    Answer,
    Commit,
    EpochKey,
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
        caller=pb.Caller(worker_id=request.worker_id, incarnation=request.incarnation),
        sequence=request.sequence,
        epoch=epoch_key_to_proto(request.key),
        commits=[_commit_to_proto(commit) for commit in request.commits],
        max_leases=request.max_leases,
        returned=request.returned,
        loss=request.loss,
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
    )


def lease_reply_from_proto(message: pb.CommitAndLeaseReply) -> LeaseReply:
    """Returns the reply of a message."""
    return LeaseReply(
        answer_from_proto(message.answer),
        [lease_from_proto(lease) for lease in message.leases],
        list(message.fenced_steps),
        message.recalled,
    )


def lease_reply_from_bytes(body: bytes) -> LeaseReply:
    """Returns the reply of a message as it travels."""
    return lease_reply_from_proto(pb.CommitAndLeaseReply.FromString(body))


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


def _index_from_proto(message: pb.Task) -> SparseIndex | None:
    if not message.index_records:
        return None
    return SparseIndex(array("q", message.index_records), array("q", message.index_offsets))


def _commit_to_proto(commit: Commit) -> pb.Commit:
    return pb.Commit(
        step=commit.step,
        intervals=[
            pb.Interval(
                token=interval.token,
                start_position=interval.start_position,
                end_position=interval.end_position,
            )
            for interval in commit.intervals
        ],
        problem=commit.problem,
        mark=commit.mark,
    )


def _commit_from_proto(message: pb.Commit) -> Commit:
    return Commit(
        message.step,
        [
            Interval(interval.token, interval.start_position, interval.end_position)
            for interval in message.intervals
        ],
        message.problem,
        message.mark,
    )
