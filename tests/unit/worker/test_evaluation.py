"""Metrics over all records, whatever the batches."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from elasticdl_like.data_readers import BatchDataReader
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import EpochKey, Shard, TaskType
from elasticdl_like.worker.dataset import make_pipeline
from elasticdl_like.worker.evaluation import Evaluator
from elasticdl_like.worker.master_client import LeaseReply

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(103, 4).astype(np.float32)
Y = (X[:, 0] + 0.5 * RANDOM.randn(103) > 0).astype(np.float32)


class ArrayReader(BatchDataReader):
    output_signature = {"x": tf.TensorSpec([4], tf.float32), "y": "float32"}  # noqa: RUF012

    def create_shards(self):
        return {"data": len(Y)}

    def read_record_batches(self, task):
        yield {"x": X[task.start : task.end], "y": Y[task.start : task.end]}


class EvaluationClient:
    def __init__(self):
        table = ShardTable([Shard("data", 0, len(Y))], records_per_task=20)
        self.queue = TaskQueue(table, table, 1, None)
        self.reported = {}

    def commit_and_lease(self, key, commits, max_leases, loss):
        fenced = [each.step for each in commits if not self.queue.commit(0, key, each)]
        return LeaseReply(*self.queue.request(0, key, max_leases), fenced)

    def report_evaluation(self, key, metrics):
        self.reported[key] = metrics


def feed_batch(records, mode, metadata):
    assert mode == "evaluation"
    return records["x"], records["y"]


def loss(labels, predictions):
    return tf.reduce_mean(tf.square(labels - predictions[:, 0]))


@pytest.mark.parametrize("minibatch_size", [7, 64, 1000])
def test_the_result_does_not_depend_on_the_batches(minibatch_size):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    predictions = model(X).numpy()[:, 0].astype(np.float64)
    client = EvaluationClient()
    pipeline = make_pipeline(ArrayReader(), TaskType.EVALUATION, minibatch_size, None, feed_batch)
    evaluator = Evaluator(
        client,
        pipeline,
        model,
        loss,
        {
            "auc": keras.metrics.AUC(),
            "accuracy": lambda labels, predictions: tf.equal(labels > 0.5, predictions[:, 0] > 0.5),
        },
    )
    auc = keras.metrics.AUC()
    auc.update_state(Y, predictions)
    for step in (5, 6):
        key = EpochKey(TaskType.EVALUATION, 0, step)
        results = evaluator.evaluate(key)
        assert results["loss"] == pytest.approx(np.mean((Y - predictions) ** 2), rel=1e-6)
        assert results["accuracy"] == pytest.approx(np.mean((Y > 0.5) == (predictions > 0.5)))
        assert results["auc"] == pytest.approx(float(auc.result()), rel=1e-6)
        assert client.reported[key] == results
        entry = next(each for each in client.queue.ledger() if each.key == key)
        assert entry.missing == 0
    pipeline.close()
