"""A worker's calls to its master: deadlines, retries, typed errors."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import (
    MasterLostError,
    MasterUnavailableError,
    PermanentError,
    RetryableError,
)
from elasticdl_like.proto import convert, elasticdl_pb2_grpc
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto.status_codes import error_from_status
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease

_logger = logging.getLogger(__name__)

_CALL_TIMEOUT_S = 10.0
_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 3.0

Reply = TypeVar("Reply")


@dataclass(frozen=True)
class LeaseReply:
    """The master's answer to `commit_and_lease`.

    Attributes:
        answer: what became of the request for leases.
        leases: the leases, in the order they are to be read.
        fenced_steps: the steps whose commit was refused.
    """

    answer: Answer
    leases: Sequence[Lease]
    fenced_steps: Sequence[int]


class MasterClient:
    """One worker's connection to its master; any thread may use it.

    Every call is tried again, with growing pauses, until the master answers or was silent for
    `master_timeout_s`. That is safe, because the master acts on a repeated request only once.

    Args:
        address: the master, as `host:port`.
        master_timeout_s: how long the master may be silent.
    """

    def __init__(self, address: str, master_timeout_s: float) -> None:
        self.address = address
        self._master_timeout_s = master_timeout_s
        self._incarnation = uuid.uuid4().hex
        self._channel = grpc.insecure_channel(address)
        self._stub = elasticdl_pb2_grpc.MasterStub(self._channel)  # type: ignore[no-untyped-call]
        self._caller = pb.Caller(incarnation=self._incarnation)
        self._closed = threading.Event()
        self._jitter = random.Random()
        # One request that changes leases is in flight at a time; the lock also guards its number.
        self._sequence_lock = threading.Lock()
        self._sequence = 0

    @property
    def worker_id(self) -> int:
        """The number that the master gave this worker; 0 before it registered."""
        return self._caller.worker_id

    def register(self, worker_id: int | None, description: str) -> tuple[JobConfig, int]:
        """Takes part in the job.

        Args:
            worker_id: the number that the platform gave this worker, or None for any.
            description: host and process id, for people.

        Returns:
            The job's configuration, and the training epoch that it is in.

        Raises:
            MasterLostError: the master could not be reached.
            InvalidRequestError: the number is taken.
        """
        reply = self._call(
            self._stub.Register,
            pb.RegisterRequest(
                incarnation=self._incarnation, worker_id=worker_id, description=description
            ),
        )
        self._caller.worker_id = reply.worker_id
        return JobConfig.from_json(reply.job_config_json), reply.training_epoch

    def commit_and_lease(
        self, key: EpochKey, commits: Sequence[Commit], max_leases: int, loss: float | None
    ) -> LeaseReply:
        """Reports what finished steps used, and asks for more.

        Args:
            key: the epoch that commits and leases belong to.
            commits: what finished steps used, in the order of the steps.
            max_leases: how many leases to take at most; 0 for none.
            loss: the mean loss since the last report, or None.

        Raises:
            MasterLostError: the master could not be reached.
            UnknownWorkerError: the master has given this worker up.
            JobFailedError: the job is over.
        """
        with self._sequence_lock:
            self._sequence += 1
            reply = self._call(
                self._stub.CommitAndLease,
                pb.CommitAndLeaseRequest(
                    caller=self._caller,
                    sequence=self._sequence,
                    epoch=convert.epoch_key_to_proto(key),
                    commits=[convert.commit_to_proto(commit) for commit in commits],
                    max_leases=max_leases,
                    loss=loss,
                ),
            )
        return LeaseReply(
            convert.answer_from_proto(reply.answer),
            [convert.lease_from_proto(lease) for lease in reply.leases],
            list(reply.fenced_steps),
        )

    def heartbeat(self) -> None:
        """Tells the master that this worker is alive."""
        self._call(self._stub.Heartbeat, pb.HeartbeatRequest(caller=self._caller))

    def report_evaluation(self, key: EpochKey, metrics: Mapping[str, float]) -> None:
        """Reports the result of an evaluation."""
        self._call(
            self._stub.ReportEvaluation,
            pb.ReportEvaluationRequest(
                caller=self._caller, epoch=convert.epoch_key_to_proto(key), metrics=metrics
            ),
        )

    def publish(self, written: Path, published: Path) -> None:
        """Has the master rename what this worker has written.

        Raises:
            JobDirectoryError: the rename failed.
        """
        self._call(
            self._stub.Publish,
            pb.PublishRequest(
                caller=self._caller, written_path=str(written), published_path=str(published)
            ),
        )

    def stop_training(self, reason: str) -> None:
        """Ends training early."""
        self._call(
            self._stub.StopTraining, pb.StopTrainingRequest(caller=self._caller, reason=reason)
        )

    def leave(self, failure: str) -> None:
        """Leaves the job; `failure` is why, or "" when the work is done."""
        self._call(self._stub.Leave, pb.LeaveRequest(caller=self._caller, failure=failure))

    def temporary_name(self, path: Path) -> Path:
        """Returns a name beside `path` that no other process writes to."""
        return path.with_name(f".{path.stem}.{self._incarnation}{path.suffix}")

    def close(self) -> None:
        """Ends the connection; calls that are waiting for the master fail."""
        self._closed.set()
        self._channel.close()

    def _call(self, method: Callable[..., Reply], request: Any) -> Reply:
        give_up_s = time.monotonic() + self._master_timeout_s
        backoff_s = _FIRST_BACKOFF_S
        while True:
            error = _try_call(method, request)
            if not isinstance(error, RetryableError):
                return error
            if self._closed.is_set() or time.monotonic() + backoff_s > give_up_s:
                raise MasterLostError(
                    f"the master at {self.address} has not answered for "
                    f"{self._master_timeout_s:.0f} s ({error}); check that it runs and that "
                    "--master_addr is right"
                ) from error
            _logger.warning("no answer from the master, trying again: %s", error)
            self._closed.wait(backoff_s * self._jitter.uniform(0.5, 1.0))
            backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)


def _try_call(method: Callable[..., Reply], request: Any) -> Reply | RetryableError:
    try:
        return method(request, timeout=_CALL_TIMEOUT_S)
    except grpc.RpcError as error:
        typed = error_from_status(error.code(), error.details() or error.code().name)
        if isinstance(typed, RetryableError):
            return typed
        raise typed from error
    except ValueError as error:
        # gRPC's own word for a call on a closed channel.
        return MasterUnavailableError(str(error))


class Heartbeat:
    """Tells the master every `interval_s` that this worker is alive, from a thread of its own.

    Used as a context manager. When a call fails for good the heart stops: the worker's next call
    of its own fails in the same way, and ends it.
    """

    def __init__(self, client: MasterClient, interval_s: float) -> None:
        self._client = client
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self._client.heartbeat()
            except PermanentError as error:
                if not self._stopped.is_set():
                    _logger.warning("no more heartbeats: %s", error)
                return
