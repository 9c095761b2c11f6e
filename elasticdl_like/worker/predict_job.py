"""Predicts something for each record of a data set: what a worker of such a job does."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import keras
import tensorflow as tf

from elasticdl_like.config import JobConfig
from elasticdl_like.data_readers.reading import DataReader, list_shards
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import ConfigError, ModelDefinitionError
from elasticdl_like.prediction_outputs.base import SharedOutput
from elasticdl_like.prediction_outputs.files import OutputFolder
from elasticdl_like.tasks import EpochKey, Finish, TaskType
from elasticdl_like.time_spent import Activity, TimeSpent, share_time_spent
from elasticdl_like.worker.blocks import Batch
from elasticdl_like.worker.counted_commits import CountedCommits
from elasticdl_like.worker.dataset import BatchPipeline, make_pipeline
from elasticdl_like.worker.inference_model import load_checkpoint, load_inference_spec
from elasticdl_like.worker.kept_columns import KeptColumns
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.output_thread import Output, OutputThread, Predicted
from elasticdl_like.worker.part_writer import MOST_PART_BYTES, PartWriter, weight_of
from elasticdl_like.worker.prediction_columns import check_predictions
from elasticdl_like.worker.processor_outputs import (
    close_processor,
    commit_shared_output,
    join_shared_output,
    make_processor,
    processor_output,
)
from elasticdl_like.worker.train_step import zeros_like_spec
from elasticdl_like.worker.user_code import explained
from elasticdl_like.worker.waits import awaited

_KEY = EpochKey(TaskType.PREDICTION, 0)
_IDLE_S = 0.02
_FINISH_POLL_S = 0.1
_MOST_WAITING_BATCHES = 16  # for a processor

MakeOutput = Callable[[CountedCommits], Output]


def run(client: MasterClient, job: JobConfig, time_spent: TimeSpent) -> None:
    """Predicts, as long as the job has records to lease, and until its output is whole.

    Args:
        client: the connection to the master; registered, and with a heartbeat.
        job: the job.
        time_spent: measures where the time goes.

    Raises:
        ElasticdlError: the data cannot be read, something in the model file failed, the output
            cannot be written, or the master has no more work for this worker.
    """
    if job.model is None:
        raise ConfigError("a prediction needs a model definition; give --model_def")
    spec = load_inference_spec(job)
    data, training = job.data, job.training
    reader = make_reader(data.prediction_data, data, job.model, training.records_per_task)
    share_time_spent(time_spent, reader)
    kept = KeptColumns(job.inference.keep_columns, reader) if job.inference.keep_columns else None
    with ExitStack() as stack:
        pipeline = make_pipeline(
            reader,
            TaskType.PREDICTION,
            training.minibatch_size,
            spec.feed,
            spec.feed_batch,
            training.read_threads,
            training.prefetch_bytes,
            in_round=True,
            keep_records=kept is not None,
        )
        stack.callback(pipeline.close)
        load_checkpoint(spec, job, zeros_like_spec(features_of(pipeline.element_spec)))
        processor = None
        if job.inference.output:
            most_waiting = MOST_PART_BYTES
            make_output = _into_files(client, job, kept, spec.model)
        else:
            most_waiting = _MOST_WAITING_BATCHES
            processor = make_processor(job.model)
            stack.callback(close_processor, processor)
            make_output = _into_processor(client, job, reader, processor)
        predictor = _Predictor(pipeline, spec.model, time_spent, by_bytes=processor is None)
        step = 0
        are_refused = True
        while are_refused:
            commits = CountedCommits(client, _KEY, step)
            predictor.predict(commits, make_output(commits), most_waiting)
            are_refused, step = commits.are_refused, commits.step
        _finish(client, processor)


def features_of(data: Any) -> Any:
    """Returns the features of a batch, which may have labels and weights besides."""
    return data[0] if isinstance(data, tuple) else data


def _into_files(
    client: MasterClient, job: JobConfig, kept: KeptColumns | None, model: keras.Model
) -> MakeOutput:
    folder = OutputFolder(job.inference.output)
    names = list(getattr(model, "output_names", None) or ())

    def make_output(commits: CountedCommits) -> Output:
        return PartWriter(
            folder, job.inference.output_format, client.incarnation, commits, kept, names
        )

    return make_output


def _into_processor(
    client: MasterClient, job: JobConfig, reader: DataReader, processor: Any
) -> MakeOutput:
    if isinstance(processor, SharedOutput):

        def begin(output: SharedOutput) -> str:
            return output.begin(list_shards(reader), job.training.records_per_task)

        join_shared_output(processor, client.begin_output, begin)
    return lambda commits: processor_output(processor, client.worker_id, commits)


class _Predictor:
    """Runs the model over what a stream leases.

    Args:
        pipeline: makes batches.
        model: the model.
        time_spent: measures where the time goes.
        by_bytes: whether predictions are weighed by their bytes, and not by batches.
    """

    def __init__(
        self, pipeline: BatchPipeline, model: keras.Model, time_spent: TimeSpent, by_bytes: bool
    ) -> None:
        self._pipeline = pipeline
        self._time_spent = time_spent
        self._by_bytes = by_bytes
        # As in `predict_on_batch`: a model may have a `predict_step` of its own.
        self._forward = tf.function(
            lambda features: model.predict_step((features,)),
            reduce_retracing=True,
            jit_compile=model.jit_compile,
        )

    def predict(self, commits: CountedCommits, output: Output, most_waiting: int) -> None:
        """Predicts until the epoch ends, or until a commit is refused.

        Raises:
            ElasticdlError: as for `run`.
        """
        with commits.stream as stream:
            batches = self._pipeline.batches(stream)
            with OutputThread(output, most_waiting) as thread:
                for batch in awaited(batches, self._time_spent):
                    if commits.are_refused:
                        break
                    if batch.idle:
                        # What is not committed keeps the epoch from ending.
                        thread.flush()
                        with self._time_spent.measure(Activity.WAITING_FOR_INPUT):
                            time.sleep(_IDLE_S)
                        continue
                    predicted = self._predicted(batch)
                    with self._time_spent.measure(Activity.SAVING):
                        thread.put(predicted)
                thread.flush()
            if commits.are_refused:
                commits.give_up(batches)

    def _predicted(self, batch: Batch) -> Predicted:
        if batch.problem:
            return Predicted(batch.pieces, None, problem=batch.problem)
        if batch.data is None:
            raise ModelDefinitionError(
                f"feed made nothing of {' and '.join(map(str, batch.pieces))}; for mode "
                "'prediction' it must keep one element for each record, in their order"
            )
        with self._time_spent.measure(Activity.PREDICTING):
            with explained("the prediction", batch.pieces):
                predictions = self._forward(features_of(batch.data))
            check_predictions(predictions, batch.pieces)
        weight = weight_of(predictions, batch.records) if self._by_bytes else 1
        return Predicted(batch.pieces, predictions, batch.records, weight=weight)


def _finish(client: MasterClient, processor: Any) -> None:
    """Waits until the output is whole; makes it so if that falls to this worker."""
    while (reply := client.finish_epoch(_KEY)).finish is not Finish.DONE:
        if reply.finish is Finish.FINISH and isinstance(processor, SharedOutput):
            commit_shared_output(processor)
            client.report_output(_KEY)
        else:
            time.sleep(_FINISH_POLL_S)
