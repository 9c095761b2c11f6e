"""The one file where protocol messages meet our own values."""

from __future__ import annotations

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.tasks import Answer, Commit, EpochKey, Interval, Lease, Task, TaskType

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


def answer_to_proto(answer: Answer) -> pb.CommitAndLeaseReply.Answer:
    """Returns the message's form of an answer."""
    return _ANSWER_TO_PROTO[answer]


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
    return pb.Lease(
        token=lease.token,
        task=pb.Task(
            shard_name=task.shard_name,
            start=task.start,
            end=task.end,
            epoch=task.epoch,
            type=_TYPE_TO_PROTO[task.type],
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
        Task(task.shard_name, task.start, task.end, task.epoch, task_type_from_proto(task.type)),
        message.start_position,
        message.end_position,
        message.order_key if message.HasField("order_key") else None,
    )


def commit_to_proto(commit: Commit) -> pb.Commit:
    """Returns the message of a commit."""
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
    )


def commit_from_proto(message: pb.Commit) -> Commit:
    """Returns the commit of a message."""
    return Commit(
        message.step,
        [
            Interval(interval.token, interval.start_position, interval.end_position)
            for interval in message.intervals
        ],
    )
