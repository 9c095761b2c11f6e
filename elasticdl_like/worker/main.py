"""A worker process from its start to its end."""

from __future__ import annotations

import logging
import os
import socket
import sys
from dataclasses import dataclass, field

from elasticdl_like.config import DistributionStrategy, JobConfig, JobKind, ModelConfig
from elasticdl_like.errors import (
    ConfigError,
    ElasticdlError,
    LeaseLostError,
    MasterLostError,
    TrainerCrashedError,
    UnknownWorkerError,
)
from elasticdl_like.tasks import StartPoint, TaskType
from elasticdl_like.time_spent import TimeSpent, share_time_spent
from elasticdl_like.worker.agent import Agent
from elasticdl_like.worker.leave_request import LeaveRequest
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.time_report import TimeReport

_logger = logging.getLogger(__name__)

_HEARTBEAT_INTERVAL_S = 2.0
_GOODBYE_S = 1.0


@dataclass(frozen=True)
class WorkerConfig:
    """How a worker runs.

    Attributes:
        locator: tells where the master is.
        worker_id: the number that its platform gave it, or None for any.
        incarnation: the name that its platform gave this process, or None for any.
        master_timeout_s: how long the master may be silent.
        log_format: of the log: "text" or "json".
        leave_request: tells when the worker is to leave the job.
    """

    locator: MasterLocator
    worker_id: int | None = None
    incarnation: str | None = None
    master_timeout_s: float = 600.0
    log_format: str = "text"
    leave_request: LeaveRequest = field(default_factory=LeaveRequest)


def run_worker(config: WorkerConfig) -> None:
    """Takes part in a job until it has no more work, or until it was asked to leave.

    Raises:
        ElasticdlError: the job cannot go on here; the master has been told why, if it could be.
    """
    agent = Agent(config.locator, config.master_timeout_s, config.leave_request, config.log_format)
    incarnation = config.incarnation
    with agent:
        while True:
            try:
                _take_part(config, incarnation, agent)
                return
            except UnknownWorkerError as error:
                # What was trained since the last checkpoint has gone to others, or waits for them.
                if config.leave_request.asked:
                    _logger.warning("%s; it was about to leave", error)
                    return
                _logger.warning("%s; starting over", error)
            incarnation = None
            if "keras" in sys.modules:
                sys.modules["keras"].utils.clear_session()


def _take_part(config: WorkerConfig, incarnation: str | None, agent: Agent) -> None:
    client = MasterClient(config.locator, config.master_timeout_s, incarnation)
    try:
        job, start = client.register(config.worker_id, f"{socket.gethostname()} pid {os.getpid()}")
        logging.getLogger().setLevel(job.log_level)
        try:
            if _trains_in_rounds(job):
                if not agent.take_part(client, job):
                    return
            else:
                _work_alone(client, job, start)
        except (MasterLostError, UnknownWorkerError, LeaseLostError, TrainerCrashedError):
            # Not the job's fault, or perhaps not: whoever comes next goes on.
            raise
        except ElasticdlError as error:
            _leave(client, str(error))
            raise
        if config.leave_request.asked:
            # The end of the process says the same, if the master ends, too.
            _leave(client, "", _GOODBYE_S)
        else:
            client.leave("")
    finally:
        client.close()


def _trains_in_rounds(job: JobConfig) -> bool:
    return (
        job.distribution_strategy is DistributionStrategy.ALL_REDUCE
        and job.model is not None
        and job.trains_model
    )


def _work_alone(client: MasterClient, job: JobConfig, start: StartPoint) -> None:
    time_spent = TimeSpent()
    time_report = TimeReport(time_spent)
    with Heartbeat(client, _HEARTBEAT_INTERVAL_S, time_report):
        # TensorFlow takes seconds to import: not before the master has answered, and in no other
        # module that other commands import.
        match job.kind:
            case JobKind.EVALUATION:
                from elasticdl_like.worker import evaluate_job

                evaluate_job.run(client, job, time_spent)
            case JobKind.PREDICTION:
                from elasticdl_like.worker import predict_job

                predict_job.run(client, job, time_spent)
            case _:
                _train(client, job, start, time_spent)
    time_report.log_summary()


def _leave(client: MasterClient, failure: str, patience_s: float | None = None) -> None:
    try:
        client.leave(failure, patience_s)
    except ElasticdlError as error:
        _logger.warning("the master could not be told: %s", error)


def _train(client: MasterClient, job: JobConfig, start: StartPoint, time_spent: TimeSpent) -> None:
    if job.model is None or not job.trains_model:
        raise ConfigError(
            "this job trains no model, it hands out data to workers of your own "
            "(see docs/data_flow.md); start it with --model_def, and without --data_only"
        )
    import keras

    from elasticdl_like.data_readers.registry import make_reader
    from elasticdl_like.worker.dataset import BatchPipeline, make_pipeline
    from elasticdl_like.worker.evaluation import Evaluator
    from elasticdl_like.worker.group import Alone
    from elasticdl_like.worker.model_spec import ModelSpec, load_model_spec
    from elasticdl_like.worker.train_loop import Trainer
    from elasticdl_like.worker.train_step import TrainStep

    pipelines: list[BatchPipeline] = []

    def pipeline(model: ModelConfig, spec: ModelSpec, origin: str, mode: TaskType) -> BatchPipeline:
        reader = make_reader(origin, job.data, model, job.training.records_per_task)
        share_time_spent(time_spent, reader)
        made = make_pipeline(
            reader,
            mode,
            job.training.minibatch_size,
            spec.feed,
            spec.feed_batch,
            job.training.read_threads,
            job.training.prefetch_bytes,
        )
        pipelines.append(made)
        return made

    keras.utils.set_random_seed(job.training.seed)
    spec = load_model_spec(job.model)
    try:
        training = pipeline(job.model, spec, job.data.training_data, TaskType.TRAINING)
        evaluator = None
        if job.data.validation_data:
            evaluator = Evaluator(
                client,
                pipeline(job.model, spec, job.data.validation_data, TaskType.EVALUATION),
                spec.model,
                spec.loss,
                spec.eval_metrics,
                time_spent,
            )
        step = TrainStep(spec)
        trainer = Trainer(client, job, spec, step, Alone(step), training, evaluator, time_spent)
        trainer.run(start)
    finally:
        for each in pipelines:
            each.close()
