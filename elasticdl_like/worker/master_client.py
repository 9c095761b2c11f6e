"""What a worker can say to its master."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import PermanentError
from elasticdl_like.proto import convert
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.rounds import AgentReport, RoundOrder
from elasticdl_like.tasks import (
    Commit,
    EpochKey,
    FinishReply,
    LeaseReply,
    LeaseRequest,
    StartPoint,
)
from elasticdl_like.worker.connection import Interrupt, MasterConnection
from elasticdl_like.worker.held_leases import HeldLeases
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.time_report import TimeReport

_logger = logging.getLogger(__name__)

_CALL_TIMEOUT_S = 5.0
# A heartbeat that got lost has to be repeated before the worker is taken for lost.
_HEARTBEAT_TIMEOUT_S = 3.0
# The master has files to write through to the disk before it answers.
_PUBLISH_TIMEOUT_S = 60.0


class MasterClient:
    """One worker's conversation with its master; any thread may take part.

    Every call is tried again, with growing pauses, until the master answers or was silent for
    `master_timeout_s`. That is safe, because the master acts on a repeated request only once. A
    master that was started again elsewhere is found through the locator.

    Args:
        locator: tells where the master is.
        master_timeout_s: how long the master may be silent.
        incarnation: names this life of the worker, and no other; None for a name made up here.
        worker_id: the worker's number, if its agent has registered it; else 0.
        round: the round that the caller trains in; 0 for none.
    """

    def __init__(
        self,
        locator: MasterLocator,
        master_timeout_s: float,
        incarnation: str | None = None,
        worker_id: int = 0,
        round: int = 0,  # noqa: A002 - the word for it everywhere
    ) -> None:
        self.incarnation = incarnation or uuid.uuid4().hex
        self._connection = MasterConnection(locator, master_timeout_s)
        self._caller = pb.Caller(worker_id=worker_id, incarnation=self.incarnation, round=round)
        # One request that changes leases is in flight at a time; the lock also guards its number.
        self._sequence_lock = threading.Lock()
        self._sequence = 0
        # What a heartbeat tells is of one moment.
        self._held_lock = threading.Lock()
        self._held = HeldLeases()
        self._answered_sequence = 0

    @property
    def worker_id(self) -> int:
        """The number that the master gave this worker; 0 before it registered."""
        return self._caller.worker_id

    @property
    def master_silent_s(self) -> float:
        """For how long the master has not answered, as far as calls have shown; 0.0 if it has."""
        return self._connection.silent_s

    def register(self, worker_id: int | None, description: str) -> tuple[JobConfig, StartPoint]:
        """Takes part in the job.

        Args:
            worker_id: the number that the platform gave this worker, or None for any.
            description: host and process id, for people.

        Returns:
            The job's configuration, and where the worker begins.

        Raises:
            MasterLostError: the master could not be reached.
            InvalidRequestError: the number is taken.
            JobFailedError: the job is over.
        """
        reply = self._call(
            "Register",
            pb.RegisterRequest(
                incarnation=self.incarnation, worker_id=worker_id, description=description
            ),
        )
        self._caller.worker_id = reply.worker_id
        start = convert.start_point_from_proto(reply.start)
        return JobConfig.from_json(reply.job_config_json), start

    def commit_and_lease(
        self,
        key: EpochKey,
        commits: Sequence[Commit],
        max_leases: int,
        returned: Sequence[int] = (),
        loss: float | None = None,
        step: int = 0,
    ) -> LeaseReply:
        """Reports what finished steps used, and asks for more.

        Args:
            key: the epoch that commits and leases belong to.
            commits: what finished steps used, in the order of the steps.
            max_leases: how many leases to take at most; 0 for none.
            returned: tokens of leases of which nothing was read, and nothing will be.
            loss: the mean loss since the last report, or None.
            step: in a round, the last step that this worker has finished, with or without a share
                of its own.

        Raises:
            MasterLostError: the master could not be reached.
            UnknownWorkerError: the master has given this worker up.
            RoundOverError: the round is not the one that runs now.
            JobFailedError: the job is over.
        """
        with self._sequence_lock:
            self._sequence += 1
            request = LeaseRequest(
                self.worker_id,
                self.incarnation,
                self._sequence,
                key,
                commits,
                max_leases,
                returned,
                loss,
                self._caller.round,
                step,
            )
            message = self._call("CommitAndLease", convert.lease_request_to_proto(request))
            reply = convert.lease_reply_from_proto(message)
            with self._held_lock:
                self._answered_sequence = request.sequence
                self._held.settle(request, reply)
        return reply

    def rendezvous(
        self, report: AgentReport, known: RoundOrder | None, interrupt: Interrupt
    ) -> RoundOrder | None:
        """Says how this worker stands, and returns what the master wants of it.

        The master answers when that is not what is known, or after a while.

        Args:
            report: how this worker stands.
            known: the last order, or None before the first.
            interrupt: ends the call early.

        Returns:
            The order, or None if the call was interrupted.

        Raises:
            MasterLostError: the master could not be reached.
            UnknownWorkerError: the master has given this worker up.
            JobFailedError: the job is over.
        """
        request = pb.RendezvousRequest(
            caller=self._caller,
            report=convert.agent_report_to_proto(report),
            known=None if known is None else convert.round_order_to_proto(known),
        )
        reply = self._connection.call("Rendezvous", request, _CALL_TIMEOUT_S, interrupt)
        return None if reply is None else convert.round_order_from_proto(reply.order)

    def abandon(self, key: EpochKey, tokens: Collection[int] | None = None) -> None:
        """Lets go of leases whose rest will not be used; the next heartbeat gives them back.

        Args:
            key: the epoch that they belong to.
            tokens: the leases, or None for all of that epoch.
        """
        with self._held_lock:
            self._held.abandon(key, tokens)

    def heartbeat(
        self, seconds_spent: Mapping[str, float] | None = None, num_retries: int = 0
    ) -> None:
        """Tells the master that this worker is alive, and which leases it holds.

        Args:
            seconds_spent: where its time went so far, as `TimeSpent.totals` returns it, or None
                when it does not measure that.
            num_retries: how often it had to ask a service again.

        Raises:
            MasterLostError: the master could not be reached.
            UnknownWorkerError: the master has given this worker up.
            JobFailedError: the job is over.
        """
        with self._held_lock:
            request = pb.HeartbeatRequest(
                caller=self._caller,
                answered_sequence=self._answered_sequence,
                held=self._held.tokens,
                seconds_spent=seconds_spent,
                num_retries=num_retries,
            )
        self._call("Heartbeat", request, _HEARTBEAT_TIMEOUT_S)

    def report_evaluation(self, key: EpochKey, metrics: Mapping[str, float]) -> None:
        """Reports the result of an evaluation."""
        self._call(
            "ReportEvaluation",
            pb.ReportEvaluationRequest(
                caller=self._caller, epoch=convert.epoch_key_to_proto(key), metrics=metrics
            ),
        )

    def finish_epoch(self, key: EpochKey) -> FinishReply:
        """Says that this worker has come to the end of an evaluation or prediction.

        Returns:
            What it is to do.

        Raises:
            MasterLostError: the master could not be reached.
            UnknownWorkerError: the master has given this worker up.
            RoundOverError: the round is not the one that runs now.
            JobFailedError: the job is over.
        """
        request = pb.FinishEpochRequest(caller=self._caller, epoch=convert.epoch_key_to_proto(key))
        return convert.finish_reply_from_proto(self._call("FinishEpoch", request))

    def begin_output(self, state: str = "") -> str:
        """Gives what all workers need to take part in one output, and returns which is kept.

        Args:
            state: what `SharedOutput.begin` returned; "" to ask.

        Returns:
            The state that was given first, by whichever worker; "" as long as there is none.
        """
        request = pb.BeginOutputRequest(caller=self._caller, state=state)
        return str(self._call("BeginOutput", request).state)

    def report_output(self, key: EpochKey) -> None:
        """Says that the output of a prediction has been committed."""
        self._call(
            "ReportOutput",
            pb.ReportOutputRequest(caller=self._caller, epoch=convert.epoch_key_to_proto(key)),
        )

    def publish(self, written: Path, published: Path) -> None:
        """Has the master rename what this worker has written.

        Raises:
            JobDirectoryError: the rename failed.
        """
        self._call(
            "Publish",
            pb.PublishRequest(
                caller=self._caller, written_path=str(written), published_path=str(published)
            ),
            _PUBLISH_TIMEOUT_S,
        )

    def publish_checkpoint(
        self, written: Path, step: int, files: Mapping[str, tuple[int, str]]
    ) -> Path:
        """Has the master make a checkpoint of what this worker has written.

        Args:
            written: a directory beside the other checkpoints, with all of its files.
            step: the step whose state it is; its commit was marked.
            files: size in bytes and SHA-256 (hexadecimal) of each file, by name.

        Returns:
            The directory under its final name.

        Raises:
            InvalidRequestError: the step was not marked, or has been undone since.
            JobDirectoryError: the directory cannot be renamed, or its manifest not be written.
        """
        reply = self._call(
            "PublishCheckpoint",
            pb.PublishCheckpointRequest(
                caller=self._caller,
                written_path=str(written),
                step=step,
                files={
                    name: pb.PublishCheckpointRequest.File(size_bytes=size_bytes, sha256=sha256)
                    for name, (size_bytes, sha256) in files.items()
                },
            ),
            _PUBLISH_TIMEOUT_S,
        )
        return Path(reply.published_path)

    def stop_training(self, reason: str) -> None:
        """Ends training early."""
        self._call("StopTraining", pb.StopTrainingRequest(caller=self._caller, reason=reason))

    def leave(self, failure: str, patience_s: float | None = None) -> None:
        """Leaves the job.

        Args:
            failure: why, or "" when the work is done.
            patience_s: how long the master may be silent; None for as long as usual.

        Raises:
            MasterLostError: the master could not be reached.
        """
        request = pb.LeaveRequest(caller=self._caller, failure=failure)
        self._connection.call("Leave", request, _CALL_TIMEOUT_S, patience_s=patience_s)

    def temporary_name(self, path: Path) -> Path:
        """Returns a name beside `path` that no other process writes to."""
        return path.with_name(f".{path.stem}.{self.incarnation}{path.suffix}")

    def close(self) -> None:
        """Ends the connection; calls that are waiting for the master fail."""
        self._connection.close()

    def _call(self, method: str, request: Any, timeout_s: float = _CALL_TIMEOUT_S) -> Any:
        return self._connection.call(method, request, timeout_s)


class Heartbeat:
    """Tells the master every `interval_s` that this worker is alive, from a thread of its own.

    Used as a context manager. It beats on through an outage of the master. When a call fails for
    good the heart stops: the worker's next call of its own fails in the same way, and ends it.

    Args:
        client: the connection to the master.
        interval_s: the time between two beats.
        time_report: read when a beat is due, or None when the worker does not measure its time.
    """

    def __init__(
        self,
        client: MasterClient,
        interval_s: float,
        time_report: TimeReport | None = None,
    ) -> None:
        self._client = client
        self._interval_s = interval_s
        self._time_report = time_report
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
                if self._time_report is None:
                    self._client.heartbeat()
                else:
                    self._client.heartbeat(self._time_report(), self._time_report.num_retries)
            except PermanentError as error:
                if not self._stopped.is_set():
                    _logger.warning("no more heartbeats: %s", error)
                return
