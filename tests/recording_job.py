"""A job that does nothing but remember who called it, to test what stands before a job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from elasticdl_like.config import DataConfig, JobConfig
from elasticdl_like.errors import ElasticdlError
from elasticdl_like.master.job import Job
from elasticdl_like.rounds import Order, RoundOrder
from elasticdl_like.tasks import Answer, Finish, FinishReply, Lease, LeaseReply, StartPoint, Task


class _Status:
    def to_plain(self) -> dict[str, Any]:
        return {"state": "running"}


class RecordingJob:
    """Answers each call alike.

    Attributes:
        calls: the names of the methods that were called, `flush` left out.
        flushed: how many of them each flush wrote; a failed flush writes none.
        failure: what each call raises, if anything.
        flush_failure: what the next flush raises, once.
    """

    config = JobConfig(name="recording", data=DataConfig("data"))

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.flushed: list[int] = []
        self.failure: ElasticdlError | None = None
        self.flush_failure: Exception | None = None
        self.may_publish = threading.Event()
        self.may_publish.set()
        self._pending = 0

    def as_job(self) -> Job:
        return cast(Job, self)

    @property
    def publications(self) -> RecordingJob:
        return self

    @property
    def finishing(self) -> RecordingJob:
        return self

    @property
    def orders(self) -> RecordingJob:
        return self

    @property
    def view(self) -> RecordingJob:
        return self

    def register(self, *_args: object) -> tuple[int, StartPoint]:
        self._called("register")
        return 7, StartPoint(epoch=1, step=5)

    def commit_and_lease(self, *_args: object) -> LeaseReply:
        self._called("commit_and_lease")
        return LeaseReply(Answer.LEASED, [Lease(1, Task("shard", 0, 8), 0, 8)])

    def heartbeat(self, *_args: object) -> None:
        self._called("heartbeat")

    def report_evaluation(self, *_args: object) -> None:
        self._called("report_evaluation")

    def finish_epoch(self, *_args: object) -> FinishReply:
        self._called("finish_epoch")
        return FinishReply(Finish.FINISH, (0.5,))

    def begin_output(self, *_args: object) -> str:
        self._called("begin_output")
        return "kept"

    def report_output(self, *_args: object) -> None:
        self._called("report_output")

    def publish(self, *_args: object) -> None:
        self._called("publish")
        assert self.may_publish.wait(20)

    def publish_checkpoint(self, *_args: object) -> Path:
        self._called("publish_checkpoint")
        return Path("published")

    def stop_training(self, *_args: object) -> None:
        self._called("stop_training")

    def leave(self, *_args: object) -> None:
        self._called("leave")

    def rendezvous(self, *_args: object) -> RoundOrder:
        self._called("rendezvous")
        return RoundOrder(Order.WAIT)

    def order(self, *_args: object) -> RoundOrder:
        return RoundOrder(Order.WAIT)

    def on_change(self, _callback: Callable[[], None]) -> None:
        pass

    def scale(self, *_args: object) -> None:
        self._called("scale")

    def status(self) -> _Status:
        self._called("status")
        return _Status()

    def ledger(self) -> dict[str, Any]:
        return {}

    def flush(self) -> None:
        if self.flush_failure is not None:
            failure, self.flush_failure = self.flush_failure, None
            raise failure
        self.flushed.append(self._pending)
        self._pending = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self._pending += 1
        if self.failure is not None:
            raise self.failure
