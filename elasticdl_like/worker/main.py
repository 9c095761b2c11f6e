"""A worker process from its start to its end."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass

from elasticdl_like.config import JobConfig, ModelConfig
from elasticdl_like.errors import ConfigError, ElasticdlError, MasterLostError
from elasticdl_like.tasks import TaskType
from elasticdl_like.worker.master_client import Heartbeat, MasterClient

_logger = logging.getLogger(__name__)

_HEARTBEAT_INTERVAL_S = 2.0


@dataclass(frozen=True)
class WorkerConfig:
    """How a worker runs.

    Attributes:
        master_addr: the master, as `host:port`.
        worker_id: the number that its platform gave it, or None for any.
        master_timeout_s: how long the master may be silent.
    """

    master_addr: str
    worker_id: int | None = None
    master_timeout_s: float = 60.0


def run_worker(config: WorkerConfig) -> None:
    """Takes part in a job until it has no more work.

    Raises:
        ElasticdlError: the job cannot go on here; the master has been told why, if it could be.
    """
    client = MasterClient(config.master_addr, config.master_timeout_s)
    try:
        job, epoch = client.register(config.worker_id, f"{socket.gethostname()} pid {os.getpid()}")
        logging.getLogger().setLevel(job.log_level)
        try:
            with Heartbeat(client, _HEARTBEAT_INTERVAL_S):
                _train(client, job, epoch)
        except MasterLostError:
            raise
        except ElasticdlError as error:
            _leave(client, str(error))
            raise
        client.leave("")
    finally:
        client.close()


def _leave(client: MasterClient, failure: str) -> None:
    try:
        client.leave(failure)
    except ElasticdlError as error:
        _logger.warning("the master could not be told: %s", error)


def _train(client: MasterClient, job: JobConfig, first_epoch: int) -> None:
    if job.model is None or job.data_only:
        raise ConfigError(
            "this job trains no model, it hands out data to workers of your own "
            "(see docs/data_flow.md); start it with --model_def, and without --data_only"
        )
    # TensorFlow takes seconds to import: not before the master has answered, and in no other
    # module that other commands import.
    import keras

    from elasticdl_like.data_readers.registry import make_reader
    from elasticdl_like.worker.dataset import BatchPipeline, make_pipeline
    from elasticdl_like.worker.evaluation import Evaluator
    from elasticdl_like.worker.model_spec import ModelSpec, load_model_spec
    from elasticdl_like.worker.train_loop import Trainer

    pipelines: list[BatchPipeline] = []

    def pipeline(model: ModelConfig, spec: ModelSpec, origin: str, mode: TaskType) -> BatchPipeline:
        reader = make_reader(origin, job.data, model, job.training.records_per_task)
        made = make_pipeline(reader, mode, job.training.minibatch_size, spec.feed, spec.feed_batch)
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
            )
        Trainer(client, job, spec, training, evaluator).run(first_epoch)
    finally:
        for each in pipelines:
            each.close()
