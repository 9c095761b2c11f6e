"""What a worker does in a job that evaluates a trained model."""

from __future__ import annotations

from contextlib import closing

from elasticdl_like.config import JobConfig
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import ConfigError
from elasticdl_like.tasks import EpochKey
from elasticdl_like.time_spent import Activity, TimeSpent, share_time_spent
from elasticdl_like.worker.dataset import make_pipeline
from elasticdl_like.worker.evaluation import Evaluator
from elasticdl_like.worker.inference_model import load_checkpoint, load_inference_spec
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.train_step import split_batch, zeros_like_spec


def run(client: MasterClient, job: JobConfig, time_spent: TimeSpent) -> None:
    """Evaluates a share of the records; one of the workers makes the result.

    Workers do not know of each other.

    Args:
        client: the connection to the master, by which the worker has registered.
        job: the job.
        time_spent: measures what this thread does.

    Raises:
        ElasticdlError: the data, the model, the model file or the master is not as it should be.
    """
    spec = load_inference_spec(job)
    if job.model is None or spec.loss is None:
        raise ConfigError("an evaluation needs a model definition with a loss; give --model_def")
    reader = make_reader(job.data_origin, job.data, job.model, job.training.records_per_task)
    share_time_spent(time_spent, reader)
    pipeline = make_pipeline(
        reader,
        job.task_type,
        job.training.minibatch_size,
        spec.feed,
        spec.feed_batch,
        job.training.read_threads,
        job.training.prefetch_bytes,
    )
    with closing(pipeline), time_spent.measure(Activity.EVALUATING):
        features, _, _ = split_batch(zeros_like_spec(pipeline.element_spec))
        load_checkpoint(spec, job, features)
        evaluator = Evaluator(
            client, pipeline, spec.model, spec.loss, spec.eval_metrics, time_spent
        )
        key = EpochKey(job.task_type, 0)
        evaluator.take_part(key)
        evaluator.finish(key)
