"""The agent of a worker: it lives as long as the worker, and starts a trainer for each round."""

from __future__ import annotations

from elasticdl_like.config import JobConfig
from elasticdl_like.worker.held_state import HeldState
from elasticdl_like.worker.inbox import Inbox
from elasticdl_like.worker.leave_request import LeaveRequest
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.own_address import own_host
from elasticdl_like.worker.parent import adopt_orphans
from elasticdl_like.worker.participation import Participation
from elasticdl_like.worker.state_server import StateServer
from elasticdl_like.worker.trainer_factory import TrainerFactory

TRAINER = "elasticdl_like.worker.trainer:run_trainer"
"""What a trainer does."""


class Agent:
    """Takes part in a job for a worker; used as a context manager, by the main thread.

    Whatever happens to its registration at the master, its zygote stays warm. Nothing is started
    before it takes part.

    Args:
        locator: tells where the master is.
        master_timeout_s: how long the master may be silent.
        leave_request: tells when the worker is to leave the job.
        log_format: of the log: "text" or "json".
        trainer: what a trainer does, as `module:function`.
    """

    def __init__(
        self,
        locator: MasterLocator,
        master_timeout_s: float,
        leave_request: LeaveRequest,
        log_format: str = "text",
        trainer: str = TRAINER,
    ) -> None:
        self._locator = locator
        self._master_timeout_s = master_timeout_s
        self._leave_request = leave_request
        self._log_format = log_format
        self._trainer = trainer
        self._held = HeldState()
        self._inbox = Inbox()
        self._token = ""
        self._host = ""
        self._server: StateServer | None = None
        self._factory: TrainerFactory | None = None

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._factory is not None:
            self._factory.close()
        if self._server is not None:
            self._server.close()
        self._held.drop()

    def take_part(self, client: MasterClient, job: JobConfig) -> bool:
        """Trains in the rounds that the master forms, until it needs the worker no longer.

        Args:
            client: has registered the worker.
            job: the job.

        Returns:
            Whether the master has said so; False if the worker was asked to leave while the master
            was away.

        Raises:
            ConfigError: the state of the model could not be sent safely.
            TrainerCrashedError: the trainer, or the process that starts it, has crashed.
            JobFailedError: the model or the data have failed, or the job is over.
            MasterLostError: the master could not be reached.
            UnknownWorkerError: the master has given this worker up.
        """
        factory, server = self._start()
        # Under another name the worker knows nothing of what it did under the last.
        self._held.drop()
        participation = Participation(
            client=client,
            job=job,
            locator=self._locator,
            token=self._token,
            master_timeout_s=self._master_timeout_s,
            factory=factory,
            held=self._held,
            inbox=self._inbox,
            leave_request=self._leave_request,
            host=self._host,
            agent_address=server.address,
        )
        with self._leave_request.heard(self._inbox.wake):
            return participation.run()

    def _start(self) -> tuple[TrainerFactory, StateServer]:
        if self._factory is None:
            adopt_orphans()
            self._factory = TrainerFactory(self._locator, self._trainer, self._log_format)
        if self._server is None:
            master = self._locator.locate()
            self._host = own_host(master.address)
            self._token = master.token
            self._server = StateServer(self._held, self._host, self._token, self._locator.tls)
        return self._factory, self._server
