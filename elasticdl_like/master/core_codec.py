"""The whole state of a job as JSON, which is what a snapshot in the journal has."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from elasticdl_like.config import JobConfig
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.plan import Mark
from elasticdl_like.master.prediction_output import PredictionOutput
from elasticdl_like.master.progress import Evaluation
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.proto import convert
from elasticdl_like.tasks import EpochKey, LeaseReply, Shard, TaskType


def core_to_plain(core: JobCore) -> dict[str, Any]:
    """Returns the whole state of a job but for the tables of shards, as JSON."""
    return {
        "config": core.config.to_json(),
        "queue": core.queue.to_plain(),
        "members": core.members.to_plain(),
        "replies": [
            [each.worker_id, each.last_sequence, _reply_to_plain(each.last_reply)]
            for each in core.members
        ],
        "evaluations": [
            [[str(each.key.type), each.key.epoch, each.key.step], dict(each.metrics)]
            for each in core.evaluations
        ],
        "state": str(core.state),
        "reason": core.reason,
        "loss": core.loss,
        "adopted": core.adopted.to_plain(),
        "rounds": None if core.rounds is None else core.rounds.to_plain(),
        "output": None if core.output is None else core.output.to_plain(),
    }


def core_from_plain(
    tables: Sequence[Sequence[Shard]], plain: Mapping[str, Any], worker_timeout_s: float
) -> JobCore:
    """Returns the job whose `core_to_plain` this is.

    Args:
        tables: its tables of shards.
        plain: what `core_to_plain` has returned.
        worker_timeout_s: as for `JobCore`.
    """
    core = JobCore(
        JobConfig.from_json(plain["config"]),
        TaskQueue.from_plain(tables, plain["queue"]),
        worker_timeout_s,
    )
    core.members.load_plain(plain["members"])
    for worker_id, sequence, reply in plain["replies"]:
        worker = core.members.get(worker_id)
        if worker is not None:
            worker.last_sequence, worker.last_reply = sequence, _reply_from_plain(reply)
    core.evaluations = [
        Evaluation(EpochKey(TaskType(key[0]), key[1], key[2]), metrics)
        for key, metrics in plain["evaluations"]
    ]
    core.state, core.reason = JobState(plain["state"]), plain["reason"]
    core.loss = plain["loss"]
    core.adopted = Mark(**plain["adopted"])
    if core.rounds is not None:
        core.rounds.load_plain(plain["rounds"], [each.worker_id for each in core.members])
    if core.output is not None:
        core.output = PredictionOutput.from_plain(plain["output"])
    return core


def _reply_to_plain(reply: LeaseReply | None) -> str | None:
    """Returns a reply as JSON: the message that travels, in base 64."""
    if reply is None:
        return None
    return base64.b64encode(convert.lease_reply_to_proto(reply).SerializeToString()).decode()


def _reply_from_plain(plain: str | None) -> LeaseReply | None:
    if plain is None:
        return None
    return convert.lease_reply_from_bytes(base64.b64decode(plain))
