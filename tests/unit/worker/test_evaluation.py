"""Metrics over all records, whatever the batches."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from queue_master import WORKER, QueueMaster, make_queue

from elasticdl_like.data_readers import BatchDataReader
from elasticdl_like.tasks import EpochKey, Finish, FinishReply, Shard, TaskType
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker.dataset import make_pipeline
from elasticdl_like.worker.evaluation import Evaluator

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(103, 4).astype(np.float32)
Y = (X[:, 0] + 0.5 * RANDOM.randn(103) > 0).astype(np.float32)


class ArrayReader(BatchDataReader):
    output_signature = {"x": tf.TensorSpec([4], tf.float32), "y": "float32"}  # noqa: RUF012

    def create_shards(self):
        return {"data": len(Y)}

    def read_record_batches(self, task):
        yield {"x": X[task.start : task.end], "y": Y[task.start : task.end]}


class EvaluationMaster(QueueMaster):
    def __init__(self):
        shards = [Shard("data", 0, len(Y))]
        super().__init__(make_queue(shards, records_per_task=20, validation=shards))
        self.reported = {}

    def finish_epoch(self, key):
        sums = self.queue.epochs.sums(key)
        return FinishReply(Finish.WAIT) if sums is None else FinishReply(Finish.FINISH, sums)

    def report_evaluation(self, key, metrics):
        self.reported[key] = metrics


def evaluated(evaluator, key):
    evaluator.take_part(key)
    return evaluator.finish(key)


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
    client = EvaluationMaster()
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
        TimeSpent(),
    )
    auc = keras.metrics.AUC()
    auc.update_state(Y, predictions)
    for step in (5, 6):
        key = EpochKey(TaskType.EVALUATION, 0, step)
        results = evaluated(evaluator, key)
        assert results["loss"] == pytest.approx(np.mean((Y - predictions) ** 2), rel=1e-6)
        assert results["accuracy"] == pytest.approx(np.mean((Y > 0.5) == (predictions > 0.5)))
        assert results["auc"] == pytest.approx(float(auc.result()), rel=1e-6)
        assert client.reported[key] == results
        entry = next(each for each in client.queue.epochs.ledger() if each.key == key)
        assert entry.missing == 0
    pipeline.close()


class DamagedReader(ArrayReader):
    """Records 30 to 32 cannot be read."""

    def read_record_batches(self, task):
        if task.start < 33 and task.end > 30:
            raise OSError("damaged")
        return super().read_record_batches(task)


def test_records_that_cannot_be_used_are_reported_and_left_out():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    client = EvaluationMaster()
    pipeline = make_pipeline(DamagedReader(), TaskType.EVALUATION, 7, None, feed_batch)
    key = EpochKey(TaskType.EVALUATION, 0, 1)
    results = evaluated(Evaluator(client, pipeline, model, loss, {}, TimeSpent()), key)
    pipeline.close()
    used = np.delete(np.arange(len(Y)), [30, 31, 32])
    predictions = model(X[used]).numpy()[:, 0].astype(np.float64)
    assert results["loss"] == pytest.approx(np.mean((Y[used] - predictions) ** 2), rel=1e-6)
    entry = next(each for each in client.queue.epochs.ledger() if each.key == key)
    assert (entry.committed, entry.quarantined, entry.missing) == (100, 3, 0)
    assert "OSError: damaged" in client.queue.epochs.last_unusable.problem


class RefusingMaster(EvaluationMaster):
    """Takes the first commit's leases away before it comes."""

    taken_back = frozenset()
    num_late = 0

    def commit_and_lease(self, key, commits, *arguments):
        if commits and not self.taken_back:
            with self.changed:
                self.taken_back = frozenset(self.queue.epochs.live_tokens(key))
                self.queue.take_back(WORKER, lost=True)
        for commit in commits:
            self.num_late += any(each.token in self.taken_back for each in commit.intervals)
        return super().commit_and_lease(key, commits, *arguments)

    def abandon(self, key, tokens=None):
        super().abandon(key, tokens)
        with self.changed:  # what the next heartbeat does
            unlisted = self.queue.unlisted(WORKER, len(self.requests), self.held.tokens)
            self.queue.give_back(WORKER, unlisted)


@pytest.mark.parametrize("minibatch_size", [7, 1000])
def test_what_was_refused_is_evaluated_again_and_counts_once(minibatch_size):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    predictions = model(X).numpy()[:, 0].astype(np.float64)
    client = RefusingMaster()
    pipeline = make_pipeline(ArrayReader(), TaskType.EVALUATION, minibatch_size, None, feed_batch)
    metrics = {"precision": keras.metrics.Precision()}
    evaluator = Evaluator(client, pipeline, model, loss, metrics, TimeSpent())
    key = EpochKey(TaskType.EVALUATION, 0, 5)
    results = evaluated(evaluator, key)
    pipeline.close()
    entry = next(each for each in client.queue.epochs.ledger() if each.key == key)
    assert entry.reports_fenced == client.num_late > 0
    assert (entry.committed, entry.missing) == (len(Y), 0)
    assert results["loss"] == pytest.approx(np.mean((Y - predictions) ** 2), rel=1e-6)
    right = Y[predictions > 0.5]
    assert results["precision"] == pytest.approx(right.mean(), rel=1e-6)


def test_whoever_comes_too_late_makes_no_result():
    class Reported(EvaluationMaster):
        def finish_epoch(self, key):
            return FinishReply(Finish.DONE)

    client = Reported()
    pipeline = make_pipeline(ArrayReader(), TaskType.EVALUATION, 7, None, feed_batch)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    evaluator = Evaluator(client, pipeline, model, loss, {}, TimeSpent())
    assert evaluator.finish(EpochKey(TaskType.EVALUATION, 0, 5)) == {}
    assert client.reported == {}
    pipeline.close()


def test_who_finishes_need_not_have_had_a_batch():
    client = EvaluationMaster()
    key = EpochKey(TaskType.EVALUATION, 0, 5)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    metrics = [{"f1": keras.metrics.F1Score(threshold=0.5)} for _ in range(2)]
    pipelines = [
        make_pipeline(ArrayReader(), TaskType.EVALUATION, 7, None, feed_column) for _ in metrics
    ]
    first, second = (
        Evaluator(client, pipeline, model, loss_of_column, each, TimeSpent())
        for pipeline, each in zip(pipelines, metrics, strict=True)
    )
    first.take_part(key)
    assert second.finish(key) == first.finish(key)
    for pipeline in pipelines:
        pipeline.close()


def feed_column(records, mode, metadata):
    return records["x"], records["y"][:, None]


def loss_of_column(labels, predictions):
    return tf.square(labels - predictions)[:, 0]
